"""Modes of frozen layers in training: their running statistics don't change; with `eval` they also normalize by these
and have no dropout, as in the compiled model. The others normalize by the batch."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Span
from wsdl.ir.dims import product
from wsdl.ir.graph import Graph, Node, Value
from wsdl.ir.requests import Mode, PathPattern
from wsdl.ir.stages import Storage
from wsdl.ir.training import Normalized, Training
from wsdl.ops import OPERATIONS
from wsdl.sharing.paths import NotFound
from wsdl.sharing.targets import Target, Targets


def frozen_modes(
    storage: Storage, training: Training, frozen: Collection[str], targets: Targets, problems: Problems
) -> Modes:
    """The modes of the layers that the file, its models and a training freeze; `frozen` are the stored tensors that the
    training freezes. Adds a note for layers with running statistics without an explicit mode."""
    modes, spans = Modes(), dict[str, Span]()
    for target, mode, pattern in _freezes(storage, training, targets):
        spans.update(dict.fromkeys((slot.path for slot in target.slots), pattern.span))
        if mode is not None:
            modes.set(target, mode)
    states = [*training.objective.states, *(path for _, path in kept_by_scans(training.objective.graph))]
    kept = [path for path in states if is_frozen(path, storage, frozen)]
    undecided = {_owner(path): spans[path] for path in reversed(kept) if path in spans}  # once for each layer
    for layer, span in reversed(undecided.items()):
        if modes.of(layer) is None and not problems.has("N0801", span):
            _note_undecided(span, layer, problems)
    return modes


def is_frozen(slot: str, storage: Storage, frozen: Collection[str]) -> bool:
    """Whether the tensors of a slot are frozen, in the file or by being in `frozen`."""
    return any(stored.frozen or stored.name in frozen for stored in storage.tensors_of(slot))


def differs_at_inference(graph: Graph) -> Iterator[Node]:
    """The nodes that differ in a layer with the mode `eval`."""
    return (node for node in graph.walk() if _at_inference(node) is not None)


def run_frozen(graph: Graph, layers: Collection[str]) -> dict[Value, Value]:
    """Let layers compute as in the compiled model; returns the replacement of each value."""
    values: dict[Value, Value] = {}
    _rewrite(graph, layers, values)
    return values


def normalized(graph: Graph) -> list[Normalized]:
    """The batch normalizations of a graph, in the order of use."""
    nodes = [node for node in graph.walk() if node.op == "batch_norm_training"]
    shapes = [node.inputs[0].type.shape for node in nodes]
    counts = [product([*shape[:1], *shape[2:]]) for shape in shapes]
    return [Normalized(node.path, count, node.span) for node, count in zip(nodes, counts, strict=True)]


def kept_by_scans(graph: Graph) -> Iterator[tuple[Node, str]]:
    """The nodes in scans that update running statistics, and the paths of their slots."""
    nodes = list(graph.walk())
    updates = [node for node in nodes if node.op == "batch_norm_training"]
    before = {new: old for node in updates for old, new in zip(node.inputs[3:], node.results[1:], strict=True)}
    slots = {node.result: str(node.attributes["slot"]) for node in graph.nodes if node.op == "parameter"}
    outside = set(graph.nodes)
    for node in (node for node in updates if node not in outside):
        for state in node.inputs[3:]:
            while state in before:
                state = before[state]
            if state in slots:
                yield node, slots[state]


def _freezes(
    storage: Storage, training: Training, targets: Targets
) -> Iterator[tuple[Target, Mode | None, PathPattern]]:
    """The targets frozen by the file and its models, then by the training. Errors in them are already reported."""
    for requests, from_file in (storage.checked.freezes, False), (training.freezes, True):
        for request in requests:
            for pattern in request.paths:
                with suppress(NotFound):
                    yield targets.of(pattern, request.base, None, from_file=from_file), request.mode, pattern


def _owner(slot: str) -> str:
    return slot.rpartition(".")[0]


def _note_undecided(span: Span, layer: str, problems: Problems) -> None:
    problems.error(
        "N0801",
        span,
        f"`{layer}` keeps its running statistics, and normalizes by those of each batch",
        "frozen, without a mode for normalization",
        help=f"`freeze {span.text} eval` normalizes by the running statistics, as at inference; "
        f"`freeze {span.text} train` by the batch, without this note",
        severity="note",
    )


@dataclass
class Modes:
    """The modes of layers: by the last statement that names the layer, one around it, or a tensor of it."""

    _whole: dict[str, tuple[int, Mode]] = field(
        default_factory=dict
    )  # layers with all layers below: statement and mode
    _own: dict[str, tuple[int, Mode]] = field(default_factory=dict)  # layers alone
    _lines: int = 0

    def set(self, target: Target, mode: Mode) -> None:
        said = self._lines, mode
        self._lines += 1
        self._whole.update(dict.fromkeys((layer.path for layer in target.layers), said))
        self._own.update(dict.fromkeys((_owner(slot.path) for slot in target.slots), said))

    def of(self, layer: str) -> Mode | None:
        lines = [self._own[layer]] if layer in self._own else []
        while layer:
            lines += [self._whole[layer]] if layer in self._whole else []
            layer = _owner(layer)
        return max(lines)[1] if lines else None


def _at_inference(node: Node) -> str | None:
    """The operation that the compiled model has in its place, if it differs."""
    return OPERATIONS[node.op].at_inference if node.op in OPERATIONS else None


def _rewrite(graph: Graph, layers: Collection[str], values: dict[Value, Value]) -> None:
    nodes, graph.nodes = graph.nodes, []
    for node in nodes:
        node.operands = node.substituted(values)
        becomes = _at_inference(node) if node.path in layers else None
        if becomes == "its operand":
            values[node.result] = node.inputs[0]
            continue
        if becomes is not None:
            y, *states = node.results  # unchanged
            values.update(zip(states, node.inputs[-len(states) :], strict=True))
            node = replace(node, op=becomes, results=[y])
        if node.body is not None:
            _rewrite(node.body, layers, values)
        graph.nodes.append(node)
    graph.outputs = [values.get(v, v) for v in graph.outputs]
