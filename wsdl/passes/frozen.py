"""How layers that are frozen run while the rest is trained: their running statistics stay as they are, and with `eval`
they also normalise by these and leave dropout out, as the compiled model does. The others normalise by the batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from wsdl.diagnostics import Problems
from wsdl.ir.dims import Dim, product
from wsdl.ir.graph import Graph, Operand, Program, Value
from wsdl.ir.requests import Mode, PathPattern
from wsdl.ir.training import Training
from wsdl.passes.paths import NotFound
from wsdl.passes.targets import Target, Targets
from wsdl.span import Span


def run_frozen(training: Training, program: Program, targets: Targets, problems: Problems) -> None:
    """Change the objective of a training, whose `frozen` tensors are settled, to what its `freeze` lines say."""
    modes, places = Modes(), dict[str, Span]()
    for target, mode, pattern in _freezes(training, program, targets):
        places.update(dict.fromkeys((slot.path for slot in target.slots), pattern.span))
        if mode is not None:
            modes.say(target, mode)
    objective = training.objective
    kept = [path for path in objective.states if _is_frozen(path, training, program)]
    undecided = {_owner(path): places[path] for path in reversed(kept) if path in places}  # once for each layer
    for layer, span in reversed(undecided.items()):
        if modes.of(layer) is None and not problems.has("N0801", span):
            _note_undecided(span, layer, problems)
    values = _as_at_inference(objective.graph, modes)
    objective.losses = [values.get(id(v), v) for v in objective.losses]
    objective.loss = values.get(id(objective.loss), objective.loss)
    objective.metrics = {name: values.get(id(v), v) for name, v in objective.metrics.items()}
    objective.states = {p: v for p, v in objective.states.items() if p not in kept and id(v) not in values}


@dataclass(frozen=True)
class Normalised:
    """A layer that normalises by the batch: over how many values of each channel, and where it is applied."""

    layer: str
    count: Dim
    span: Span | None


def normalised(graph: Graph) -> list[Normalised]:
    """All of them, in the order of use."""
    nodes = [node for node in graph.walk() if node.op == "batch_norm_training"]
    shapes = [node.inputs[0].type.shape for node in nodes]
    counts = [product([*shape[:1], *shape[2:]]) for shape in shapes]
    return [Normalised(node.path, count, node.span) for node, count in zip(nodes, counts, strict=True)]


def _freezes(
    training: Training, program: Program, targets: Targets
) -> Iterator[tuple[Target, Mode | None, PathPattern]]:
    """What is frozen by the lines of the file and its models, then by those of the training. Mistakes in them were
    reported."""
    for requests, from_file in (program.freezes, False), (training.freezes, True):
        for request in requests:
            for pattern in request.paths:
                with suppress(NotFound):
                    target = targets.of(pattern, request.base, Problems(), from_file=from_file)
                    yield target, request.mode, pattern


def _is_frozen(path: str, training: Training, program: Program) -> bool:
    stored, _ = program.stored_of(path)
    return stored.frozen or stored.name in training.frozen


def _owner(slot: str) -> str:
    return slot.rpartition(".")[0]


def _note_undecided(span: Span, layer: str, problems: Problems) -> None:
    problems.error(
        "N0801",
        span,
        f"`{layer}` keeps its running statistics, and normalises by those of each batch",
        "frozen, without a word about how it normalises",
        help=f"`freeze {span.text} eval` normalises by the running statistics, as at inference; "
        f"`freeze {span.text} train` by the batch, without this note",
        severity="note",
    )


@dataclass
class Modes:
    """In which mode layers run: as the last line says that names the layer, one around it, or a tensor of it."""

    _whole: dict[str, tuple[int, Mode]] = field(default_factory=dict)  # layers with all that is below: line and mode
    _own: dict[str, tuple[int, Mode]] = field(default_factory=dict)  # layers alone
    _lines: int = 0

    def say(self, target: Target, mode: Mode) -> None:
        said = self._lines, mode
        self._lines += 1
        self._whole.update(dict.fromkeys((layer.path for layer in target.layers), said))
        self._own.update(dict.fromkeys((_owner(slot.path) for slot in target.slots), said))

    def of(self, layer: str) -> Mode | None:
        found = [self._own[layer]] if layer in self._own else []
        while layer:
            found += [self._whole[layer]] if layer in self._whole else []
            layer = _owner(layer)
        return max(found)[1] if found else None


def _as_at_inference(graph: Graph, modes: Modes) -> dict[int, Value]:
    """Run the layers whose mode is `eval` as the compiled model does. What stands in for which value, by its id."""
    values: dict[int, Value] = {}
    _rewrite(graph, modes, values)
    return values


def _rewrite(graph: Graph, modes: Modes, values: dict[int, Value]) -> None:
    def latest(operand: Operand) -> Operand:
        if isinstance(operand, list):
            return [values.get(id(v), v) for v in operand]
        return None if operand is None else values.get(id(operand), operand)

    nodes, graph.nodes = graph.nodes, []
    for node in nodes:
        node.operands = [latest(operand) for operand in node.operands]
        is_eval = node.op in ("batch_norm_training", "dropout_training") and modes.of(node.path) == "eval"
        if is_eval and node.op == "dropout_training":
            values[id(node.result)] = node.inputs[0]
            continue
        if is_eval:
            y, mean, var = node.results
            values[id(mean)], values[id(var)] = node.inputs[3:]
            node = replace(node, op="batch_norm", results=[y])
        if node.body is not None:
            _rewrite(node.body, modes, values)
        graph.nodes.append(node)
    graph.outputs = [values.get(id(v), v) for v in graph.outputs]
