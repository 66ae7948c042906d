"""Loss and metrics in a graph of their own: where the pipeline of an evaluation begins."""

from __future__ import annotations

from wsdl.ir.graph import Model
from wsdl.ir.phase import Phase
from wsdl.ir.stages import ResolvedTraining, Storage
from wsdl.ir.step import Result, seed_variable
from wsdl.ir.target import Target
from wsdl.ir.training import LOSS
from wsdl.sharing.read_stored import evaluation_over_stored
from wsdl.training.draft import Changing, Draft


def results_of(storage: Storage, training: ResolvedTraining, target: Target) -> Draft:
    """Loss and metrics, in a graph of their own."""
    objective = evaluation_over_stored(storage, training)
    model = Model(training.name, objective.graph, storage.models[training.model].module)
    phase = Phase.of(model, storage.stored, target)
    phase.label(seed_variable())
    changing = Changing.by(training, storage)
    variables = {variable.of: variable for variable in changing.inputs}
    phase.feed(*(variables[name] for name in storage.stored if name in variables))
    for name, value in {LOSS: objective.loss, **objective.metrics}.items():
        phase.write(Result(name), value)
    return Draft(training, phase, changing)
