"""Loss and metrics in a graph of their own: where the pipeline of an evaluation begins."""

from __future__ import annotations

from wsdl.ir.graph import Model
from wsdl.ir.phase import Phase
from wsdl.ir.stages import ResolvedTraining, Storage
from wsdl.ir.step import Result
from wsdl.ir.target import Target
from wsdl.ir.training import LOSS
from wsdl.sharing.read_stored import evaluation_over_stored
from wsdl.training.draft import Draft, changed_by_batches


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
