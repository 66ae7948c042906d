"""Checks that the names of share groups and of the parts of ways of sharing are unique paths."""

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
    """Report names that collide in files."""
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
                f"the name `{name}` is already in use",
                "a group of this name",
                labels=[Label(earlier, f"`{name}`")],
                help="rename the group: its name is a path, like those of layers and parameters",
            )
        elif name and name in repeated:
            problems.error(
                "E0331",
                group.span,
                f"`{name}` would be the name of several groups, one for each iteration of this `for`",
                "several groups with one name",
                help="leave the name out, or write the groups separately, each with its own name",
            )
        elif name:
            taken[name] = group
    if not problems.errors:
        _check_parts(ways, paths, problems)


def _layers(program: Checked) -> Iterator[tuple[str, Span]]:
    """The names of layers and arrays of layers."""
    for module in (module for root in program.roots() for module in root.modules()):
        yield file_path(module.path), module.span
        if module.path.endswith("[0]"):
            yield file_path(module.path.removesuffix("[0]")), module.span


def _repeated(program: Checked, sharing: Sharing) -> set[str]:
    """The names that groups in a `for` would give to several tensors."""
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
                f"the name `{slot.file_path}` is already in use",
                f"has a part `{slot.path.rpartition('.')[2]}` with this path",
                labels=[Label(earlier, f"`{slot.file_path}`")],
                help="name the group of this way of sharing, or rename the part",
            )
        paths[slot.file_path] = slot.layer_span
