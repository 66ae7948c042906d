"""Decides which tensors are stored: looks up `share` groups, unites their members, assigns a tensor to each slot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property

from wsdl.diagnostics import Label, Problems, limits
from wsdl.diagnostics.span import Span
from wsdl.ir.graph import Module, Slot, file_path
from wsdl.ir.requests import GroupRequest, PathPattern
from wsdl.ir.sharing import Member, Sharing
from wsdl.ir.stages import Checked, Storage, read_by
from wsdl.ir.views import View
from wsdl.ir.ways import WayRequest
from wsdl.sharing.check_group_names import check_group_names
from wsdl.sharing.check_layers import check_layers
from wsdl.sharing.conflicts import (
    report_conflict,
    report_initializers,
    report_missing,
    report_partly_frozen,
    report_partly_frozen_parts,
)
from wsdl.sharing.formulas import Computed, resolve_formulas, storage_of
from wsdl.sharing.paths import Match, NotFound, Paths
from wsdl.sharing.targets import Target, Targets, refuse_part
from wsdl.sharing.ways import Ways, refuse_member


@dataclass
class _Sharing:
    """The sharing so far, and where each slot was put into a group, or frozen."""

    program: Checked
    problems: Problems
    sharing: Sharing
    paths: Paths
    spans: dict[str, Span] = field(default_factory=dict)
    ties: list[tuple[Member, Member]] = field(default_factory=list)
    frozen: dict[str, Span] = field(default_factory=dict)
    selected: int = 0  # of limits.SELECTED

    @cached_property
    def ways(self) -> Ways:
        """What the ways of sharing make, once the plain groups are known."""
        return Ways(self.sharing, self.problems)

    @cached_property
    def members(self) -> Targets:
        """Looks up what the groups name."""
        return Targets(self.program, paths=self.paths)

    @cached_property
    def targets(self) -> Targets:
        """Looks up what `freeze` and `load` name, once all groups are known."""

        def group_of(slot: Slot) -> str | None:
            return None if self.ways.is_member(slot) else self.sharing.named(slot)

        return Targets(self.program, group_of, self.paths, self.ways.slots)

    def count(self, more: int, span: Span) -> None:
        """So many layers or parameters are named at a place; `_TooMany`, which is reported, where they are too many."""
        self.selected += more
        if self.selected > limits.SELECTED:
            self.problems.error(
                "E0602",
                span,
                f"`share`, `freeze` and `load` name more than {limits.SELECTED:,} layers and parameters",
                f"{more:,} more",
                help="name each once; a layer includes all of its parameters",
            )
            raise _TooMany


class _TooMany(Exception):
    """More is named than can be looked up in reasonable time."""


def share(program: Checked, problems: Problems) -> Storage | None:
    """What is stored for a program, and how each slot reads it.

    A program in which errors were found is looked through for more of them; there is no storage then.
    """
    work = _Sharing(program, problems, Sharing(list(program.slots())), Paths(program, bool(problems.errors)))
    computed: dict[str, Computed] = {}
    with suppress(_TooMany):
        for group in program.groups:
            _group(group, work)
        computed = resolve_formulas(program, work.members, work.sharing, work.ties, work.spans, problems)
        _ways(computed, work)
        _leave_out(computed, work)
        check_group_names(program, work.sharing, work.ways, problems)
        _check_initializers(work)
        _freeze(work)
        _check_loads(work)
    check_layers(program, work.sharing, work.spans, problems)
    if problems.errors:
        return None
    storage = storage_of(work.program, work.sharing, computed, work.ways, work.frozen)
    report_partly_frozen_parts(storage, work.frozen, problems)
    if program.copies:
        from wsdl.sharing.copies import with_copies

        storage = with_copies(storage, work.targets, problems)
    return None if problems.errors else _with_computed_initializers(storage)


# -- groups ------------------------------------------------------------------------------------------------------------


def _group(group: GroupRequest, work: _Sharing) -> None:
    try:
        families = _families(group, _members(group, work), work)
    except NotFound:
        return
    for below, family in families.items():
        _unite(group, below, family, work)


def _unite(group: GroupRequest, below: str, family: Sequence[Member], work: _Sharing) -> bool:
    """Make the members of a family one tensor; did that work?"""
    first = family[0]
    for member in family:
        work.spans.setdefault(member.slot.path, member.span)
    for other in family[1:]:
        conflict = work.sharing.unite(first, other)
        if conflict is not None:
            report_conflict(conflict, work.sharing, work.ties, work.problems)
            return False
        work.ties.append((first, other))
    if group.name:
        name = file_path(group.name)
        work.sharing.name(first.slot, f"{name}.{below}" if below else name)
    return True


def _ways(computed: Mapping[str, Computed], work: _Sharing) -> None:
    """What has a way of sharing; `computed` are the tensors that have a formula, by the paths of their roots."""
    if work.program.ways:
        work.ways.begin({root: formula.request.target.span for root, formula in computed.items()})
    steps = Counter(request.group.span for request in work.program.ways)
    for request in work.program.ways:
        _way(request, work, may_have_name=steps[request.group.span] == 1)


def _way(request: WayRequest, work: _Sharing, *, may_have_name: bool) -> None:
    """Unite the families of a way, and run its block for all members of them."""
    group = request.group
    try:
        members = _members(group, work)
        families = _families(group, members, work, least=1)
    except NotFound:
        return
    layers = [member.path for member in members]
    of_layers = isinstance(members[0].thing, Module)
    shared = []
    for below, family in families.items():
        if any(member.slot.kind == "state" or not member.slot.type.is_float for member in family):
            if not of_layers:
                refuse_member(family, work.problems)
                return
            continue
        distinct = work.ways.distinct(family, request)
        if distinct == []:
            continue
        if distinct is None or not _unite(group, below, distinct, work):
            return
        paths = [layer for layer, member in zip(layers, family, strict=True) if member in distinct]
        shared += work.ways.add_family(below, distinct, paths, request)
    work.ways.run(request, shared, may_have_name=may_have_name)


def _leave_out(computed: Mapping[str, Computed], work: _Sharing) -> None:
    """Leave out what only other variants use, unless it is tied with what this program reads or computes."""
    program = work.program
    others = [variant for name, variant in program.variants.items() if name != program.variant]
    unread = {slot.path for slot in program.slots()} - program.read() if others else set()
    if not unread:
        return
    elsewhere = read_by(formula.graph for variant in others for formula in variant.formulas)
    for group in (g for variant in others for g in (*variant.groups, *(way.group for way in variant.ways))):
        for pattern in group.members:
            with suppress(NotFound):  # reported for the variant
                elsewhere.update(slot.path for slot in work.members.of(pattern, group.base, None).slots)
    only_elsewhere, left_out = elsewhere & unread, set[str]()
    for root, slots in work.sharing.families():
        paths = {slot.path for slot, _ in slots}
        if paths <= only_elsewhere and root.path not in computed and not work.ways.is_member(root):
            left_out |= paths
    work.program = replace(program, left_out=frozenset(left_out))
    work.sharing.slots = list(work.program.slots())


def _members(group: GroupRequest, work: _Sharing) -> list[Match]:
    """What the paths of a group mean. Raises `NotFound` after all of them were looked up."""
    members: list[Match] = []
    missing = False
    for pattern in group.members:
        try:
            target = work.members.of(pattern, group.base, work.problems, whole_arrays=False)
            work.count(len(target.matches), pattern.span)
            members += target.matches
        except NotFound:
            missing = True
    if missing:
        raise NotFound
    return members


def _families(group: GroupRequest, members: list[Match], work: _Sharing, least: int = 2) -> dict[str, list[Member]]:
    """The slots that become one tensor each: the parameters themselves, or those of layers, matched by their path below
    the layer (which is the key). At `least` so many members are asked for."""
    distinct = {(m.thing.path, str(m.view)) for m in members}
    if len(distinct) < least:
        work.problems.error(
            "E0311",
            group.span,
            "a group with one member shares nothing",
            f"only `{members[0].path}`" + (", named twice" if len(members) > 1 else ""),
            help="name the other members, or remove the group",
        )
        raise NotFound
    layers = [m for m in members if isinstance(m.thing, Module)]
    if not layers:
        if group.exceptions:
            work.problems.error(
                "E0314",
                group.exceptions[0].span,
                "`except` excludes parts of layers, but these are parameters",
                "nothing to exclude",
                labels=[Label(members[0].span, "a parameter")],
                help="name the layers, or leave this out",
            )
            raise NotFound
        return {"": [Member(m.thing, m.view, m.span) for m in members if isinstance(m.thing, Slot) and m.view]}
    if len(layers) < len(members):
        other = next(m for m in members if isinstance(m.thing, Slot))
        work.problems.error(
            "E0326",
            other.span,
            "the members of a group must be either all layers or all parameters",
            "a parameter",
            labels=[Label(layers[0].span, "a layer")],
            help="name the parameters of the layers one by one, or make two groups",
        )
        raise NotFound
    return _matched(group, layers, work)


def _matched(group: GroupRequest, layers: list[Match], work: _Sharing) -> dict[str, list[Member]]:
    whole = [match.thing for match in layers if isinstance(match.thing, Module) and _is_whole(match, group, work)]
    for pattern in group.exceptions:  # what one of the layers doesn't have is left out of the others
        if whole and not any(_left_out(pattern, module, work) for module in whole):
            work.paths.find(pattern, whole[0], work.problems, whole_arrays=True)
    if len(whole) < len(layers):
        raise NotFound
    parts = [_parts(group, module, work) for module in whole]
    first = parts[0]
    for match, other in zip(layers[1:], parts[1:], strict=True):
        if first.keys() != other.keys():
            report_missing(layers[0], list(first), match, list(other), work.problems)
            raise NotFound
    if not first:
        span = group.exceptions[0].span.to(group.exceptions[-1].span) if group.exceptions else layers[0].span
        work.problems.error(
            "E0329",
            span,
            "nothing is left to share",
            "excludes all parameters" if group.exceptions else f"`{layers[0].path}` has no parameters",
            help="remove the group, or exclude less" if group.exceptions else "remove the group",
        )
        raise NotFound
    return {
        file_path(path): [
            Member(part[path], View.identity(part[path].sizes), match.span)
            for match, part in zip(layers, parts, strict=True)
        ]
        for path in first
    }


def _is_whole(match: Match, group: GroupRequest, work: _Sharing) -> bool:
    """Are all parameters of a layer known? Not where it is never applied, or its body is wrong; that was reported."""
    assert isinstance(match.thing, Module)
    if any(map(work.paths.is_doubtful, match.thing.modules())):
        return False
    if not match.thing.uses:
        work.paths.report_never_applied(match.thing, match.span, work.paths.root(group.base), work.problems)
    return bool(match.thing.uses)


def _parts(group: GroupRequest, layer: Module, work: _Sharing) -> dict[str, Slot]:
    """The slots below a layer by their path, without the exceptions."""
    out = {
        slot.path
        for pattern in group.exceptions
        for left in _left_out(pattern, layer, work)
        for slot, _ in left.tensors()
    }
    return {slot.path[len(layer.path) + 1 :]: slot for slot in layer.all_slots() if slot.path not in out}


def _left_out(pattern: PathPattern, layer: Module, work: _Sharing) -> list[Match]:
    """The parts of a layer that an exception means; none where it has no such part."""
    try:
        return work.paths.find(pattern, layer, None, whole_arrays=True)
    except NotFound:
        return []


# -- initial values ------------------------------------------------------------------------------------------


def _check_initializers(work: _Sharing) -> None:
    for root, slots in work.sharing.families():
        if work.ways.inputs.get(root.path, root) is None:
            continue  # nothing is stored for all of them
        explicit = [slot for slot, _ in slots if slot.initializer.explicit]
        for other in explicit[1:]:
            if str(other.initializer) != str(explicit[0].initializer):
                report_initializers(explicit[0], other, work.spans, work.problems)
                break


def _with_computed_initializers(storage: Storage) -> Storage:
    """The same, with the initial values that are computed from other tensors over what is stored for these."""
    if all(stored.initializer.graph is None for stored in storage.stored.values()):
        return storage
    from wsdl.sharing.read_stored import initializers_over_stored

    return initializers_over_stored(storage)


# -- freezing and loading ----------------------------------------------------------------------------------------------


def _freeze(work: _Sharing) -> None:
    frozen: dict[str, Span] = {}
    missing = False
    for request in work.program.freezes:
        for pattern in request.paths:
            try:
                target = _target(pattern, request.base, work)
                refuse_part(pattern, target, "be frozen", work.problems)
                frozen.update({slot.path: pattern.span for slot in target.slots})
            except NotFound:
                missing = True
    if missing:
        return  # what else is frozen is not known
    for _, slots in work.sharing.families():
        if not work.ways.is_member(slots[0][0]):
            report_partly_frozen([slot for slot, _ in slots], frozen, work.problems, work.spans)
    work.frozen.update(frozen)


def _target(pattern: PathPattern, base: str, work: _Sharing) -> Target:
    """What a path of `freeze` or `load` means."""
    target = work.targets.of(pattern, base, work.problems)
    work.count(len(target.tensors), pattern.span)
    return target


def _check_loads(work: _Sharing) -> None:
    """Check the `load`s, and leave out those of what has no parameters, as a layer that is never applied, so that no
    file is read for them."""
    if not work.program.loads:
        return
    from wsdl.sharing.check_loads import check_load

    needless = set()
    for request in work.program.loads:
        with suppress(NotFound):  # reported
            target = _target(request.target, request.base, work)
            check_load(request, target, work.targets, work.problems)
            if not target.tensors:
                needless.add(request)
    if needless:
        loads = tuple(request for request in work.program.loads if request not in needless)
        work.program = replace(work.program, loads=loads)
