"""What a training changes: looks up its `freeze` and `lr` paths, and whether each loss depends on something trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from wsdl.diagnostics import Label, Problems
from wsdl.ir.graph import Graph, Node, Program, Stored, Value
from wsdl.ir.requests import PathPattern
from wsdl.ir.training import RateRequest, Training
from wsdl.ops import OPERATIONS
from wsdl.ops.arguments import ScanParts
from wsdl.passes.frozen import normalised, run_frozen
from wsdl.passes.paths import NotFound
from wsdl.passes.targets import Target, Targets, refuse_part
from wsdl.span import Span


def check_training(program: Program, problems: Problems) -> Program:
    """Settle what each training trains and how fast, after `share`; errors where that makes no sense."""
    targets = Targets(program, lambda slot: program.stored_of(slot.path)[0].group)
    for training in program.trainings.values():
        _freeze(training, program, targets, problems)
        if not problems.errors:
            run_frozen(training, program, targets, problems)
            _statistics(training, problems)
            _rates(training, program, targets, problems)
            _losses(training, program, problems)
    return program


# -- paths -------------------------------------------------------------------------------------------------------------


def _target(pattern: PathPattern, base: str, targets: Targets, problems: Problems, verb: str) -> Target | None:
    """What a path means, below the model or among the layers of the file; `None` where that was reported."""
    try:
        target = targets.of(pattern, base, problems, from_file=True)
        refuse_part(pattern, target, verb, problems)
    except NotFound:
        return None
    return target


def _freeze(training: Training, program: Program, targets: Targets, problems: Problems) -> None:
    places: dict[str, Span] = {}  # by the path of the slot
    for request in training.freezes:
        for pattern in request.paths:
            target = _target(pattern, request.base, targets, problems, "be frozen")
            for slot in target.slots if target else ():
                places.setdefault(slot.path, pattern.span)
    for stored in program.stored.values():
        cold = [slot for slot, _ in stored.slots if slot.path in places]
        warm = [slot for slot, _ in stored.slots if slot.path not in places]
        if cold and warm:
            problems.error(
                "E0325",
                places[cold[0].path],
                f"`{cold[0].path}` is frozen, but `{warm[0].path}`, which is the same tensor, is not",
                labels=[Label(warm[0].layer_span, f"`{warm[0].path}`")],
                help=f"freeze `{warm[0].path}` too, or take it out of the group",
            )
        if cold:
            training.frozen.add(stored.name)


def _statistics(training: Training, problems: Problems) -> None:
    """Report what normalises by batches with one value for a channel, where that is known already."""
    for found in normalised(training.graph):
        if found.count.constant is not None and found.count.constant < 2 and found.span is not None:
            problems.error(
                "E0832",
                found.span,
                f"`{found.layer}` can't normalise by a batch that has {found.count} value for a channel",
                "while training",
                labels=[Label(training.span, f"`{training.model}` is trained here")],
                help="take larger batches, or a norm that looks at one row only, such as LayerNorm; a layer that is "
                "frozen can normalise by its running statistics: `freeze PATH eval`",
            )


def _rates(training: Training, program: Program, targets: Targets, problems: Problems) -> None:
    asked: dict[str, RateRequest] = {}  # by the path of the slot; a later line refines an earlier one
    places: dict[str, Span] = {}
    for request in training.rates:
        for pattern in request.paths:
            target = _target(pattern, request.base, targets, problems, "have a learning rate")
            slots = target.slots if target else []
            homes = [program.stored_of(slot.path)[0] for slot in slots]
            if slots and not any(_trains(training, stored) for stored in homes):
                frozen = any(stored.root.kind == "param" for stored in homes)
                problems.error(
                    "E0817",
                    pattern.span,
                    f"`{pattern.span.text}` has a learning rate, but is not trained",
                    "is frozen" if frozen else "has no parameters",
                    help="leave the `lr` out, or the `freeze`" if frozen else None,
                )
            asked.update({slot.path: request for slot in slots})
            places.update({slot.path: pattern.span for slot in slots})
    for stored in program.stored.values():
        rates = {slot.path: asked[slot.path] for slot, _ in stored.slots if slot.path in asked}
        different = {str(request.schedule): path for path, request in rates.items()}
        if len(different) > 1:
            first, second = list(different.values())[:2]
            problems.error(
                "E0818",
                rates[second].span,
                f"`{second}` and `{first}` are one tensor, but have two learning rates",
                f"`{rates[second].schedule}`",
                labels=[Label(rates[first].span, f"`{rates[first].schedule}`")],
                help="give both the same one",
            )
        if rates and _trains(training, stored):
            _note_others(stored, places, problems)
        if rates:
            training.schedules[stored.name] = next(iter(rates.values())).schedule


def _note_others(stored: Stored, places: Mapping[str, Span], problems: Problems) -> None:
    """Say which other parameters a learning rate moves, since they are the same tensor or a part of it."""
    named = [slot.path for slot, _ in stored.slots if slot.path in places]
    others = [slot for slot, _ in stored.slots if slot.path not in places]
    if not others or problems.has("N0802", places[named[0]]):
        return
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    problems.error(
        "N0802",
        places[named[0]],
        f"`{named[0]}` and `{others[0].path}`{more} are one tensor: this learning rate moves all of it",
        f"also moves `{others[0].path}`",
        labels=[Label(others[0].layer_span, f"`{others[0].path}`")],
        help=f"name `{others[0].path}` too, and this note goes",
        severity="note",
    )


# -- losses ------------------------------------------------------------------------------------------------------------


def _trains(training: Training, stored: Stored) -> bool:
    return stored.trainable and stored.name not in training.frozen


def _losses(training: Training, program: Program, problems: Problems) -> None:
    reached: set[str] = set()
    for loss, span in zip(training.objective.losses, training.loss_spans, strict=True):
        search = _Search(training.graph)
        search.run([loss])
        trained = {name for name in search.stored if _trains(training, program.stored[name])}
        reached |= trained
        if not trained:
            _report(search, span, training, problems)
    training.trained = [name for name in program.stored if name in reached]


def _report(search: _Search, span: Span, training: Training, problems: Problems) -> None:
    labels: list[Label] = []
    label = "nothing in it can be trained"
    if search.stored:
        name = next(iter(sorted(search.stored)))
        label = f"depends on `{name}` and the like, which are not trained"
        help = "what is frozen, and the running statistics of norms, no loss can change"
    elif search.flat:
        node = search.flat[0]
        label = f"`{node.op}` has no gradient"
        help = f"{OPERATIONS[node.op].flat}; to train, a loss changes smoothly with the parameters"
        if node.span is not None and node.span != span and not span.start <= node.span.start < span.end:
            labels = [Label(node.span, "here")]
    else:
        help = f"compare an output of `{training.model}` with a target, or punish large parameters"
    problems.error("E0816", span, "this loss depends on no trained parameter", label, labels=labels, help=help)


class _Search:
    """Goes back from values through everything that has a gradient: the tensors it comes to, and what stopped it."""

    def __init__(self, graph: Graph) -> None:
        self.producers = {id(v): node for node in graph.walk() for v in node.results}
        self.behind: dict[int, list[Value]] = {}  # what a value that enters or leaves a body comes from
        for node in graph.walk():
            if node.body is not None:
                self._into(node, node.body)
        self.stored: set[str] = set()
        self.flat: list[Node] = []

    def _into(self, node: Node, body: Graph) -> None:
        """What is carried comes from the start and from each step, a slice from its sequence; a result from the step,
        of which there is at least one."""
        carried = len(body.inputs) if node.op == "loop" else ScanParts.of(node).carried
        for i, (outer, inner) in enumerate(zip(node.inputs, body.inputs, strict=True)):
            self.behind[id(inner)] = [outer, body.outputs[i]] if i < carried else [outer]
        for result, step in zip(node.results, body.outputs, strict=True):
            self.behind[id(result)] = [step]

    def run(self, values: Iterable[Value]) -> None:
        rest, seen = list(values), set[int]()
        while rest:
            value = rest.pop()
            if id(value) in seen:
                continue
            seen.add(id(value))
            node = self.producers.get(id(value))
            if id(value) in self.behind:
                rest += self.behind[id(value)] if value.type.is_float else []
            elif node is None:
                continue
            elif node.op == "parameter":
                self.stored.add(str(node.attributes["stored"]))
            elif node.op in OPERATIONS and OPERATIONS[node.op].flat:
                if node.inputs and node.op != "random_mask":  # which nobody has written
                    self.flat.append(node)
            elif value.type.is_float or node.op == "cast":
                rest += node.inputs
