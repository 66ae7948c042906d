"""Resolves the `freeze` and `lr` paths of trainings, and checks that each loss depends on a trained parameter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from wsdl.diagnostics import Label, Problems
from wsdl.diagnostics.span import Span
from wsdl.ir.graph import Graph, Node, Slot, Value
from wsdl.ir.requests import PathPattern
from wsdl.ir.stages import Formula, ResolvedTraining, Storage, ViewReading
from wsdl.ir.training import RateRequest, Schedule, Training
from wsdl.ops import OPERATIONS
from wsdl.ops.node_arguments import ScanParts, scan_inputs, scan_results
from wsdl.sharing.auxiliary_losses import auxiliary_losses, check_auxiliary, weight_of
from wsdl.sharing.conflicts import report_partly_frozen, report_partly_frozen_parts
from wsdl.sharing.frozen import differs_at_inference, frozen_modes, is_frozen, kept_by_scans, normalized
from wsdl.sharing.paths import NotFound
from wsdl.sharing.targets import Target, Targets, refuse_part


def check_training(storage: Storage, problems: Problems) -> Storage:
    """The storage with its trainings resolved: what each trains, and at which rates. Reports errors in `problems`."""
    targets = Targets(storage.checked, storage.group_of, parts=storage.parts)
    trainings = {
        name: _resolved(training, storage, targets, problems) for name, training in storage.checked.trainings.items()
    }
    return replace(storage, trainings=trainings)


def _resolved(training: Training, storage: Storage, targets: Targets, problems: Problems) -> ResolvedTraining:
    frozen = _freeze(training, storage, targets, problems)
    resolved = ResolvedTraining(training, frozen)
    if problems.errors:
        return resolved
    modes = frozen_modes(storage, training, frozen, targets, problems)
    at_inference = [n for n in differs_at_inference(training.objective.graph) if modes.of(n.path) == "eval"]
    unchanged = {value for node in at_inference for value in node.results}
    states = training.objective.states.items()
    resolved = replace(
        resolved,
        as_at_inference=frozenset(node.path for node in at_inference),
        statistics=tuple(p for p, v in states if v not in unchanged and not is_frozen(p, storage, frozen)),
    )
    _statistics(resolved, problems)
    _scans(resolved, storage, problems)
    if training.objective.updates:
        from wsdl.training.check_updates import resolved_updates

        updates, updated = resolved_updates(training, storage, frozen, problems)
        resolved = replace(resolved, updates=updates, updated=updated)
    resolved = replace(resolved, schedules=_rates(resolved, storage, targets, problems))
    return replace(resolved, trained=_losses(resolved, storage, problems))


# -- paths -------------------------------------------------------------------------------------------------------------


def _target(pattern: PathPattern, base: str, targets: Targets, problems: Problems, verb: str) -> Target | None:
    """The layers or parameters that a path names, below the model or among the layers of the file; `None` after an
    error."""
    try:
        target = targets.of(pattern, base, problems, from_file=True)
        refuse_part(pattern, target, verb, problems)
    except NotFound:
        return None
    return target


def _freeze(training: Training, storage: Storage, targets: Targets, problems: Problems) -> frozenset[str]:
    """The stored tensors that the `freeze` lines of a training freeze: all that the slots they name change with."""
    spans: dict[str, Span] = {}  # by the path of the slot
    for request in training.freezes:
        for pattern in request.paths:
            target = _target(pattern, request.base, targets, problems, "be frozen")
            for slot in target.slots if target else ():
                spans.setdefault(slot.path, pattern.span)
    for views in (*(s.slots for s in storage.stored.values()), *(f.slots for f in storage.formulas)):
        report_partly_frozen([slot for slot, _ in views], spans, problems)
    report_partly_frozen_parts(storage, spans, problems)
    return frozenset(stored.name for slot in spans for stored in storage.tensors_of(slot))


def _statistics(training: ResolvedTraining, problems: Problems) -> None:
    """Report layers that are known to normalize batches with one value per channel."""
    written = training.written
    for layer in normalized(written.objective.graph):
        if layer.layer in training.as_at_inference:
            continue
        if layer.count.constant is not None and layer.count.constant < 2 and layer.span is not None:
            problems.error(
                "E0832",
                layer.span,
                f"`{layer.layer}` can't normalize a batch that has {layer.count} value per channel",
                "while training",
                labels=[Label(written.span, f"`{written.model}` is trained here")],
                help="use larger batches, or a norm of single rows, such as LayerNorm; a frozen layer can normalize by "
                "its running statistics: `freeze PATH eval`",
            )


def _scans(training: ResolvedTraining, storage: Storage, problems: Problems) -> None:
    """Report layers that would update running statistics from inside a scan."""
    for node, state in kept_by_scans(training.written.objective.graph):
        if node.path in training.as_at_inference or is_frozen(state, storage, training.frozen) or node.span is None:
            continue
        problems.error(
            "E0819",
            node.span,
            "running statistics can't be updated inside a `scan`",
            f"`{state}` would change at each step",
            help="normalize before or after the scan, use a norm without running statistics, such as LayerNorm, or "
            "freeze the layer: `freeze PATH eval`",
        )


def _rates(training: ResolvedTraining, storage: Storage, targets: Targets, problems: Problems) -> dict[str, Schedule]:
    """The learning rates of the stored tensors that have their own."""
    schedules: dict[str, Schedule] = {}
    requests: dict[str, RateRequest] = {}  # by the path of the slot; a later line refines an earlier one
    spans: dict[str, Span] = {}
    for request in training.written.rates:
        for pattern in request.paths:
            target = _target(pattern, request.base, targets, problems, "have a learning rate")
            slots = target.slots if target else []
            read = [stored for slot in slots for stored in storage.tensors_of(slot.path)]
            if slots and not any(map(training.trains, read)) and not _is_of_base(request, training, storage):
                frozen = any(stored.root.kind == "param" for stored in read)
                problems.error(
                    "E0817",
                    pattern.span,
                    f"`{pattern.span.text}` has a learning rate, but is not trained",
                    "is frozen" if frozen else "has states only",
                    help="leave the `lr` out, or the `freeze`" if frozen else None,
                )
            requests.update({slot.path: request for slot in slots})
            spans.update({slot.path: pattern.span for slot in slots})
    for stored in storage.stored.values():
        views, readers = [slot for slot, _ in stored.slots], storage.readers[stored.name]
        named = [slot for slot in views if slot.path in requests]  # before what is computed from the tensor
        rates = {slot.path: requests[slot.path] for slot in named or readers if slot.path in requests}
        computed = "" if named else "computed from "
        different = {str(request.schedule): path for path, request in rates.items()}
        if len(different) > 1:
            first, second = list(different.values())[:2]
            problems.error(
                "E0818",
                rates[second].span,
                f"`{second}` and `{first}` are {computed}one tensor, but have two learning rates",
                f"`{rates[second].schedule}`",
                labels=[Label(rates[first].span, f"`{rates[first].schedule}`")],
                help="give both the same learning rate",
            )
        if rates and training.trains(stored):
            _note_others(views if named else _read_by_models(readers, storage), computed, spans, problems)
        if rates:
            schedules[stored.name] = next(iter(rates.values())).schedule
    return schedules


def _is_of_base(request: RateRequest, training: ResolvedTraining, storage: Storage) -> bool:
    """Is it the program that gives a learning rate, and not its variant, which may freeze what it is given to?"""
    variant = storage.checked.variants.get(storage.checked.variant)
    if variant is None:
        return False
    changes = variant.trainings.get(training.name)
    return changes is None or request not in changes.rates


def _read_by_models(slots: Sequence[Slot], storage: Storage) -> list[Slot]:
    return [slot for slot in slots if any(slot.path in model.reads for model in storage.models.values())]


def _note_others(readers: Sequence[Slot], computed: str, spans: Mapping[str, Span], problems: Problems) -> None:
    """Add a note on other parameters that a learning rate affects, since they read the same tensor."""
    named = [slot.path for slot in readers if slot.path in spans]
    others = [slot for slot in readers if slot.path not in spans]
    if not named or not others or problems.has("N0802", spans[named[0]]):
        return
    also = f", `{others[0].path}` and {len(others) - 1} more" if len(others) > 1 else f" and `{others[0].path}`"
    problems.error(
        "N0802",
        spans[named[0]],
        f"`{named[0]}`{also} are {computed}one tensor: this learning rate applies to all of it",
        f"also applies to `{others[0].path}`",
        labels=[Label(others[0].layer_span, f"`{others[0].path}`")],
        help=f"name `{others[0].path}` too to silence this note",
        severity="note",
    )


# -- losses ------------------------------------------------------------------------------------------------------------


def _losses(training: ResolvedTraining, storage: Storage, problems: Problems) -> tuple[str, ...]:
    """The stored tensors that the losses depend on."""
    reached: set[str] = set()
    objective = training.written.objective
    if storage.checked.has_gradients:
        from wsdl.differentiation.check_gradients import check_evaluation, expanded_objective

        objective = expanded_objective(training, storage, problems)
        check_evaluation(training, storage, problems)
    search = _Search(objective.graph)
    behind_formulas: dict[Formula, tuple[set[str], list[Node]]] = {}
    for loss, span in zip(objective.losses, training.written.loss_spans, strict=True):
        read, flat = _read_by(search, [loss], storage, behind_formulas)
        if not any(training.trains(storage.stored[name]) for name in read):
            _report(read, flat, span, training, problems)
        reached |= read
    for within, losses in auxiliary_losses(objective, storage):
        counted = [value for name, value in losses if weight_of(name, training.written) != 0]
        search_within = search if within is objective.graph else _Search(within)
        reached |= _read_by(search_within, counted, storage, behind_formulas)[0]
    check_auxiliary(training.written, storage, problems)
    return tuple(name for name, stored in storage.stored.items() if name in reached and training.trains(stored))


def _read_by(
    search: _Search, values: Iterable[Value], storage: Storage, known: dict[Formula, tuple[set[str], list[Node]]]
) -> tuple[set[str], list[Node]]:
    """The stored tensors behind values of a graph, and the nodes without a gradient on the way."""
    read, slots, flat = search.behind(values)
    for slot in slots:
        names, more_flat = _behind(slot, storage, known)
        read |= names
        flat += more_flat
    return read, flat


def _behind(
    slot: str, storage: Storage, known: dict[Formula, tuple[set[str], list[Node]]]
) -> tuple[set[str], list[Node]]:
    """The stored tensors behind a slot, through formulas; and the nodes without a gradient in these. `known` has both
    of each formula."""
    reading = storage.readings[slot]
    if isinstance(reading, ViewReading):
        return {reading.stored}, []
    formula = reading.formula
    if formula not in known:
        _, slots, flat = _Search(formula.graph).behind(formula.graph.outputs[:1])
        further = [_behind(slot, storage, known) for slot in slots]
        names = {name for names, _ in further for name in names}
        known[formula] = names, [*flat, *(node for _, nodes in further for node in nodes)]
    return known[formula]


def _report(read: set[str], flat: list[Node], span: Span, training: ResolvedTraining, problems: Problems) -> None:
    labels: list[Label] = []
    label = "nothing in it can be trained"
    if read:
        label = f"depends only on tensors that are not trained, such as `{min(read)}`"
        help = "frozen parameters and running statistics have no gradient"
    elif flat:
        node = flat[0]
        label = f"`{node.op}` has no gradient"
        why = OPERATIONS[node.op].flat or "integers change in jumps only"
        help = f"{why}; a loss must change smoothly with the parameters"
        if node.span is not None and node.span != span and not span.start <= node.span.start < span.end:
            labels = [Label(node.span, "here")]
    else:
        help = f"compare an output of `{training.model}` with a target, or penalize large parameters"
    problems.error("E0816", span, "this loss depends on no trained parameter", label, labels=labels, help=help)


class _Search:
    """Walks backward from values through all nodes that have a gradient."""

    def __init__(self, graph: Graph) -> None:
        self.producers = graph.producers()
        self.sources: dict[Value, list[Value]] = {}  # the values behind one that enters or leaves a body
        for node in graph.walk():
            if node.body is not None:
                self._into(node, node.body)

    def _into(self, node: Node, body: Graph) -> None:
        """A carried value comes from its start and from each step, a slice from its sequence, a result from the step;
        there is at least one step, unless there is none or only the run knows their number."""
        parts = None if node.op == "loop" else ScanParts.of(node)
        carried = len(body.inputs) if parts is None else parts.carried
        for i, (outer, inner) in enumerate(scan_inputs(node)):
            self.sources[inner] = [outer, body.outputs[i]] if i < carried else [outer]
        for result, step in scan_results(node):
            self.sources[result] = [step]
        if parts is not None and (parts.limit is not None or parts.steps.constant == 0):
            for result, start in zip(node.results, node.inputs[:carried], strict=False):
                self.sources[result].append(start)

    def behind(self, values: Iterable[Value]) -> tuple[set[str], set[str], list[Node]]:
        """The stored tensors that it reaches, in a graph over slots the paths of these, and the nodes without a
        gradient at which it stops."""
        stored, slots, flat = set[str](), set[str](), list[Node]()
        rest, seen = list(values), set[Value]()
        while rest:
            value = rest.pop()
            if value in seen:
                continue
            seen.add(value)
            node = self.producers.get(value)
            if value in self.sources:
                rest += self.sources[value] if value.type.is_float else []
            elif node is None:
                continue
            elif node.op == "parameter" and "stored" in node.attributes:
                stored.add(str(node.attributes["stored"]))
            elif node.op == "parameter":
                slots.add(str(node.attributes["slot"]))
            elif node.op in OPERATIONS and OPERATIONS[node.op].flat:
                if node.inputs and not OPERATIONS[node.op].random:
                    flat.append(node)
            elif node.op == "cast" and not value.type.is_float and node.inputs[0].type.is_float:
                flat.append(node)
            elif value.type.is_float or node.op == "cast":
                rest += node.inputs
        return stored, slots, flat
