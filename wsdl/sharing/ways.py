"""`share as BLOCK { members }`: the members, the graphs that the block computes for them, and the stored parts.

Plain groups are united first, so that each member is a distinct stored tensor. The members of a family are then united
as a plain group would unite them: the tensor which that would store is the input of the block, with the same name and
initial values. The slots that read the members read the results of the block instead.
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
from wsdl.ir.ways import Part, WayMember, WayRequest, as_matrix
from wsdl.ops.build import Build
from wsdl.sharing.fold_views import view_of
from wsdl.sharing.through_view import through

Losses = tuple[tuple[str, Span], ...]


@dataclass(frozen=True, eq=False)
class SharedTensor:
    """A distinct tensor, after plain groups are united, as a member of a way.

    The block's result for `member` is the tensor of `root` through `view`; `slots` read that tensor. `united` is the
    tensor that a plain group of all members would store, and the members' view of it.
    """

    request: WayRequest
    member: WayMember
    root: Slot
    view: View
    slots: tuple[tuple[Slot, View], ...]
    united: tuple[Slot, View]


@dataclass(eq=False)
class Ways:
    """The expanded ways of a program, on top of its plain groups.

    `graphs` compute the tensors of members, and their losses. `parts` are stored for them, by the path of the tensor
    that a plain group would store; `inputs` are the slots by which blocks read that tensor, each with its view, or
    `None` if the block has no input.
    """

    sharing: Sharing
    problems: Problems
    graphs: list[tuple[SharedTensor, Graph, Losses]] = field(default_factory=list)
    parts: dict[str, list[Stored]] = field(default_factory=dict)
    inputs: dict[str, tuple[Slot, View] | None] = field(default_factory=dict)

    _requests: dict[str, WayRequest] = field(default_factory=dict)  # of members, by the path of the root
    _families: dict[tuple[tuple[str, str], ...], WayRequest] = field(default_factory=dict)  # by their roots and views
    _homes: dict[str, tuple[Slot, View]] = field(default_factory=dict)  # root and view of each slot, by plain groups
    _names: dict[str, str] = field(default_factory=dict)  # prefixes of the paths of parts, by the path of the slot
    _readers: dict[str, list[tuple[Slot, View]]] = field(default_factory=dict)

    _formulas: Mapping[str, Span] = field(default_factory=dict)  # by the path of the root
    _expanded: list[tuple[WayRequest, Sequence[SharedTensor], Sequence[Part]]] = field(default_factory=list)

    def begin(self, formulas: Mapping[str, Span]) -> None:
        """Record the results of the plain groups, which are united. `formulas` are the locations of the formulas, by
        the path of the root that they compute."""
        self._formulas = formulas
        for slot in self.sharing.slots:
            root, view = self._homes[slot.path] = self.sharing.home(slot)
            self._names[slot.path] = self.sharing.named(slot) or slot.path
            self._readers.setdefault(root.path, []).append((slot, view))

    # -- members -------------------------------------------------------------------------------------------------------

    def distinct(self, family: Sequence[Member], request: WayRequest) -> list[Member] | None:
        """The members of a family, each tensor once; `None` after reporting one that can't be a member.

        Empty if they already have this way: when it is stated in a block, of which plain groups tie several layers."""
        homes = ((self._homes[member.slot.path], member.view) for member in family)
        key = tuple((root.path, str(view.then(member_view))) for (root, view), member_view in homes)
        earlier = self._families.setdefault(key, request)
        if earlier is not request and _is_repeated(request, earlier):
            return []
        distinct: dict[str, Member] = {}
        for member in family:
            root, view = self._homes[member.slot.path]
            if not view.then(member.view).is_whole:
                self._refuse_slice(member, root)
                return None
            if root.path in self._requests or root.path in self._formulas:
                self._refuse_second(member, root, request)
                return None
            distinct.setdefault(root.path, member)
        self._requests.update(dict.fromkeys(distinct, request))
        return list(distinct.values())

    def add_family(
        self, below: str, members: Sequence[Member], layers: Sequence[str], request: WayRequest
    ) -> list[SharedTensor]:
        """Add a united family; returns its members. `below` is its path relative to the shared layers, empty for shared
        parameters; `layers` are the paths of the shared layers or parameters."""
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
            way_member = WayMember(
                path, layer, family, all_families, number, len(members), view.shape, stored.type.dtype, source
            )
            readers = tuple(self._readers[root.path])
            shared.append(SharedTensor(request, way_member, root, home.then(member.view), readers, (stored, view)))
        return shared

    # -- running the blocks --------------------------------------------------------------------------------------------

    def run(self, request: WayRequest, shared: Sequence[SharedTensor], *, may_have_name: bool) -> None:
        """Run the block of a request for all members of all its families. Warns about shared parts of a group without a
        name if it `may_have_name`: the steps of a `for` would all have the same one."""
        expanded = request.way.run([tensor.member for tensor in shared], self.problems)
        if expanded is None:
            return
        self._expanded.append((request, shared, tuple(expanded.parts.values())))
        by_member = {tensor.member: tensor for tensor in shared}
        for tensor, graph, losses in zip(shared, expanded.graphs, expanded.losses, strict=True):
            self.graphs.append((tensor, _of_root(graph, tensor), losses))
        common = next((part.slot.path for part in expanded.parts.values() if part.shared), None)
        if common is not None and may_have_name and not request.group.name:
            self._warn_of_no_name(request, common)
        for part in expanded.parts.values():
            first = by_member[part.member]
            self.parts.setdefault(first.united[0].path, []).append(self._stored(part, first))

    def _stored(self, part: Part, first: SharedTensor) -> Stored:
        """The stored tensor of a part; a part with the size of the parameter has the parameter's shape."""
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
        """The slots that the blocks read: inputs and parts."""
        inputs = [source[0] for source in self.inputs.values() if source is not None]
        return (*inputs, *(slot for parts in self.parts.values() for part in parts for slot, _ in part.slots))

    def is_member(self, slot: Slot) -> bool:
        """Whether the tensor that a slot reads is a member of a way."""
        return bool(self._requests) and self._homes[slot.path][0].path in self._requests

    # -- stored tensors and readings -----------------------------------------------------------------------------------

    def stored(self, frozen: Collection[str]) -> list[Stored]:
        """The stored tensors, in the order of declaration: for members of a way its input and its parts. `frozen` are
        the paths of slots; a part is frozen if all slots that read it are."""
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
        """The slots of all members, with their views of the tensor at this path, which a plain group would store."""
        members: list[tuple[Slot, View]] = []
        for shared, _, _ in self.graphs:
            united, view = shared.united
            back = shared.view.inverse() if united.path == path else None
            if back is not None:
                with suppress(ViewError):
                    members += [(slot, view.then(back).then(slot_view)) for slot, slot_view in shared.slots]
        return tuple(members)

    def formulas(self, readings: Mapping[str, Reading]) -> list[Formula]:
        """The formulas of members. `readings` are those of parts, of inputs, and of slots that are views of these."""
        formulas = []
        for shared, graph, losses in self.graphs:
            if not any(slot.path in readings for slot, _ in shared.slots):
                paths = _read_by(graph, graph.outputs[:1])
                tensors = dict.fromkeys(name for path in paths for name in readings[path].tensors)
                span = shared.request.way.span
                formulas.append(Formula(shared.root, graph, span, tuple(tensors), shared.slots, losses))
        return formulas

    @cached_property
    def _views(self) -> dict[str, list[tuple[Slot, View]]]:
        """By the path of an input or a part, the slots that are only views of it, as a block returns it unchanged."""
        sources = {source[0].path: source[1] for source in self.inputs.values() if source is not None}
        sources |= {slot.path: view for parts in self.parts.values() for part in parts for slot, view in part.slots}
        views: dict[str, list[tuple[Slot, View]]] = {}
        for shared, graph, losses in self.graphs:
            source = view_of(graph) if not losses else None
            if source is None or source[0] not in sources:
                continue
            path, view = source
            with suppress(ViewError):
                view = sources[path].then(view)
                slots = [(slot, view.then(slot_view)) for slot, slot_view in shared.slots]
                if all(slot_view.layout for _, slot_view in slots):
                    views.setdefault(path, []).extend(slots)
        return views

    def resolved(self, stored: Sequence[Stored]) -> tuple[SharedAs, ...]:
        """Each `share as` line with its members and stored tensors; `stored` are those of the whole program."""
        names = {s.root.path: s.name for s in stored}
        lines = []
        for request, shared, parts in self._expanded:
            inputs = (names[tensor.united[0].path] for tensor in shared if tensor.member.input is not None)
            common = (names[part.slot.path] for part in parts if part.shared)
            own = (names[part.slot.path] for part in parts if not part.shared)
            members = dict.fromkeys(tensor.member.layer for tensor in shared)
            slots = tuple(slot.path for tensor in shared for slot, _ in tensor.slots)
            lines.append(SharedAs(request, tuple(members), slots, tuple(dict.fromkeys([*inputs, *common])), tuple(own)))
        return tuple(lines)

    # -- errors --------------------------------------------------------------------------------------------------------

    def _refuse_slice(self, member: Member, root: Slot) -> None:
        stored_in = "" if root is member.slot else f", which is stored in `{root.path}`"
        self.problems.error(
            "E0345",
            member.span,
            "a part of a tensor can't have its own way of sharing",
            f"`{member.slot.path}`{stored_in}, is a part of it"
            if stored_in
            else f"a part of `{root.path}`, {root.type}",
            help="name the whole parameter, or declare the part as a separate parameter",
        )

    def _refuse_second(self, member: Member, root: Slot, request: WayRequest) -> None:
        first, formula = self._requests.get(root.path), self._formulas.get(root.path)
        label, labels = f"`{request.way.name}` here", [Label(formula, "computed here")] if formula else []
        if first and first.group.span != request.group.span:
            labels.append(Label(first.group.span, f"also in `{first.way.name}` here"))
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
        advice = f"write `share NAME as {span.text} {{ … }}`" if "\n" not in span.text else "give the group a name"
        self.problems.error(
            "W0303",
            span,
            f"the paths of the shared parameters depend on which member is first: `{common}`",
            "has shared parameters, but no name",
            help=f"{advice}, so that checkpoints don't depend on the order of the members",
            severity="warning",
        )


def _is_repeated(request: WayRequest, earlier: WayRequest) -> bool:
    """Whether two requests are one statement with the same configuration."""
    same = request.group.span == earlier.group.span
    return same and request.way.configuration == earlier.way.configuration


def refuse_member(family: Sequence[Member], problems: Problems) -> None:
    """Report a member that no way can compute: a state or a tensor of integers."""
    member = next(m for m in family if m.slot.kind == "state" or not m.slot.type.is_float)
    state = member.slot.kind == "state"
    problems.error(
        "E0345",
        member.span,
        f"a {'state' if state else 'tensor of integers'} can't have a way of sharing",
        f"`{member.slot.path}` is {'a state' if state else member.slot.type}",
        help="a way of sharing computes float parameters; `share { … }` shares any tensors",
    )


def _of_root(graph: Graph, shared: SharedTensor) -> Graph:
    """A graph that computes the tensor of `root` from one that computes the member's matrix."""
    graph = graph.copy({})
    build = Build(graph, shared.member.path, shared.request.way.span)
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
