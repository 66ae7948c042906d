"""`share as BLOCK { members }`: which tensors share, what the block makes of each of them, what is stored for it.

Plain groups come first, so that the members are stored tensors, each once. Those that share are then united as a plain
group would unite them: what that would store is the input of the block, under the same name, with the same initial
values. The slots that read it so far read what the block computes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property

from wsdl.diagnostics import Label, Problems
from wsdl.diagnostics.span import Span
from wsdl.ir.graph import Decay, Graph, Slot, Stored, Value, file_path
from wsdl.ir.sharing import Member, Sharing, explicit_initializer
from wsdl.ir.stages import Formula, Reading, SharedAs
from wsdl.ir.types import TensorType
from wsdl.ir.views import View, ViewError
from wsdl.ir.ways import Part, Seat, WayRequest, as_matrix
from wsdl.ops.build import Build
from wsdl.sharing.fold_views import view_of
from wsdl.sharing.through_view import through

Losses = tuple[tuple[str, Span], ...]


@dataclass(frozen=True, eq=False)
class Shared:
    """A tensor that the plain groups leave, as a member of a way.

    What the block makes for `seat` is the tensor of `root` through `view`; `slots` read that tensor. `united` is what a
    plain group of all members would store, and the view of it that they are.
    """

    request: WayRequest
    seat: Seat
    root: Slot
    view: View
    slots: tuple[tuple[Slot, View], ...]
    united: tuple[Slot, View]


@dataclass(eq=False)
class Ways:
    """What the ways of a program make, over the homes that its slots have by the plain groups.

    `graphs` compute the tensors of members, and their losses. `parts` are stored for them, by the path of what a plain
    group would store; `inputs` are the slots by which blocks read that, through a view, or `None` where the block takes
    nothing.
    """

    sharing: Sharing
    problems: Problems
    graphs: list[tuple[Shared, Graph, Losses]] = field(default_factory=list)
    parts: dict[str, list[Stored]] = field(default_factory=dict)
    inputs: dict[str, tuple[Slot, View] | None] = field(default_factory=dict)

    _taken: dict[str, WayRequest] = field(default_factory=dict)  # by the path of the root
    _families: dict[tuple[tuple[str, str], ...], WayRequest] = field(default_factory=dict)  # by their roots and views
    _homes: dict[str, tuple[Slot, View]] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)  # below which the parts of a member lie
    _readers: dict[str, list[tuple[Slot, View]]] = field(default_factory=dict)

    _formulas: Mapping[str, Span] = field(default_factory=dict)  # by the path of the root
    _made: list[tuple[WayRequest, Sequence[Shared], Sequence[Part]]] = field(default_factory=list)

    def begin(self, formulas: Mapping[str, Span]) -> None:
        """The plain groups are united: remember the homes that slots have by these. `formulas` says which tensors have
        a formula, by the paths of their roots, and where."""
        self._formulas = formulas
        for slot in self.sharing.slots:
            root, view = self._homes[slot.path] = self.sharing.home(slot)
            self._names[slot.path] = self.sharing.named(slot) or slot.path
            self._readers.setdefault(root.path, []).append((slot, view))

    # -- members -------------------------------------------------------------------------------------------------------

    def distinct(self, family: Sequence[Member], request: WayRequest) -> list[Member] | None:
        """The members of a family, each tensor once; `None` where one can't be a member, which was reported.

        An empty list where they have this way already, as it is stated in a block of which plain groups tie layers."""
        homes = ((self._homes[member.slot.path], member.view) for member in family)
        key = tuple((root.path, str(view.then(own))) for (root, view), own in homes)
        earlier = self._families.setdefault(key, request)
        if earlier is not request and _is_repeated(request, earlier):
            return []
        distinct: dict[str, Member] = {}
        for member in family:
            root, view = self._homes[member.slot.path]
            if not view.then(member.view).is_whole:
                self._refuse_slice(member, root)
                return None
            if root.path in self._taken or root.path in self._formulas:
                self._refuse_second(member, root, request)
                return None
            distinct.setdefault(root.path, member)
        self._taken.update(dict.fromkeys(distinct, request))
        return list(distinct.values())

    def seats(self, below: str, members: Sequence[Member], layers: Sequence[str], request: WayRequest) -> list[Shared]:
        """The members of a family that was united. `below` is its path below the layers that are shared, if any are;
        `layers` are their paths, or those of the parameters."""
        group, way, first = request.group, request.way, members[0]
        stored, view = self.sharing.home(first.slot)
        view = view.then(first.view)
        family = f"{group.name}.{below}" if group.name and below else group.name or self._names[stored.path]
        matrix, source = as_matrix(view.shape), None
        if way.input is not None:
            type_ = TensorType.of(stored.type.dtype, matrix)
            source = replace(stored, path=f"{family}.{way.input}", type=type_)
        self.inputs[stored.path] = None if source is None else (source, view.reshape(matrix))
        shared = []
        for number, (member, layer) in enumerate(zip(members, layers, strict=True)):
            root, home = self._homes[member.slot.path]
            path, all_families = self._names[root.path], group.name or layers[0]
            seat = Seat(path, layer, family, all_families, number, len(members), view.shape, stored.type.dtype, source)
            readers = tuple(self._readers[root.path])
            shared.append(Shared(request, seat, root, home.then(member.view), readers, (stored, view)))
        return shared

    # -- what the blocks make ------------------------------------------------------------------------------------------

    def run(self, request: WayRequest, shared: Sequence[Shared], *, may_have_name: bool) -> None:
        """Run the block of a request for all members of all its families. Warns where what they share has no name of
        its own, if it `may_have_name`: in a `for` each step would give the same one."""
        made = request.way.run([one.seat for one in shared], self.problems)
        if made is None:
            return
        self._made.append((request, shared, tuple(made.parts.values())))
        by_seat = {one.seat: one for one in shared}
        for one, graph, losses in zip(shared, made.graphs, made.losses, strict=True):
            self.graphs.append((one, _of_root(graph, one), losses))
        common = next((part.slot.path for part in made.parts.values() if part.shared), None)
        if common is not None and may_have_name and not request.group.name:
            self._warn_of_no_name(request, common)
        for part in made.parts.values():
            first = by_seat[part.seat]
            self.parts.setdefault(first.united[0].path, []).append(self._stored(part, first))

    def _stored(self, part: Part, first: Shared) -> Stored:
        """What is stored for a part. One of the shape of the parameter is stored in the shape that this has."""
        slot, name = part.slot, file_path(part.slot.path)
        decay: Decay = "never" if not part.decays else "vector" if part.of_vector else "by rank"
        group = name if part.shared and first.request.group.name else ""
        if part.leading is None:
            views = ((slot, View.identity(slot.sizes)),)
            return Stored(name, slot.type, slot, views, slot.initializer, group=group, decay=decay)
        root, view = first.united if part.shared else (first.root, first.view)
        leading = slot.sizes[: part.leading]
        each = view.of_each(leading).reshape(slot.sizes)
        initializer = slot.initializer
        if part.inherits:
            readers = self._readers[root.path]
            initializer = explicit_initializer(s for s, _ in readers) or root.initializer
            initializer = replace(initializer, key=root.path)
        initializer = replace(initializer, leading=part.leading)
        type_ = TensorType.of(slot.type.dtype, each.source)
        if part.decays and root.type.rank <= 1:
            decay = "vector"
        return Stored(name, type_, replace(slot, type=type_), ((slot, each),), initializer, group=group, decay=decay)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Those that the blocks read: inputs and parts."""
        inputs = [source[0] for source in self.inputs.values() if source is not None]
        return (*inputs, *(slot for parts in self.parts.values() for part in parts for slot, _ in part.slots))

    def is_member(self, slot: Slot) -> bool:
        """Has what a slot reads a way of sharing?"""
        return bool(self._taken) and self._homes[slot.path][0].path in self._taken

    # -- what is stored, and how it is read ----------------------------------------------------------------------------

    def stored(self, frozen: Collection[str]) -> list[Stored]:
        """What is stored, in the order of declaration: for what has a way its input and its parts. `frozen` are the
        paths of slots; a part is so too where all that read it are."""
        readers: dict[str, list[str]] = {}
        for shared, graph, _ in self.graphs:
            for path in _read_by(graph, graph.outputs):
                readers.setdefault(path, []).extend(slot.path for slot, _ in shared.slots)
        result = []
        for stored in self.sharing.stored(frozen):
            path = stored.root.path
            source = self.inputs.get(path)
            if source is not None:
                views = self._views.get(source[0].path, ())
                slots = stored.slots if len(views) == len(stored.slots) else (source, *views)
                is_frozen = stored.frozen or source[0].path in frozen
                stored = replace(stored, slots=slots, members=self._members(path), frozen=is_frozen)
            if path not in self.inputs or source is not None:
                result.append(stored)
            for part in self.parts.get(path, ()):
                is_frozen = part.root.path in frozen or all(slot in frozen for slot in readers[part.root.path])
                slots = (*part.slots, *self._views.get(part.root.path, ()))
                result.append(replace(part, slots=slots, frozen=is_frozen))
        return result

    def _members(self, path: str) -> tuple[tuple[Slot, View], ...]:
        """The slots that a plain group of all members would make views of what it stores, which has this path."""
        members: list[tuple[Slot, View]] = []
        for shared, _, _ in self.graphs:
            united, view = shared.united
            back = shared.view.inverse() if united.path == path else None
            if back is not None:
                with suppress(ViewError):
                    members += [(slot, view.then(back).then(own)) for slot, own in shared.slots]
        return tuple(members)

    def formulas(self, readings: Mapping[str, Reading]) -> list[Formula]:
        """The formulas of members; `readings` are those of parts, of inputs, and of what is only a view of these."""
        formulas = []
        for shared, graph, losses in self.graphs:
            if not any(slot.path in readings for slot, _ in shared.slots):
                behind = _read_by(graph, graph.outputs[:1])
                tensors = dict.fromkeys(name for path in behind for name in readings[path].tensors)
                span = shared.request.way.span
                formulas.append(Formula(shared.root, graph, span, tuple(tensors), shared.slots, losses))
        return formulas

    @cached_property
    def _views(self) -> dict[str, list[tuple[Slot, View]]]:
        """By the path of an input or a part the slots that are only views of it, as of what the block returns as it
        is."""
        sources = {source[0].path: source[1] for source in self.inputs.values() if source is not None}
        sources |= {slot.path: view for parts in self.parts.values() for part in parts for slot, view in part.slots}
        views: dict[str, list[tuple[Slot, View]]] = {}
        for shared, graph, losses in self.graphs:
            found = view_of(graph) if not losses else None
            if found is None or found[0] not in sources:
                continue
            with suppress(ViewError):
                view = sources[found[0]].then(found[1])
                slots = [(slot, view.then(own)) for slot, own in shared.slots]
                if all(own.layout for _, own in slots):
                    views.setdefault(found[0], []).extend(slots)
        return views

    def resolved(self, stored: Sequence[Stored]) -> tuple[SharedAs, ...]:
        """What each `share as` line comes to; `stored` is all that is stored."""
        names = {s.root.path: s.name for s in stored}
        lines = []
        for request, shared, parts in self._made:
            inputs = (names[one.united[0].path] for one in shared if one.seat.input is not None)
            common = (names[part.slot.path] for part in parts if part.shared)
            own = (names[part.slot.path] for part in parts if not part.shared)
            members = dict.fromkeys(one.seat.layer for one in shared)
            slots = tuple(slot.path for one in shared for slot, _ in one.slots)
            lines.append(SharedAs(request, tuple(members), slots, tuple(dict.fromkeys([*inputs, *common])), tuple(own)))
        return tuple(lines)

    # -- mistakes ------------------------------------------------------------------------------------------------------

    def _refuse_slice(self, member: Member, root: Slot) -> None:
        own = "" if root is member.slot else f", which is stored in `{root.path}`"
        self.problems.error(
            "E0345",
            member.span,
            "a part of a tensor can't have its own way of sharing",
            f"a part of `{root.path}`, {root.type}" if not own else f"`{member.slot.path}`{own}, is a part of it",
            help="name the whole parameter, or declare the part as a separate parameter",
        )

    def _refuse_second(self, member: Member, root: Slot, request: WayRequest) -> None:
        first, formula = self._taken.get(root.path), self._formulas.get(root.path)
        label, labels = f"`{request.way.name}` here", [Label(formula, "computed here")] if formula else []
        if first and first.group.span != request.group.span:
            labels.append(Label(first.group.span, f"`{first.way.name}` here, which has it too"))
        elif first:
            in_steps = first.group.base == request.group.base
            places = "two steps of the `for`" if in_steps else f"`{first.group.base}` and in `{request.group.base}`"
            label += f", in {places}"
        self.problems.error(
            "E0346",
            member.span,
            f"`{member.slot.path}` has {'two ways of sharing' if first else 'a formula and a way of sharing'}",
            label,
            labels=labels,
            help="take it out of one of the two, by its path or by `except`" if first else "remove one of the two",
        )

    def _warn_of_no_name(self, request: WayRequest, common: str) -> None:
        span = request.way.span
        written = f"write `share NAME as {span.text} {{ … }}`" if "\n" not in span.text else "give the group a name"
        self.problems.error(
            "W0303",
            span,
            f"the paths of the shared parameters begin with that of the first member: `{common}`",
            "has shared parameters, but no name",
            help=f"{written}: checkpoints then don't depend on which member is first",
            severity="warning",
        )


def _is_repeated(request: WayRequest, earlier: WayRequest) -> bool:
    """Are two requests one statement, with the same configuration?"""
    same = request.group.span == earlier.group.span
    return same and request.way.configuration == earlier.way.configuration


def refuse_member(family: Sequence[Member], problems: Problems) -> None:
    """Report a member that no way can compute: a state, or what isn't float."""
    member = next(m for m in family if m.slot.kind == "state" or not m.slot.type.is_float)
    state = member.slot.kind == "state"
    problems.error(
        "E0345",
        member.span,
        f"a {'state' if state else 'tensor of integers'} can't have a way of sharing",
        f"`{member.slot.path}` is {'a state' if state else member.slot.type}",
        help="a way of sharing computes float parameters; `share { … }` shares any tensors",
    )


def _of_root(graph: Graph, shared: Shared) -> Graph:
    """The matrix that a graph computes, as the tensor of `root`."""
    graph = graph.copy({})
    build = Build(graph, shared.seat.path, shared.request.way.span)
    value, *losses = graph.outputs
    back = shared.view.inverse()
    assert back is not None
    if value.type.sizes != back.source:
        value = build("reshape", value, shape=list(back.source))
    graph.outputs = [through(build, value, back), *losses]
    return graph


def _read_by(graph: Graph, values: Sequence[Value]) -> Iterator[str]:
    """The paths of the slots that some values of a graph are computed from."""
    return (str(node.attributes["slot"]) for node in graph.needed(values) if node.op == "parameter")
