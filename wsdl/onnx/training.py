"""The step of training as a file: its contract in the metadata, what it starts from beside it.

`<model>.train.onnx` takes a batch, the number of the step and all that training changes; it gives the loss, the metrics
and all that anew. `<model>.train.safetensors` has what the first step is fed with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from wsdl.ir.dtypes import numpy_dtype
from wsdl.onnx.emit import structure
from wsdl.passes.train_step import SEED, STEP, TOTAL, TrainStep

Array = NDArray[Any]
CONTRACT = "wsdl.training"


def emit_step(step: TrainStep, *, opset: int = 21, source_sha256: str = "") -> ModelProto:
    """The ONNX model of a step, without the numbers of what is frozen."""
    proto = structure(step.program, step.model, opset=opset, source_sha256=source_sha256)
    proto.metadata_props.add(key=CONTRACT, value=json.dumps(contract(step), ensure_ascii=False))
    return proto


def contract(step: TrainStep) -> dict[str, Any]:
    """What an app has to know: the inputs of a batch, the outputs to look at, which output is which input next."""
    outputs = [name for name in step.model.output_names if name not in step.feeds]
    state = set(step.feeds.values())
    return {
        "batch": [v.name for v in step.model.graph.inputs if v.name not in state and v.name != TOTAL],
        "total_steps": TOTAL if any(v.name == TOTAL for v in step.model.graph.inputs) else None,
        "loss": outputs[0],
        "metrics": outputs[1:],
        "feeds": step.feeds,
        "initial": f"{step.model.name}.train.safetensors",
    }


def initial_state(step: TrainStep, values: Mapping[str, Array], seed: int = 0) -> dict[str, Array]:
    """What the first step is fed with: the stored tensors, an optimizer that has seen nothing, step 0, the seed of what
    is random."""
    state = {s.name: values[s.name] for s in [*step.trained, *step.statistics]}
    for name, type in step.states.items():
        assert type.sizes is not None
        state[name] = np.zeros(type.sizes, numpy_dtype(type.dtype))
    state |= {name: values[stored.name] for name, stored in step.averages.items()}
    state |= {SEED: np.array(seed, np.int64)} if SEED in step.feeds.values() else {}
    return {**state, STEP: np.array(0, np.int64)}
