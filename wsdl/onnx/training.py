"""The training step as a file, with its contract in the metadata, and its initial state as another.

`<model>.train.onnx` has as inputs a batch, the number of the step and the training state, as outputs the loss, the
metrics and the updated state. `<model>.train.safetensors` has the initial state.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from wsdl.ir.dtypes import numpy_dtype
from wsdl.ir.phase import Phase
from wsdl.ir.step import FIRST, NORM, TOTAL_STEPS, Batch, Carried, NextCarried, Result, Variable, norm_type
from wsdl.ir.summary import Summary
from wsdl.ir.training import SEED
from wsdl.ir.training_graphs import Evaluation, SplitStep, TrainStep
from wsdl.ir.types import TensorType
from wsdl.onnx.emit import structure
from wsdl.weights.metadata import UNKNOWN, Provenance

Array = NDArray[Any]
CONTRACT = "wsdl.training"


def emit_step(step: TrainStep, *, opset: int = 21, provenance: Provenance = UNKNOWN) -> ModelProto:
    """The ONNX model of a step, without the values of frozen tensors."""
    proto = _structure(step.phase, opset=opset, provenance=provenance)
    proto.metadata_props.add(key=CONTRACT, value=json.dumps(contract(step), ensure_ascii=False))
    return proto


def _structure(phase: Phase, **options: Any) -> ModelProto:
    return structure(phase.program, phase.model, fed=phase.fed, **options)


def contract(step: TrainStep) -> dict[str, Any]:
    """The contract for apps, as JSON; all values are names of inputs and outputs of the file.

    `batch`: the inputs of the model and the targets. `total_steps`: the input for the number of steps of the whole run,
    or null. `loss`, `metrics`, `gradient_norm`: outputs to report. `feeds`: from outputs to the inputs of the next
    step. `initial`: the file with the initial state; where several steps have one state, `state` lists the tensors of
    it that are inputs of this step. Where inputs are carried from step to step of one batch, `carry`: from outputs to
    the inputs of the next step on it, and `first`: an input, bool[], true in the first step on a batch, which doesn't
    read them.
    """
    inputs, outputs = step.phase.inputs.values(), step.phase.outputs
    results = [port for port in outputs if isinstance(port, Result)]
    carry = {port.name: port.of.name for port in outputs if isinstance(port, NextCarried)}
    return {
        "batch": [port.name for port in inputs if isinstance(port, Batch)],
        "total_steps": TOTAL_STEPS.name if TOTAL_STEPS in inputs else None,
        "loss": next(port.name for port in results if port.is_loss),
        "metrics": [port.name for port in results if not port.is_loss],
        "gradient_norm": NORM.name,
        "feeds": step.feeds,
        "initial": step.initial,
        **({"state": step.read} if step.state else {}),
        **({"carry": carry, "first": FIRST.name} if carry else {}),
    }


def initial_state(variables: Sequence[Variable], values: Mapping[str, Array], seed: int = 0) -> dict[str, Array]:
    """The initial training state: the stored tensors, freshly initialized optimizer state, step 0, and the seed of
    dropout."""
    return {variable.name: _initial(variable, values, seed) for variable in variables}


def _initial(variable: Variable, values: Mapping[str, Array], seed: int) -> Array:
    if variable.role in ("parameter", "statistic", "updated", "average"):
        return values[variable.of]
    assert variable.type.sizes is not None
    own = 0 if variable.role != "seed" else seed if variable.name == SEED else _derived(seed, variable.name)
    number = np.array(own, numpy_dtype(variable.type.dtype))
    return np.broadcast_to(number, variable.type.sizes)  # takes no memory


def _derived(seed: int, name: str) -> int:
    """The seed of one of several trainings of a state, from 0 to 2^63 - 1."""
    return int.from_bytes(sha256(f"{seed}\0{name}".encode()).digest()[:8], "little") >> 1


# -- for the trainer ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class EvaluationModel:
    """The models that compute the parts of loss and metrics for a batch, one for each round; `values` as below."""

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
        """The arrays of a batch: the inputs of the model and the targets."""
        return self.evaluation.batch

    @property
    def variables(self) -> list[Variable]:
        """The training state that the evaluation reads."""
        return self.evaluation.variables


def evaluation_model(evaluation: Evaluation, values: Mapping[str, Array], *, opset: int = 21) -> EvaluationModel:
    """The model of an evaluation."""
    protos = [_structure(r.phase, opset=opset) for r in evaluation.rounds]
    return EvaluationModel(evaluation.name, evaluation, protos, values)


@dataclass(frozen=True, eq=False)
class TrainingModels:
    """The ONNX models of a training, without the values of their stored tensors, which are in `values`.

    Trained tensors and running statistics are inputs of all of them; frozen tensors are initializers.
    """

    name: str
    summary: Summary  # of the model
    step: SplitStep
    evaluation: EvaluationModel
    values: Mapping[str, Array]
    gradients: ModelProto
    sums: ModelProto | None
    update: ModelProto
    rounds: list[ModelProto]
    pieces: list[ModelProto]

    @property
    def results(self) -> dict[str, TensorType]:
        """The loss and the metrics of a batch."""
        outputs = (self.step.rest or self.step.gradients.graph).outputs
        return {name: v.type for name, v in zip(self.evaluation.names, outputs, strict=False)}

    @property
    def norm(self) -> TensorType:
        """The type of the norm of the gradients."""
        return norm_type(v.type for v in self.step.variables if v.role == "parameter")

    @property
    def carried(self) -> dict[str, TensorType]:
        """The inputs that one step on a batch hands on to the next."""
        ports = self.step.gradients.inputs
        return {v.name: v.type for v in self.step.gradients.graph.inputs if isinstance(ports[v.name], Carried)}


def training_models(
    step: SplitStep,
    evaluation: Evaluation,
    values: Mapping[str, Array],
    summary: Summary,
    *,
    opset: int = 21,
    block: int = 0,
) -> TrainingModels:
    """The models of a training; with `block` for this machine only (`structure`)."""
    return TrainingModels(
        step.gradients.model.name,
        summary,
        step,
        evaluation_model(evaluation, values, opset=opset),
        values,
        _structure(step.gradients, opset=opset, block=block),
        None if step.sums is None else _structure(step.sums, opset=opset),
        _structure(step.update, opset=opset),
        [_structure(r.phase, opset=opset) for r in step.rounds],
        [_structure(p.phase, opset=opset) for p in step.pieces],
    )
