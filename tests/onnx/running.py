"""Programs in tests: compiled from text, run on the reference and on ONNX Runtime, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from tests.stages import storage_of
from wsdl.compiler import lower
from wsdl.diagnostics.span import Source
from wsdl.ir.graph import Lowered
from wsdl.ir.target import Target
from wsdl.onnx.emit import emit
from wsdl.ops.interpreter import evaluate
from wsdl.runtime.session import Session
from wsdl.weights.initial_values import WithDerived, initial_values

Array = NDArray[Any]
DEFAULT = Target()


def compiled(text: str, target: Target = DEFAULT) -> Lowered:
    """A program that checks, lowered."""
    return lower(storage_of(Source("test.wsd", text)), target)


def onnx_of(program: Lowered, values: Mapping[str, Array] | None = None, model: str = "m") -> onnx.ModelProto:
    """The checked ONNX model with initial values."""
    proto = emit(program, program.models[model], values or WithDerived(program, initial_values(program)))
    onnx.checker.check_model(proto, full_check=True)
    return proto


def agree(text: str, *inputs: Array, target: Target = DEFAULT) -> onnx.ModelProto:
    """Compile model `m`; the reference and the runtime must agree on these inputs."""
    program = compiled(text, target)
    values = WithDerived(program, initial_values(program))
    proto = onnx_of(program, values)
    same_results(program, values, proto, inputs)
    return proto


def same_results(
    program: Lowered, values: Mapping[str, Array], proto: onnx.ModelProto, inputs: Sequence[Array]
) -> None:
    model = program.models["m"]
    session = Session(proto.SerializeToString(), threads=1)
    got = session.run(dict(zip((v.name for v in model.graph.inputs), inputs, strict=True)))
    want = evaluate(model.graph, inputs, values)
    assert list(got) == model.output_names
    for name, expected in zip(model.output_names, want, strict=True):
        assert got[name].dtype == expected.dtype
        assert got[name].shape == expected.shape
        np.testing.assert_allclose(got[name], expected, rtol=2e-5, atol=1e-6)


def random(*shape: int, dtype: str = "float32") -> Array:
    """The same numbers for the same shape."""
    return np.random.default_rng(sum(shape) + len(shape)).normal(size=shape).astype(dtype)


def initializers(proto: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in proto.graph.initializer}
