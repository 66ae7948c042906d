"""Loss and metrics of a whole set of data: what is computed of each batch, and what makes one number of all of them.

Reductions over the rows are merged exactly, and what is computed from them (a root, a ratio of counts) is computed from
those of the whole set: no result depends on how it is cut. `mixed` names those for which there is no such way.
"""

from __future__ import annotations

from dataclasses import dataclass

from wsdl.ir.graph import Graph, Model, Node
from wsdl.ir.phase import Phase
from wsdl.ir.stages import ResolvedTraining, Storage
from wsdl.ir.step import Merge, Result, Variable
from wsdl.ir.target import Target
from wsdl.ir.training import LOSS
from wsdl.ir.types import TensorType
from wsdl.sharing.read_stored import evaluation_over_stored
from wsdl.training.draft import Draft, Round, changed_by_batches


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
    def variables(self) -> list[Variable]:
        """Those that any round reads."""
        ports = (port for r in self.rounds for port in r.phase.inputs.values())
        return list({port: None for port in ports if isinstance(port, Variable)})


def results_of(storage: Storage, training: ResolvedTraining, target: Target) -> Draft:
    """Loss and metrics, in a graph of their own."""
    objective = evaluation_over_stored(storage, training)
    model = Model(training.model, objective.graph, storage.models[training.model].module)
    phase = Phase.of(model, storage.stored, target)
    trained, statistics = changed_by_batches(storage, training)
    changing = {variable.of: variable for variable in (*trained, *statistics)}
    phase.feed(*(changing[name] for name in storage.stored if name in changing))
    for name, value in {LOSS: objective.loss, **objective.metrics}.items():
        phase.write(Result(name), value)
    return Draft(training, phase, trained, statistics)
