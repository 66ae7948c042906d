"""The step of training as a file: its contract in the metadata, what it starts from beside it.

`<model>.train.onnx` takes a batch, the number of the step and all that training changes; it gives the loss, the metrics
and all that anew. `<model>.train.safetensors` has what the first step is fed with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from wsdl.ir.dtypes import numpy_dtype
from wsdl.ir.training import SEED, STEP, TOTAL
from wsdl.ir.types import TensorType
from wsdl.onnx.emit import structure
from wsdl.passes.evaluation import Evaluation
from wsdl.passes.gradient_norm import NORM, norm_type
from wsdl.passes.split_step import SplitStep
from wsdl.passes.train_step import TrainStep

Array = NDArray[Any]
CONTRACT = "wsdl.training"


def emit_step(step: TrainStep, *, opset: int = 21, source_sha256: str = "") -> ModelProto:
    """The ONNX model of a step, without the numbers of what is frozen."""
    proto = structure(step.program, step.model, opset=opset, source_sha256=source_sha256)
    proto.metadata_props.add(key=CONTRACT, value=json.dumps(contract(step), ensure_ascii=False))
    return proto


def contract(step: TrainStep) -> dict[str, Any]:
    """What an app has to know: the inputs of a batch, the outputs to look at, which output is which input next."""
    feeds = step.feeds
    outputs = [name for name in step.model.output_names if name not in feeds and name != NORM]
    state = set(feeds.values())
    return {
        "batch": [v.name for v in step.model.graph.inputs if v.name not in state and v.name != TOTAL],
        "total_steps": TOTAL if any(v.name == TOTAL for v in step.model.graph.inputs) else None,
        "loss": outputs[0],
        "metrics": outputs[1:],
        "gradient_norm": NORM,
        "feeds": feeds,
        "initial": f"{step.model.name}.train.safetensors",
    }


def initial_state(step: TrainStep | SplitStep, values: Mapping[str, Array], seed: int = 0) -> dict[str, Array]:
    """What the first step is fed with: the stored tensors, an optimizer that has seen nothing, step 0, the seed of what
    is random in it."""
    state = {s.name: values[s.name] for s in [*step.trained, *step.statistics]}
    for name, type in step.states.items():
        assert type.sizes is not None
        state[name] = np.broadcast_to(np.zeros((), numpy_dtype(type.dtype)), type.sizes)  # which takes no memory
    state |= {name: values[stored.name] for name, stored in step.averages.items()}
    state |= {SEED: np.array(seed, np.int64)} if step.is_random else {}
    return {**state, STEP: np.array(0, np.int64)}


# -- for the trainer ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class EvaluationModel:
    """What gives the parts of loss and metrics for a batch, a model for each round; and `values`, as below."""

    name: str
    evaluation: Evaluation
    protos: list[ModelProto]
    values: Mapping[str, Array]

    @property
    def names(self) -> list[str]:
        """`loss`, then the metrics."""
        return self.evaluation.names

    @property
    def batch(self) -> dict[str, TensorType]:
        """What a batch consists of: the inputs of the model and the targets."""
        return self.evaluation.batch

    @property
    def carried(self) -> list[str]:
        """The stored tensors that are inputs too: those that training changes."""
        return self.evaluation.fed


def evaluation_model(evaluation: Evaluation, values: Mapping[str, Array], *, opset: int = 21) -> EvaluationModel:
    """The model of an evaluation."""
    protos = [structure(r.program, r.program.only, opset=opset) for r in evaluation.rounds]
    return EvaluationModel(evaluation.name, evaluation, protos, values)


@dataclass(frozen=True, eq=False)
class TrainingModels:
    """All that a training runs, as ONNX models without the numbers of what they store; `values` has these.

    What is trained, and the running statistics, are inputs of all of them; what is frozen is an initializer.
    """

    name: str
    parameters: tuple[int, int]  # the numbers that the model stores, and would store without sharing
    step: SplitStep
    evaluation: EvaluationModel
    values: Mapping[str, Array]
    first: ModelProto
    second: ModelProto
    rounds: list[ModelProto]
    pieces: list[ModelProto]

    @property
    def results(self) -> dict[str, TensorType]:
        """The loss and the metrics of a batch."""
        outputs = (self.step.rest or self.step.first.only.graph).outputs
        return {name: v.type for name, v in zip(self.evaluation.names, outputs, strict=False)}

    @property
    def norm(self) -> TensorType:
        """The type of the norm of the gradients."""
        return norm_type(s.type for s in self.step.trained)

    def initial_state(self) -> dict[str, Array]:
        """What the first step is fed with."""
        return initial_state(self.step, self.values)


def training_models(
    step: SplitStep,
    evaluation: Evaluation,
    values: Mapping[str, Array],
    parameters: tuple[int, int],
    *,
    opset: int = 21,
    block: int = 0,
) -> TrainingModels:
    """The models of a training; with `block` for this machine alone (`structure`)."""
    first = structure(step.first, step.first.only, opset=opset, block=block)
    second = structure(step.second, step.second.only, opset=opset)
    rounds = [structure(r.program, r.program.only, opset=opset) for r in step.rounds]
    evaluating = evaluation_model(evaluation, values, opset=opset)
    pieces = [structure(p.program, p.program.only, opset=opset) for p in step.pieces]
    return TrainingModels(step.first.only.name, parameters, step, evaluating, values, first, second, rounds, pieces)
