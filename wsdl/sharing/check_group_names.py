"""The names of share groups, and of the parts of ways of sharing: each is the path of one thing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from wsdl.diagnostics import Label, Problems
from wsdl.diagnostics.span import Span
from wsdl.ir.graph import file_path
from wsdl.ir.requests import GroupRequest
from wsdl.ir.sharing import Sharing
from wsdl.ir.stages import Checked
from wsdl.sharing.ways import Ways


def check_group_names(program: Checked, sharing: Sharing, ways: Ways, problems: Problems) -> None:
    """Report what has the name of something else, as written into files."""
    paths = {slot.file_path: slot.layer_span for slot in sharing.slots}
    paths |= dict(_layers(program))
    taken: dict[str, GroupRequest] = {}
    repeated = _repeated(program, sharing)
    for group in (*program.groups, *(request.group for request in program.ways)):
        name = file_path(group.name)
        earlier = paths.get(name) or (taken[name].span if name in taken and taken[name].span != group.span else None)
        if name and earlier is not None:
            problems.error(
                "E0331",
                group.span,
                f"`{name}` is the name of something else already",
                "a group of this name",
                labels=[Label(earlier, f"`{name}`")],
                help="give the group another name: its name is a path, as those of layers and parameters are",
            )
        elif name and name in repeated:
            problems.error(
                "E0331",
                group.span,
                f"`{name}` would be the name of the group of each step of this `for`",
                "several groups of one name",
                help="leave the name out, or write the groups one by one, each with a name of its own",
            )
        elif name:
            taken[name] = group
    if not problems.errors:
        _check_parts(ways, paths, problems)


def _layers(program: Checked) -> Iterator[tuple[str, Span]]:
    """Layers and arrays of layers by their names."""
    for module in (module for root in program.roots() for module in root.modules()):
        yield file_path(module.path), module.span
        if module.path.endswith("[0]"):
            yield file_path(module.path.removesuffix("[0]")), module.span


def _repeated(program: Checked, sharing: Sharing) -> set[str]:
    """The names that the groups of one `for` give to several tensors."""
    groups = Counter(file_path(group.name) for group in program.groups if group.name)
    ways = Counter(file_path(request.group.name) for request in program.ways if request.group.name)
    repeated = {name for name, count in ways.items() if count > 1}
    if any(count > 1 for count in groups.values()):
        names = Counter(sharing.named(root) or "" for root, _ in sharing.families())
        several = (name for name, count in names.items() if count > 1)
        repeated |= {beginning for name in several for beginning in _beginnings(name) if beginning in groups}
    return repeated


def _beginnings(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[: end + 1]) for end in range(len(parts)))


def _check_parts(ways: Ways, paths: dict[str, Span], problems: Problems) -> None:
    for slot in ways.slots:
        if (earlier := paths.get(slot.file_path)) is not None:
            problems.error(
                "E0331",
                slot.layer_span,
                f"`{slot.file_path}` is the name of something else already",
                f"has a part `{slot.path.rpartition('.')[2]}` there",
                labels=[Label(earlier, f"`{slot.file_path}`")],
                help="give the group of this way of sharing a name, or the part another one",
            )
        paths[slot.file_path] = slot.layer_span
