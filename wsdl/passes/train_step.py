"""One step of training as one graph: forward, backward, update.

What it reads are the model's inputs, the targets, the number of the step, the trained tensors, running statistics and
the optimizer's state; what it gives are the loss, the metrics, the norm of the gradients, and all of that anew. There
is nothing in it but operations of the language, so the compiled step is an ordinary ONNX file.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wsdl.ir.graph import Model, Program, Stored
from wsdl.ir.stages import ResolvedTraining, Storage
from wsdl.ir.training import SEED, TOTAL
from wsdl.ir.types import TensorType
from wsdl.ops.build import Build
from wsdl.passes.dedupe import dedupe
from wsdl.passes.gradient_norm import NORM, gradient_norm
from wsdl.passes.gradients import gradients
from wsdl.passes.prune import drop_unread, prune
from wsdl.passes.roll_loops import Loops
from wsdl.passes.update import NEXT, give, input_of, is_random, update


@dataclass(eq=False)
class TrainStep:
    """A step of training as a program of one model, and what connects one step with the next.

    `trained` are the stored tensors that the optimizer changes, `statistics` those that the batches do; `states` are
    the optimizer's own inputs, all 0 at first, and `averages` those that follow a trained tensor and start as it does.
    """

    program: Program
    trained: list[Stored]
    statistics: list[Stored]
    states: dict[str, TensorType] = field(default_factory=dict)
    averages: dict[str, Stored] = field(default_factory=dict)

    @property
    def model(self) -> Model:
        return self.program.only

    @property
    def is_random(self) -> bool:
        return is_random(self.model)

    @property
    def feeds(self) -> dict[str, str]:
        """Which output is which input of the next step."""
        return feeds(self.model)


def train_step(storage: Storage, training: ResolvedTraining, loops: Loops = "auto") -> TrainStep:
    """The step of a training, in a graph of its own."""
    first = gradients(storage, training, loops)
    model = first.model
    norm = gradient_norm(Build(model.graph), first.gradients.values(), first.latest.values())
    model.graph.outputs.append(norm)
    model.output_names.append(NORM)
    second = update(model, training, first.trained, first.gradients, norm)
    for name, value in first.latest.items():
        give(model, value, name)
    dedupe(first.program)
    prune(first.program)
    drop_unread(model.graph, TOTAL, SEED)
    if is_random(model):
        give(model, input_of(model.graph, SEED), SEED)  # handed on as it is
    return TrainStep(first.program, first.trained, first.statistics, second.states, second.averages)


def feeds(model: Model) -> dict[str, str]:
    """Which outputs of a model are which inputs of the next step."""
    return {name: name.removeprefix(NEXT) for name in model.output_names if name.startswith(NEXT)}
