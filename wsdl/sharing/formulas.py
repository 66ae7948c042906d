"""`param PATH = EXPRESSION`: the computed slots, their formulas, and the stored tensors that these read.

A formula that is a view of one parameter is a share group of two. Any other replaces the tensor that would be stored
for its parameter: all slots tied to the parameter read the formula.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from math import prod

from wsdl.diagnostics import Label, Problems
from wsdl.diagnostics.span import Span
from wsdl.ir.graph import ComputedSlot, Graph, Slot
from wsdl.ir.requests import FormulaRequest
from wsdl.ir.sharing import Member, Sharing
from wsdl.ir.stages import Checked, Formula, FormulaReading, Reading, Storage, ViewReading
from wsdl.ir.text import graph_text
from wsdl.ir.types import same_type, shape_text
from wsdl.ir.views import View
from wsdl.ops.build import Build
from wsdl.sharing.conflicts import report_conflict
from wsdl.sharing.fold_views import view_of
from wsdl.sharing.paths import NotFound
from wsdl.sharing.targets import Targets
from wsdl.sharing.ways import Ways


@dataclass(frozen=True, eq=False)
class Computed:
    """A formula with its slot: `root` is the slot whose tensor would be stored for `slot`; `back` is the view of the
    formula's value that is the tensor of `root`."""

    request: FormulaRequest
    slot: Slot
    root: Slot
    back: View

    @property
    def reads(self) -> Iterator[str]:
        """The paths of the slots that it reads."""
        for node in self.request.graph.walk():
            if node.op == "parameter":
                yield str(node.attributes["slot"])


def resolve_formulas(
    program: Checked,
    targets: Targets,
    sharing: Sharing,
    ties: list[tuple[Member, Member]],
    spans: dict[str, Span],
    problems: Problems,
) -> dict[str, Computed]:
    """The formulas by the path of the root that they replace; groups must be united. Formulas that are views are
    united too, in `sharing`. `ties` and `spans` receive the united members and their locations, for messages."""
    slots = {slot.path: slot for slot in program.slots()} if program.formulas else {}
    formulas: list[tuple[FormulaRequest, Slot]] = []
    for request in program.formulas:
        with suppress(NotFound):
            request, slot = _with_slot(request, targets, problems)
            source = view_of(request.graph)
            if source is None or request.losses:
                formulas.append((request, slot))
                continue
            first = Member(slots[source[0]], source[1], request.span)
            second = Member(slot, View.identity(slot.sizes), request.target.span)
            conflict = sharing.unite(first, second)
            if conflict is not None:
                report_conflict(conflict, sharing, ties, problems)
                continue
            ties.append((first, second))
            for member in first, second:
                spans.setdefault(member.slot.path, member.span)
    computed: dict[str, Computed] = {}
    for request, slot in formulas:
        with suppress(NotFound):
            root, view = sharing.home(slot)
            back = view.inverse()
            if back is None:
                _report_part(request, slot, root, problems)
                continue
            formula = Computed(request, slot, root, back)
            earlier = computed.setdefault(root.path, formula)
            if earlier is not formula and not _is_repeated(formula, earlier, slots, sharing):
                _report_second(request, slot, earlier, problems)
    return _in_order(computed, slots, sharing, problems)


# -- one formula -------------------------------------------------------------------------------------------------------


def _with_slot(request: FormulaRequest, targets: Targets, problems: Problems) -> tuple[FormulaRequest, Slot]:
    """A formula with the parameter that it computes; a number takes the parameter's dtype. Raises `NotFound` after
    reporting an error."""
    target = targets.of(request.target, request.base, problems, whole_arrays=False)
    match = target.matches[0]
    slot, span = match.thing, request.target.span
    help = "name one parameter of a layer, such as `decode.weight`; use `for` to write a formula for each of several"
    if len(target.matches) > 1 or not isinstance(slot, Slot):
        many = f"{len(target.matches)} layers or parameters" if len(target.matches) > 1 else "a layer"
        problems.error("E0333", span, "a formula computes one parameter", many, help=help)
    elif slot.kind == "state":
        problems.error("E0333", span, "a formula computes a parameter", f"`{slot.path}` is a state", help=help)
    elif match.view is not None and not match.view.is_identity:
        problems.error(
            "E0333",
            span,
            "a formula computes a whole parameter, without a view",
            f"a view of `{slot.path}`, {slot.type}",
            help="apply the inverse view to the right side; to compute parts separately, use `concat` there",
        )
    else:
        number = _number(request)
        if number is not None and slot.type.is_float:
            graph = Graph()
            graph.outputs = [Build(graph, slot.path, request.span).constant(float(number), slot.type)]
            request = replace(request, graph=graph)
        if same_type(request.graph.outputs[0].type, slot.type):
            return request, slot
        _report_type(request, slot, problems)
    raise NotFound


def _number(request: FormulaRequest) -> int | float | None:
    """The value of a formula that is a number; otherwise `None`."""
    graph = request.graph
    node = graph.nodes[0] if len(graph.nodes) == 1 and graph.nodes[0].op == "constant" else None
    value = node.attributes["value"] if node is not None else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _report_type(request: FormulaRequest, slot: Slot, problems: Problems) -> None:
    type_ = request.graph.outputs[0].type
    sizes, help = type_.sizes, None
    number = _number(request)
    if number is not None and slot.sizes:
        help = f"write `full({shape_text(slot.sizes)}, {number})`"
    elif type_.dtype != slot.type.dtype:
        help = f"write `cast(…, {slot.type.dtype})`"
    elif sizes is not None and len(sizes) == 2 and sizes[::-1] == slot.sizes:
        help = "its transpose fits: `(…).T`"
    elif sizes is not None and prod(sizes) == prod(slot.sizes):
        help = f"it has the same number of elements: `(…).reshape({', '.join(map(str, slot.sizes))})` fits"
    problems.error(
        "E0334",
        request.span,
        f"`{slot.path}` is {slot.type}, but this is {type_}",
        f"{type_}",
        labels=[Label(request.target.span, f"{slot.type}")]
        + ([Label(slot.layer_span, slot.story)] if slot.story else []),
        help=help,
    )


# -- several formulas --------------------------------------------------------------------------------------------------


def _is_repeated(formula: Computed, earlier: Computed, slots: Mapping[str, Slot], sharing: Sharing) -> bool:
    """Whether two formulas are one statement of a block, run for two layers, over the same tensors."""

    def text(of: Computed) -> str:
        graph = of.request.graph.copy({})
        for node in graph.walk():
            if node.op == "parameter":
                root, view = sharing.home(slots[str(node.attributes["slot"])])
                node.attributes = {"slot": f"{root.path}{view}"}
        return f"{of.back}{graph_text(graph)}"

    return formula.request.span == earlier.request.span and text(formula) == text(earlier)


def _report_second(request: FormulaRequest, slot: Slot, first: Computed, problems: Problems) -> None:
    tied = f"; `{slot.path}` and `{first.slot.path}` are one tensor" if slot is not first.slot else ""
    problems.error(
        "E0335",
        request.target.span,
        f"`{slot.path}` is computed by two formulas",
        f"computed again{tied}",
        labels=[Label(first.request.target.span, "computed first")]
        if first.request.target.span != request.target.span
        else (),
        help="remove one of them" if not tied else "remove one of them, or take one of the two out of the group",
    )


def _report_part(request: FormulaRequest, slot: Slot, root: Slot, problems: Problems) -> None:
    problems.error(
        "E0337",
        request.target.span,
        f"`{slot.path}` is a part of `{root.path}`, which is stored",
        "can't have a formula of its own",
        labels=[Label(root.layer_span, f"`{root.path}` is {root.type}")],
        help=f"compute `{root.path}`, or take `{slot.path}` out of the group",
    )


def _in_order(
    computed: Mapping[str, Computed], slots: Mapping[str, Slot], sharing: Sharing, problems: Problems
) -> dict[str, Computed]:
    """The formulas in topological order, each after those that it reads; cycles are reported."""
    ordered: dict[str, Computed] = {}

    def needed(root: str) -> Iterator[str]:
        roots = (sharing.home(slots[path])[0].path for path in computed[root].reads)
        return iter(dict.fromkeys(r for r in roots if r in computed))

    for start in computed:
        stack = {start: needed(start)} if start not in ordered else {}  # each formula is read by the one before it
        while stack:
            root, rest = next(reversed(stack.items()))
            following = next((r for r in rest if r not in ordered), None)
            if following is None:
                ordered[root] = computed[root]
                del stack[root]
            elif following in stack:
                roots = list(stack)
                _report_cycle([computed[r] for r in roots[roots.index(following) :]], slots, sharing, problems)
            else:
                stack[following] = needed(following)
    return ordered


def _report_cycle(cycle: list[Computed], slots: Mapping[str, Slot], sharing: Sharing, problems: Problems) -> None:
    def needed(formula: Computed, following: Computed) -> str:
        """The slot by which a formula reads the next one."""
        path = next(p for p in formula.reads if sharing.home(slots[p])[0] is following.root)
        tied = f", which is tied with `{following.slot.path}`" if path != following.slot.path else ""
        return f"`{path}`{tied}"

    first, *others = cycle
    names = [f"`{formula.slot.path}`" for formula in cycle]
    if others:
        message = f"the formulas of {', '.join(names[:-1])} and {names[-1]} depend on each other"
    else:
        message = f"the formula of {names[0]} depends on itself"
    needs = [needed(formula, following) for formula, following in zip(cycle, [*others, first], strict=True)]
    problems.error(
        "E0336",
        first.request.span,
        message,
        f"depends on {needs[0]}",
        labels=[Label(o.request.span, f"depends on {n}") for o, n in zip(others, needs[1:], strict=True)],
        help="compute one of them from a stored parameter: `param base: […]`",
    )


# -- storage -----------------------------------------------------------------------------------------------------------


def storage_of(
    program: Checked, sharing: Sharing, computed: Mapping[str, Computed], ways: Ways, frozen: Collection[str]
) -> Storage:
    """The stored tensors and the reading of each slot. `frozen` are the paths of frozen slots; the tensors that their
    formulas read are frozen too."""
    stored = [s for s in ways.stored(frozen) if s.root.path not in computed]
    readings: dict[str, Reading] = {slot.path: ViewReading(s.name, view) for s in stored for slot, view in s.slots}
    inputs = ((s.name, source) for s in stored if (source := ways.inputs.get(s.root.path)) is not None)
    readings |= {slot.path: ViewReading(name, view) for name, (slot, view) in inputs}
    tensors = {s.name: s for s in stored}
    formulas = ways.formulas(readings)
    readings |= {slot.path: FormulaReading(formula, view) for formula in formulas for slot, view in formula.slots}
    formulas += _read_formulas(readings, sharing, computed)
    if formulas:
        read_by_frozen = {t for path in frozen if isinstance(r := readings[path], FormulaReading) for t in r.tensors}
        uses: dict[str, list[ComputedSlot]] = {}
        for formula in formulas:
            largest = max(formula.tensors, key=lambda name: tensors[name].elements, default=None)
            for name in formula.tensors:
                slots = (ComputedSlot(slot, formula.text, name == largest) for slot, _ in formula.slots)
                uses.setdefault(name, []).extend(slots)
        for name in read_by_frozen | uses.keys():
            s = tensors[name]
            tensors[name] = replace(s, frozen=s.frozen or name in read_by_frozen, computed=tuple(uses.get(name, ())))
    return Storage(program, tensors, readings, ways.slots, ways.resolved(stored))


def _read_formulas(readings: dict[str, Reading], sharing: Sharing, computed: Mapping[str, Computed]) -> list[Formula]:
    """Add the readings of all computed slots to `readings`; returns the formulas, each after those that it reads."""
    formulas: list[Formula] = []
    families = {root.path: (root, slots) for root, slots in sharing.families() if root.path in computed}
    for root_path, at in computed.items():
        root, slots = families[root_path]
        tensors = dict.fromkeys(name for path in at.reads for name in readings[path].tensors)
        views = [(slot, View.identity(slot.sizes) if slot is at.slot else at.back.then(v)) for slot, v in slots]
        formula = Formula(root, at.request.graph, at.request.span, tuple(tensors), tuple(views), at.request.losses)
        readings.update({slot.path: FormulaReading(formula, view) for slot, view in views})
        formulas.append(formula)
    return formulas
