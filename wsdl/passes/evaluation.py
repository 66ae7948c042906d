"""Loss and metrics of a whole set of data: a graph for one batch, and what makes one number of those of all batches.

A mean over the set is that of the batches weighed by how much each is a mean over, and what is computed from several of
them (a root, a ratio of counts) is computed from those of the set: no result depends on how the set is cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wsdl.ir.graph import Graph, Model, Program, Value
from wsdl.ir.training import LOSS, Training
from wsdl.ops.evaluate import evaluate
from wsdl.passes.dedupe import dedupe
from wsdl.passes.fold_views import fold_views
from wsdl.passes.prune import prune
from wsdl.passes.roll_loops import Loops, roll_loops
from wsdl.passes.separate import Part, separate


@dataclass(eq=False)
class Evaluation:
    """`program` is one model whose outputs are the parts of a batch, and the counts of those that are means."""

    program: Program
    names: list[str]  # "loss", then the metrics
    parts: list[Part]
    rest: Graph

    def start(self) -> Tally:
        return Tally(self)


@dataclass(eq=False)
class Tally:
    """The parts of the batches so far."""

    of: Evaluation
    sums: dict[str, float] = field(default_factory=dict)

    def add(self, outputs: Mapping[str, float]) -> None:
        """Take in the outputs of one batch."""
        for i, part in enumerate(self.of.parts):
            value, count = float(outputs[f"part_{i}"]), 1.0
            if part.kind == "mean":
                count = float(outputs[f"count_{i}"])
                self.sums[f"count_{i}"] = self.sums.get(f"count_{i}", 0.0) + count
                value = value * count if count else 0.0
            before = 0.0 if part.kind == "same" else self.sums.get(f"part_{i}", 0.0)
            self.sums[f"part_{i}"] = before + value

    def results(self) -> dict[str, float]:
        """Loss and metrics of all batches."""
        inputs = []
        for i, value in enumerate(self.of.rest.inputs):
            total = self.sums[f"part_{i}"]
            count = self.sums.get(f"count_{i}", 1.0)
            inputs.append(_number(total / count if count else float("nan"), value))
        outputs = evaluate(self.of.rest, inputs, {})
        return {name: float(output) for name, output in zip(self.of.names, outputs, strict=True)}


def _number(number: float, value: Value) -> object:
    from wsdl.ir.dtypes import numpy_dtype

    return numpy_dtype(value.type.dtype).type(number)


def evaluation(program: Program, training: Training, loops: Loops = "auto") -> Evaluation:
    """The evaluation of a training that was checked, in a graph of its own. The trained tensors are its inputs."""
    copies: dict[int, Value] = {}
    objective = training.evaluation
    graph = objective.graph.copy(copies)
    values = [copies[id(v)] for v in (objective.loss, *objective.metrics.values())]
    found = separate(graph, values)
    counted = [(i, part.count) for i, part in enumerate(found.parts) if part.count is not None]
    graph.outputs = [*(part.value for part in found.parts), *(count for _, count in counted)]
    names = [*(f"part_{i}" for i in range(len(found.parts))), *(f"count_{i}" for i, _ in counted)]
    model = Model(training.model, graph, program.models[training.model].module, output_names=names)
    result = Program(models={model.name: model}, stored=dict(program.stored))
    roll_loops(fold_views(result), loops)
    dedupe(result)
    prune(result)
    read = {str(n.attributes["stored"]) for n in graph.walk() if n.op == "parameter"}
    changing = {*training.trained, *(program.stored_of(path)[0].name for path in training.objective.states)}
    model.fed = [name for name in program.stored if name in read & changing]
    return Evaluation(result, [LOSS, *objective.metrics], found.parts, found.rest)
