"""Integers at the ends of their range, and floats that no integer holds: what NumPy gives, on every machine."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tests.ops.build import NOWHERE, Array, array_type
from wsdl import CompileError, compile
from wsdl.diagnostics.run_error import RunError
from wsdl.ir.dtypes import numpy_dtype
from wsdl.ir.graph import Graph, Lowered, Model, Module, Value
from wsdl.onnx.emit import emit
from wsdl.ops.build import Build
from wsdl.runtime.session import Session

INTEGERS = ("i8", "i16", "i32", "i64", "u8")
PAIRS: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "floordiv": np.floor_divide, "mod": np.mod,
    "minimum": np.minimum, "maximum": np.maximum, "equal": np.equal, "less": np.less, "less_equal": np.less_equal,
    "greater": np.greater, "greater_equal": np.greater_equal,
}  # fmt: skip
SINGLE: dict[str, Callable[..., Any]] = {"neg": np.negative, "abs": np.abs, "sign": np.sign}
ALONG: dict[str, Callable[..., Any]] = {
    "sum": lambda x, axis: np.sum(x, axis, np.int64), "prod": lambda x, axis: np.prod(x, axis, np.int64),
    "max": np.max, "min": np.min, "argmax": np.argmax, "argmin": np.argmin,
}  # fmt: skip
every_dtype = pytest.mark.parametrize("dtype", INTEGERS)


def ends(dtype: str) -> Array:
    """Numbers around the ends, the middle and 0."""
    info = np.iinfo(numpy_dtype(dtype))  # type: ignore[arg-type] # one of the DTypes
    near = {info.min, info.min + 1, info.max, info.max - 1, info.max // 3, info.min // 2, -7, -3, -2, -1, 0, 1, 2, 3, 7}
    return np.array(sorted(n for n in near if info.min <= n <= info.max), info.dtype)


def run(inputs: Sequence[Array], build: Callable[..., list[Value]]) -> list[Array]:
    """What a model gives whose outputs `build` makes of a `Build` and of its inputs."""
    graph = Graph([Value(array_type(a), f"x{i}") for i, a in enumerate(inputs)])
    graph.outputs = build(Build(graph), *graph.inputs)
    names = [f"y{i}" for i in range(len(graph.outputs))]
    model = Model("m", graph, Module("m", "", NOWHERE), output_names=names)
    session = Session(emit(Lowered(models={"m": model}), model, {}).SerializeToString())
    return list(session.run({f"x{i}": a for i, a in enumerate(inputs)}).values())


def assert_all_equal(actual: Sequence[Array], expected: dict[str, Any]) -> None:
    for (name, want), got in zip(expected.items(), actual, strict=True):
        np.testing.assert_array_equal(got, want, err_msg=name)


@pytest.fixture(autouse=True)
def _silent_numpy() -> Any:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        yield


@every_dtype
def test_pairs(dtype: str) -> None:
    a, b = (x.ravel() for x in np.meshgrid(ends(dtype), ends(dtype)))
    a, b = a[b != 0], b[b != 0]
    expected = {op: function(a, b) for op, function in PAIRS.items()}
    assert_all_equal(run([a, b], lambda g, x, y: [g(op, x, y) for op in PAIRS]), expected)


@every_dtype
def test_constant_operands(dtype: str) -> None:
    x = ends(dtype)
    divisors, exponents = [int(n) for n in x if n != 0], [0, 1, 2, 3, 7, 60]
    expected = {f"{op} {n}": PAIRS[op](x, x.dtype.type(n)) for op in ("floordiv", "mod") for n in divisors}
    expected |= {f"** {n}": x ** x.dtype.type(n) for n in exponents}

    def build(g: Build, x: Value) -> list[Value]:
        ratios = [g(op, x, g.constant(n, x.type)) for op in ("floordiv", "mod") for n in divisors]
        return ratios + [g("pow", x, g.constant(n, x.type)) for n in exponents]

    assert_all_equal(run([x], build), expected)


@every_dtype
def test_powers(dtype: str) -> None:
    x = ends(dtype)[:, None]
    exponents = np.abs(ends(dtype))
    exponents = exponents[exponents >= 0]  # of the smallest there is no absolute value
    expected = {"run time": x**exponents, "constants": x ** np.array([0, 5], x.dtype)}
    listed = lambda g, x: g("constant", value=[0, 5], dtype=x.type.dtype)  # noqa: E731  (as short as its use)
    assert_all_equal(run([x, exponents], lambda g, x, n: [g("pow", x, n), g("pow", x, listed(g, x))]), expected)


@every_dtype
def test_single_and_along(dtype: str) -> None:
    x = np.stack([ends(dtype), ends(dtype)[::-1], np.roll(ends(dtype), 1)])
    single = [op for op in SINGLE if not (dtype == "u8" and op == "neg")]
    expected = {op: SINGLE[op](x) for op in single}
    expected |= {f"{op} {axis}": ALONG[op](x, axis) for op in ALONG for axis in (0, 1, None)}
    expected["cumsum"] = np.cumsum(x, 1, np.int64)

    def build(g: Build, x: Value) -> list[Value]:
        along = [g(op, x, axis=axis) for op in ALONG for axis in (0, 1, None)]
        return [*(g(op, x) for op in single), *along, g("cumsum", x, axis=1)]

    assert_all_equal(run([x], build), expected)


@every_dtype
def test_casts_of_integers_wrap_around(dtype: str) -> None:
    x = ends(dtype)
    to = (*INTEGERS, "f16", "f32", "f64", "bool")
    expected = {d: x.astype(numpy_dtype(d)) for d in to}  # type: ignore[arg-type] # one of the DTypes
    assert_all_equal(run([x], lambda g, x: [g("cast", x, dtype=d) for d in to]), expected)


LAST_OF_F32 = {"i32": 2**31 - 2**7, "i64": 2**63 - 2**39}  # beyond 24 bits f32 has even numbers only


@pytest.mark.parametrize("given", ["f16", "f32", "f64"])
def test_casts_of_floats_end_at_the_ends(given: str) -> None:
    """NumPy leaves these to the machine."""
    numbers = [300.7, -300.7, -0.9, 255.9, 3e9, -3e9, 1e20, -1e20, np.inf, -np.inf, np.nan]
    x: Array = np.array(numbers, numpy_dtype(given))  # type: ignore[arg-type] # one of the DTypes
    expected = {}
    for dtype in INTEGERS:
        info = np.iinfo(numpy_dtype(dtype))  # type: ignore[arg-type] # one of the DTypes
        last = LAST_OF_F32.get(dtype, info.max) if given != "f64" else 2**63 - 2**10 if dtype == "i64" else info.max
        clipped = [0 if np.isnan(n) else n.clip(info.min, last) for n in x.astype(float)]
        expected[dtype] = np.array([int(n) for n in clipped], info.dtype)
    assert_all_equal(run([x], lambda g, x: [g("cast", x, dtype=d) for d in INTEGERS]), expected)


@pytest.mark.parametrize("dtype", ["f16", "f32", "f64"])
def test_division_of_floats(dtype: str) -> None:
    numbers = [0.0, -0.0, 1, -1, 2.5, -5, 7.5, np.inf, -np.inf, np.nan, 1e-3]
    x: Array = np.array(numbers, numpy_dtype(dtype))  # type: ignore[arg-type] # one of the DTypes
    a, b = (each.ravel() for each in np.meshgrid(x, x))
    expected = {"floordiv": a // b, "mod": a % b}
    assert_all_equal(run([a, b], lambda g, x, y: [g(op, x, y) for op in expected]), expected)


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        ("x // y", "a divisor other than 0 for `//`"),
        ("x % y", "a divisor other than 0 for `%`"),
        ("x ** y", "an exponent of at least 0 for `**`"),
        ("cast(x, f32) * (n // (n - 2))", "n - 2 != 0"),
    ],
)
def test_what_has_no_result_stops_the_run(expression: str, what: str) -> None:
    session = compile(f"model m(x: i32[n], y: i32[n]) {{\n    return {expression}\n}}\n").session()
    session(x=np.ones(3, np.int32), y=np.array([1, 2, 3], np.int32))
    with pytest.raises(RunError) as stopped:
        session(x=np.ones(2, np.int32), y=np.array([0, -1], np.int32))
    [found] = stopped.value.diagnostics
    assert (found.code, what in found.message) == ("E0716", True), found.message


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("x // 0", "E0407"), ("x % [1, 0]", "E0407"), ("x ** -1", "E0403"), ("2 ** x", ""), ("x // 2 + x % 3", ""),
        ("x + 128", "E0225"), ("x + -128", ""), ("x == 300", "E0225"), ("cast(x, u8) - -1", "E0225"),
        ("clip(x, min=-300, max=300)", ""), ("clip(x, min=200)", "E0414"), ("clip(x, max=-200)", "E0414"),
        ("full([2], 300, dtype=i8)", "E0414"), ("full([2], -1, dtype=u8)", "E0414"),
        ("full([2], 2.5, dtype=i8)", "E0403"), ("cast(300, i8)", "E0414"), ("cast(2.7, i8)", ""),
        ("cast(x, i16) + 300", ""), ("cast(x, f32) * 3.4028235e38", ""), ("cast(x, f32) * 1e39", "E0225"),
    ],
)  # fmt: skip
def test_constants_are_checked_when_compiling(expression: str, code: str) -> None:
    source = f"model m(x: i8[2]) {{\n    return {expression}\n}}\n"
    if not code:
        compile(source).session()(x=np.ones(2, np.int8))
        return
    with pytest.raises(CompileError) as refused:
        compile(source)
    assert [d.code for d in refused.value.diagnostics] == [code]
