"""A file compiled with the weights of a PyTorch module, for tests that compare the two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto
from torch import nn

from wsdl import compiler
from wsdl.diagnostics import Problems
from wsdl.ir.graph import Program
from wsdl.onnx.emit import fill
from wsdl.onnx.initial_values import initial_values, with_derived
from wsdl.runtime.session import Session
from wsdl.span import Source

Array = NDArray[Any]


@dataclass
class Compiled:
    """The ONNX model and the numbers of its stored tensors."""

    program: Program
    proto: ModelProto
    values: dict[str, Array]

    def session(self) -> Session:
        return Session(self.proto.SerializeToString())


def checked(source: Source) -> Program:
    """The program of a source without errors."""
    problems = Problems()
    program = compiler.check(source, problems)
    assert not problems.errors, [(d.code, d.message, d.label) for d in problems.errors]
    return program


def compiled(source: Source, model: str, weights: Mapping[str, Array] | None = None) -> Compiled:
    """One model of a source, with `weights` by the paths of slots below the model, or with its initial values."""
    program = checked(source)
    values = initial_values(program) if weights is None else stored_values(program, model, weights)
    compiler.lower(program)
    values = with_derived(program, values)
    proto = compiler.emit(program, values, source)[model]
    fill(proto, values)
    return Compiled(program, proto, values)


def stored_values(program: Program, model: str, weights: Mapping[str, Array]) -> dict[str, Array]:
    """The number of each stored tensor, from the weights of any of its slots; those of the others must agree."""
    given = {f"{model}.{name}": array for name, array in weights.items()}
    values: dict[str, Array] = {}
    for stored in program.stored.values():
        found = [(view, given.pop(slot.file_path)) for slot, view in stored.slots if slot.file_path in given]
        whole = next((array for view, array in found if view.is_identity), None)
        if whole is None:
            view, array = next((v, a) for v, a in found if v.inverse() is not None)
            whole = np.ascontiguousarray(view.inverse().of(array))  # type: ignore[union-attr]
        for view, array in found:
            np.testing.assert_array_equal(view.of(whole), array, err_msg=stored.name)
        values[stored.name] = whole
    assert not given, f"these weights of the module have no place in {model}: {sorted(given)}"
    return values


def module_weights(module: nn.Module) -> dict[str, Array]:
    """The weights of a module by their names; every shared one under each of its names."""
    return {
        name: value.detach().numpy()
        for name, value in module.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def shake(module: nn.Module, seed: int = 0) -> None:
    """Give what starts as zeros and ones (biases, normalisations, statistics) numbers that make a difference."""
    rng = np.random.default_rng(seed)
    for name, value in module.state_dict().items():
        if value.ndim == 1 and value.is_floating_point():
            noise = value.new_tensor(rng.uniform(-0.3, 0.3, value.shape))
            value.copy_((1 + noise) if name.endswith("running_var") else value + noise)
