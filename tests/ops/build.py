"""One operation as a program: its arrays, its ONNX model, its run."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime as ort

from wsdl.diagnostics.span import Source
from wsdl.ir.dims import Dim
from wsdl.ir.dtypes import numpy_dtype
from wsdl.ir.graph import Graph, Initializer, Lowered, Model, Module, Node, Slot, Stored, Value
from wsdl.ir.types import DTYPES, TensorType
from wsdl.ir.views import View
from wsdl.onnx.emit import emit
from wsdl.ops import OPERATIONS, Operation
from wsdl.ops.build import Build
from wsdl.ops.interpreter import evaluate
from wsdl.sharing.check_limits import multiplications

Array: TypeAlias = "np.ndarray[Any, Any]"
Operand: TypeAlias = "Array | list[Array] | None"
NOWHERE = Source("test.wsd", "").span(0, 0)


@cache
def typed(text: str) -> TensorType:
    """`f32[n, 2 * t, 3]` as a type."""
    dtype, _, rest = text.partition("[")
    return TensorType.of(dtype, [dim(d) for d in rest.rstrip("]").split(",") if d])  # type: ignore[arg-type] # a DType


@cache
def dim(text: str) -> Dim:
    if "." in text:  # a part
        return Dim.symbol(text)
    names = {name: Dim.symbol(name) for name in ("n", "m", "t", "s", "c", "d")}
    return Dim.of(eval(text, {}, names))


def random_array(type: TensorType, key: str, sizes: Mapping[str, int] | None = None) -> Array:
    """Numbers that depend on nothing but the key."""
    rng = np.random.default_rng(zlib.crc32(f"{key} {type}".encode()))
    shape = [d.evaluate(sizes or {}) for d in type.shape]
    if type.dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    if type.is_integer:
        return np.asarray(rng.integers(0 if type.dtype == "u8" else -9, 10, shape)).astype(numpy_dtype(type.dtype))
    return np.asarray(rng.normal(size=shape)).astype(numpy_dtype(type.dtype))


def array_type(array: Array) -> TensorType:
    return TensorType.of(next(t for t in DTYPES if numpy_dtype(t) == array.dtype), array.shape)


class Built:
    """A model of one operation; its inputs are the operands, and `beside` for sizes that no operand has."""

    def __init__(
        self,
        name: str,
        operands: Sequence[TensorType | list[TensorType] | None],
        attributes: Mapping[str, Any],
        *,
        beside: Sequence[TensorType] = (),
        stored: Mapping[int, tuple[Array, View]] | None = None,
        opset: int = 21,
    ) -> None:
        self.operation: Operation = OPERATIONS[name]
        self.stored = stored or {}
        self.values: dict[str, Array] = {}
        program, graph = Lowered(), Graph()
        tensors: list[Value | list[Value] | None] = []
        for i, type in enumerate(operands):
            if i in self.stored:
                assert isinstance(type, TensorType)
                tensors.append(self._parameter(f"w{i}", *self.stored[i], graph))
            elif isinstance(type, list):
                listed = [Value(t, f"x{i}_{j}") for j, t in enumerate(type)]
                tensors.append(listed)
                graph.inputs += listed
            elif type is not None:
                graph.inputs.append(Value(type, f"x{i}"))
                tensors.append(graph.inputs[-1])
            else:
                tensors.append(None)
        graph.inputs += [Value(type, f"beside{i}") for i, type in enumerate(beside)]
        names = [p.name for p in self.operation.operands]
        types = self.operation.result_types(**dict(zip(names, operands, strict=False)), **attributes)
        if self.operation.rules.expand is not None:
            self.results = Build(graph).all(name, *tensors, **attributes)
        else:
            self.results = [Value(type, f"y{i}") for i, type in enumerate(types)]
            graph.nodes.append(Node(name, tensors, dict(attributes), self.results))
        graph.outputs = self.results
        self.macs = multiplications(graph)
        program.stored = {name: self._stored(name, array) for name, array in self.values.items()}
        output_names = [f"y{i}" for i in range(len(self.results))]
        model = Model("test", graph, Module("test", "", NOWHERE), output_names=output_names)
        self.proto = emit(program, model, self.values, opset=opset)
        onnx.checker.check_model(self.proto, full_check=True)

    def _parameter(self, name: str, array: Array, view: View, graph: Graph) -> Value:
        self.values[name] = array
        value = Value(TensorType.of(array_type(array).dtype, view.shape), name)
        graph.nodes.append(Node("parameter", [], {"stored": name}, [value], view=view))
        return value

    def _stored(self, name: str, array: Array) -> Stored:
        slot = Slot(name, array_type(array), "param", Initializer("zeros"), NOWHERE, NOWHERE)
        return Stored(name, slot.type, slot, ((slot, View.identity(array.shape)),), slot.initializer)

    def session(self) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        return ort.InferenceSession(self.proto.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def feeds(self, operands: Sequence[Operand], beside: Sequence[Array] = ()) -> dict[str, Array]:
        feeds: dict[str, Array] = {}
        for i, operand in enumerate(operands):
            if isinstance(operand, list):
                feeds.update({f"x{i}_{j}": array for j, array in enumerate(operand)})
            elif operand is not None and i not in self.stored:
                feeds[f"x{i}"] = operand
        return {**feeds, **{f"beside{i}": array for i, array in enumerate(beside)}}


def evaluated(
    name: str, operands: Sequence[Operand], attributes: Mapping[str, Any], sizes: Mapping[str, int] | None = None
) -> tuple[Array, ...]:
    """What the NumPy reference gives."""
    operation = OPERATIONS[name]
    names = [p.name for p in operation.operands]
    if operation.rules.expand is not None:
        graph = Graph()
        arrays: list[Array] = []

        def entered(operand: Operand) -> Any:
            if isinstance(operand, list):
                return [entered(array) for array in operand]
            if operand is None:
                return None
            arrays.append(operand)
            graph.inputs.append(Value(array_type(operand)))
            return graph.inputs[-1]

        graph.outputs = Build(graph).all(name, *map(entered, operands), **attributes)
        return tuple(evaluate(graph, arrays, {}, sizes))
    return operation.evaluate(np, sizes, **dict(zip(names, operands, strict=False)), **attributes)


TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 1e-5, "float64": 1e-10}


def assert_close(actual: Array, expected: Array, slack: float = 1, least: float = 0) -> None:
    """Equal for integers and bools; for floats up to their dtype's precision, relative to the largest number.

    `least` is what this counts as at least, where numbers may cancel out but for rounding.
    """
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    tolerance = TOLERANCE.get(actual.dtype.name)
    if tolerance is None:
        np.testing.assert_array_equal(actual, expected)
        return
    a, b = actual.astype(np.float64), expected.astype(np.float64)
    finite = b[np.isfinite(b)]
    largest = max(least, min(1.0, float(np.abs(finite).max()))) if finite.size else 1.0
    np.testing.assert_allclose(a, b, rtol=tolerance * slack, atol=tolerance * slack * largest)
