"""Loss and metrics of a whole set of data: what is computed of each batch, and what makes one number of all of them.

Reductions over the rows are merged exactly, and what is computed from them (a root, a ratio of counts) is computed from
those of the whole set: no result depends on how it is cut. `mixed` names those for which there is no such way.
"""

from __future__ import annotations

from dataclasses import dataclass

from wsdl.ir.binding import rows_dimension
from wsdl.ir.graph import Graph, Model, Node, Program
from wsdl.ir.stages import ResolvedTraining, Storage
from wsdl.ir.training import LOSS
from wsdl.ir.types import TensorType
from wsdl.passes.dedupe import dedupe
from wsdl.passes.fold_views import fold_views
from wsdl.passes.read_stored import evaluation_over_stored
from wsdl.passes.roll_loops import Loops, roll_loops
from wsdl.passes.rounds import Round, moved, read_by, rest_of, round_of, rounds_before
from wsdl.passes.separate import Merge, separate


@dataclass(eq=False)
class Evaluation:
    """Each of `rounds` goes through all batches; `rest` then gives the results from what came of them."""

    name: str  # of the model
    batch: dict[str, TensorType]  # what a batch consists of: the inputs of the model and the targets
    names: list[str]  # "loss", then the metrics
    rounds: list[Round]
    rest: Graph
    merges: list[Merge]
    rows: str | None
    mixed: dict[str, Node]

    @property
    def fed(self) -> list[str]:
        """The stored tensors that are inputs of any round."""
        return list({name: None for r in self.rounds for name in r.fed})


def evaluation(storage: Storage, training: ResolvedTraining, loops: Loops = "auto") -> Evaluation:
    """The evaluation of a training, in graphs of its own. The trained tensors are its inputs."""
    objective = evaluation_over_stored(storage, training)
    graph = objective.graph
    batch = {v.name: v.type for v in graph.inputs}
    names = [LOSS, *objective.metrics]
    rows = rows_dimension(batch.values())
    found = separate(graph, [objective.loss, *objective.metrics.values()], rows)
    rest, same = rest_of(graph, found.values, found.merges)
    model = Model(training.model, graph, storage.models[training.model].module)
    result = Program(models={model.name: model}, stored=dict(storage.stored))
    changing = {*training.trained, *(storage.home(path)[0].name for path in training.statistics)}
    model.fed = [name for name in storage.stored if name in changing]
    merges = [*found.merges, *same]
    graph.outputs = [part for merge in merges for part in merge.parts]
    roll_loops(fold_views(result), loops)
    dedupe(result)
    merges = moved(merges, graph.outputs)
    rounds = rounds_before(graph, merges, (), read_by(rest, merges))
    mixed = {name: node for name, node in zip(names, found.mixed, strict=True) if node is not None}
    return Evaluation(
        training.model, batch, names, [round_of(model, result, r) for r in rounds], rest, merges, rows, mixed
    )
