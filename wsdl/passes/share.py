"""Decides what is stored: looks the `share` groups up, unites their members, settles every slot on a stored tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wsdl.diagnostics import Edit, Label, Problems
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.graph import Module, Program, Slot, file_path
from wsdl.ir.requests import GroupRequest, PathPattern
from wsdl.ir.sharing import Conflict, Member, Sharing
from wsdl.ir.types import shape_text
from wsdl.ir.views import View
from wsdl.passes.paths import Found, NotFound, find, root_of
from wsdl.span import Span


@dataclass
class _Work:
    """The sharing so far, and where each slot was put into a group."""

    program: Program
    problems: Problems
    sharing: Sharing
    spans: dict[str, Span]


def share(program: Program, problems: Problems) -> Program:
    """`slot` becomes `stored` in every `parameter` node, and `program.stored` holds each tensor once."""
    work = _Work(program, problems, Sharing(list(program.slots())), {})
    for group in program.groups:
        _group(group, work)
    _check_initializers(work)
    _freeze(work)
    _warn_of_mixed_statistics(work)
    program.settle(work.sharing.stored())
    for graph in program.graphs():
        for node in graph.walk():
            if node.op == "parameter":
                stored, node.view = program.stored_of(str(node.attributes.pop("slot")))
                node.attributes["stored"] = stored.name
    return program


# -- groups ------------------------------------------------------------------------------------------------------------


def _group(group: GroupRequest, work: _Work) -> None:
    root = root_of(work.program, group.base)
    try:
        members = [found for pattern in group.members for found in find(pattern, root, work.problems)]
        families = _families(group, members, work)
    except NotFound:
        return
    for below, family in families.items():
        first = family[0]
        for member in family:
            work.spans.setdefault(member.slot.path, member.span)
        for other in family[1:]:
            conflict = work.sharing.unite(first, other)
            if conflict is not None:
                _report(conflict, work)
                break
        if group.name:
            name = group.name.replace("[", ".").replace("]", "")
            work.sharing.name(first.slot, f"{name}.{below}" if below else name)


def _families(group: GroupRequest, members: list[Found], work: _Work) -> dict[str, list[Member]]:
    """The slots that become one tensor each: the parameters themselves, or those of layers, matched by their path below
    the layer (which is the key)."""
    distinct = {(m.thing.path, str(m.view)) for m in members}
    if len(distinct) < 2:
        work.problems.error(
            "E0311",
            group.span,
            "a group of one shares nothing",
            f"only `{members[0].path}`" + (", named twice" if len(members) > 1 else ""),
            help="name the other members, or remove the group",
        )
        raise NotFound
    layers = [m for m in members if isinstance(m.thing, Module)]
    if not layers:
        if group.exceptions:
            work.problems.error(
                "E0314", group.exceptions[0].span, "`except` leaves out parts of layers, and these are parameters"
            )
            raise NotFound
        return {"": [Member(m.thing, m.view, m.span) for m in members if isinstance(m.thing, Slot) and m.view]}
    if len(layers) < len(members):
        other = next(m for m in members if isinstance(m.thing, Slot))
        work.problems.error(
            "E0313",
            other.span,
            "a group has either layers or parameters as members",
            "a parameter",
            labels=[Label(layers[0].span, "a layer")],
            help="name the parameters of the layers one by one, or make two groups",
        )
        raise NotFound
    return _matched(group, layers, work)


def _matched(group: GroupRequest, layers: list[Found], work: _Work) -> dict[str, list[Member]]:
    parts = [_parts(group, found, work) for found in layers]
    first = parts[0]
    for found, other in zip(layers[1:], parts[1:], strict=True):
        missing = [p for p in first if p not in other] + [p for p in other if p not in first]
        if missing:
            has, lacks = (layers[0], found) if missing[0] in first else (found, layers[0])
            near = nearest(missing[0], other if has is layers[0] else first)
            work.problems.error(
                "E0313",
                group.span if found.span == layers[0].span else found.span,
                "the layers of this group don't have the same parameters",
                f"`{has.path}` has `{missing[0]}`, `{lacks.path}` has not",
                labels=[Label(m.thing.span, f"a {m.thing.kind}") for m in (has, lacks) if isinstance(m.thing, Module)],
                help=f"leave parts out with `except`, or name parameters one by one{f' (`{near}`?)' if near else ''}",
            )
            raise NotFound
    if not first:
        work.problems.error(
            "E0313",
            layers[0].span,
            f"`{layers[0].path}` has no parameters to share",
            help="it is never applied, or all its parts are left out",
        )
        raise NotFound
    return {
        file_path(path): [
            Member(part[path], View.identity(part[path].sizes), found.span)
            for found, part in zip(layers, parts, strict=True)
        ]
        for path in first
    }


def _parts(group: GroupRequest, found: Found, work: _Work) -> dict[str, Slot]:
    """The slots below a layer by their path, without the exceptions."""
    assert isinstance(found.thing, Module)
    prefix = len(found.path) + 1
    out = {
        slot.path
        for pattern in group.exceptions
        for left in find(pattern, found.thing, work.problems, whole_arrays=True)
        for slot in (left.thing.all_slots() if isinstance(left.thing, Module) else [left.thing])
    }
    return {slot.path[prefix:]: slot for slot in found.thing.all_slots() if slot.path not in out}


# -- contradictions ----------------------------------------------------------------------------------------------------


def _report(conflict: Conflict, work: _Work) -> None:
    first, second = conflict.first, conflict.second
    stories = [Label(m.slot.layer_span, m.slot.story) for m in (second, first)]
    if conflict.reason == "shape":
        fix = _fix(first, second)
        work.problems.error(
            "E0312",
            first.span,
            "the members of this share group do not have one shape",
            f"{_what(first)}stored as {shape_text(first.view.shape)}",
            labels=[Label(second.span, f"{_what(second)}needs {shape_text(second.view.shape)}"), stories[0]],
            help=f"the shapes match transposed: write `{second.span.text}.T`" if fix else None,
            fix=fix,
        )
        return
    messages = {
        "dtype": ("E0320", f"is {first.slot.type.dtype}", f"is {second.slot.type.dtype}"),
        "kind": ("E0321", _kind(first.slot), _kind(second.slot)),
        "itself": ("E0322", "one view of a tensor", "another view of the same tensor"),
        "overlap": ("E0323", "a part of a tensor", "a part of another tensor"),
        "entangled": ("E0315", "through these views", "through these views"),
    }
    titles = {
        "dtype": "the members of this share group do not have one dtype",
        "kind": "a parameter and a state can't be one tensor: training changes them in different ways",
        "itself": "a tensor can't be equal to another view of itself",
        "entangled": "these views can't be joined to one view of a stored tensor: a reshape cuts across another one",
        "overlap": "neither of these holds the other, so there is no tensor to store",
    }
    helps = {
        "itself": "the groups of this model tie it both ways; remove one of the two",
        "overlap": "a group with slices stores its widest member: name the wide one without a slice",
    }
    code, left, right = messages[conflict.reason]
    earlier = work.spans.get(second.slot.path)
    labels = [Label(second.span, f"`{second.slot.path}`: {right}")]
    if conflict.reason == "itself" and earlier is not None and earlier not in (first.span, second.span):
        labels.append(Label(earlier, "tied with it first"))
    work.problems.error(
        code,
        first.span,
        titles[conflict.reason],
        f"`{first.slot.path}`: {left}",
        labels=labels,
        help=helps.get(conflict.reason),
    )


def _what(member: Member) -> str:
    """The parameter meant, where the file names only its layer."""
    return "" if member.span.text.rstrip(".T").endswith(member.slot.path.rpartition(".")[2]) else (
        f"`{member.slot.path}` is "
    )


def _kind(slot: Slot) -> str:
    return "a parameter" if slot.kind == "param" else "a state"


def _fix(first: Member, second: Member) -> list[Edit]:
    a, b = first.view.shape, second.view.shape
    return [Edit(second.span.after(), ".T")] if len(a) == 2 and a == b[::-1] else []


def _check_initializers(work: _Work) -> None:
    for _, slots in work.sharing.families():
        explicit = [slot for slot, _ in slots if slot.initializer.explicit]
        for other in explicit[1:]:
            if (other.initializer.name, other.initializer.arguments) != (
                explicit[0].initializer.name,
                explicit[0].initializer.arguments,
            ):
                work.problems.error(
                    "E0324",
                    work.spans.get(other.path, other.span),
                    f"`{other.path}` and `{explicit[0].path}` are one tensor, but have two initializers",
                    labels=[
                        Label(explicit[0].span, f"`{explicit[0].initializer}`"),
                        Label(other.span, f"`{other.initializer}`"),
                    ],
                    help="remove one of the two, or make them the same",
                )
                break
        if explicit:
            for slot, _ in slots:
                slot.initializer = explicit[0].initializer


# -- freezing and statistics -------------------------------------------------------------------------------------------


def _freeze(work: _Work) -> None:
    frozen: dict[str, Span] = {}
    for request in work.program.freezes:
        root = root_of(work.program, request.base)
        for pattern in request.paths:
            for slot in _targets(pattern, root, request.base, work):
                frozen[slot.path] = pattern.span
    for _, slots in work.sharing.families():
        both = [slot for slot, _ in slots]
        cold = [slot for slot in both if slot.path in frozen]
        warm = [slot for slot in both if slot.path not in frozen]
        if cold and warm:
            work.problems.error(
                "E0325",
                frozen[cold[0].path],
                f"`{cold[0].path}` is frozen, but `{warm[0].path}`, which is the same tensor, is not",
                labels=[Label(work.spans.get(warm[0].path, warm[0].span), "tied here")],
                help=f"freeze `{warm[0].path}` too, or take it out of the group",
            )
        for slot in cold:
            slot.frozen = True


def _targets(pattern: PathPattern, root: Module, base: str, work: _Work) -> Sequence[Slot]:
    """The slots that a path of `freeze` means; it may be the name of a group."""
    named = f"{base}.{pattern.span.text}" if base else pattern.span.text
    group = [slot for slot in work.sharing.slots if work.sharing.named(slot) == named]
    if group:
        return group
    try:
        found = find(pattern, root, work.problems, whole_arrays=True)
    except NotFound:
        return []
    return [s for f in found for s in (f.thing.all_slots() if isinstance(f.thing, Module) else [f.thing])]


def _warn_of_mixed_statistics(work: _Work) -> None:
    for root in work.program.roots():
        for module in root.modules():
            states = [slot for slot in module.slots.values() if slot.kind == "state"]
            if not states:
                continue
            twins = [s for s in work.sharing.slots if work.sharing.home(s)[0] is work.sharing.home(states[0])[0]]
            if len(module.uses) > 1 and module.uses[0] != module.uses[1]:
                _mixed(module, states[0], module.uses[1], [Label(module.uses[0], "applied here first")], work)
            elif len(twins) > 1 and twins[0] is states[0]:
                place = work.spans.get(states[0].path, module.span)
                _mixed(module, states[0], place, [], work)


def _mixed(module: Module, state: Slot, place: Span, labels: list[Label], work: _Work) -> None:
    work.problems.error(
        "W0301",
        place if not place.source.is_standard else state.layer_span,
        f"`{module.path}` keeps running statistics ({', '.join(s for s, v in module.slots.items() if v.kind == 'state')}), "
        "and mixes those of several places",
        labels=[label for label in labels if not label.span.source.is_standard],
        help="that is right where all places see the same kind of data; to keep them apart, make a layer for each place and "
        "share them `except " + ", ".join(s for s, v in module.slots.items() if v.kind == "state") + "`",
        severity="warning",
    )
