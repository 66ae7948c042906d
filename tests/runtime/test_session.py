"""Sessions say what is wrong with their arrays in the names of the file, before the runtime does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.onnx.running import compiled, onnx_of, random
from wsdl import compile
from wsdl.diagnostics import Diagnostic
from wsdl.diagnostics.run_error import RunError
from wsdl.ir.dims import Dim
from wsdl.ir.dtypes import numpy_dtype
from wsdl.ir.types import DType, TensorType
from wsdl.runtime.arrays import check_inputs
from wsdl.runtime.loading import run_failure
from wsdl.runtime.session import Session

MODEL = """
model m(x: f32[n, t, 4], ids: i64[n, t]) -> (y: f32[n, t, 4], total: f32[n]) {
    param weight: [4, 4] = normal
    y = x @ weight.T + cast(ids, f32).reshape(n, t, 1)
    return y, sum(y, axis=[1, 2])
}
"""


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(onnx_of(compiled(MODEL)).SerializeToString(), threads=1)


def ids(*shape: int) -> Any:
    return np.arange(np.prod(shape)).reshape(shape)


def findings(run: Callable[[], object]) -> list[Diagnostic]:
    with pytest.raises(RunError) as error:
        run()
    return error.value.diagnostics


def only(run: Callable[[], object]) -> Diagnostic:
    [diagnostic] = findings(run)
    return diagnostic


def test_signature(session: Session) -> None:
    assert {name: str(type) for name, type in session.inputs.items()} == {"x": "f32[n, t, 4]", "ids": "i64[n, t]"}
    assert {name: str(type) for name, type in session.outputs.items()} == {"y": "f32[n, t, 4]", "total": "f32[n]"}


# -- what fits ---------------------------------------------------------------------------------------------------------


def test_arrays_in_and_out(session: Session) -> None:
    outputs = session(ids=ids(2, 3), x=random(2, 3, 4))
    assert outputs["y"].shape == (2, 3, 4)
    np.testing.assert_allclose(outputs["total"], outputs["y"].sum(axis=(1, 2)), rtol=1e-5)


def test_lists_take_the_wanted_dtype(session: Session) -> None:
    assert session(x=[[[1, 2.5, 3, 4]]], ids=[[7]])["y"].shape == (1, 1, 4)


def test_other_layouts_of_memory(session: Session) -> None:
    x = random(2, 3, 4)
    expected = session(x=x, ids=ids(2, 3))["y"]
    for same in (x.astype(">f4"), np.asfortranarray(x), x[::-1][::-1]):
        np.testing.assert_array_equal(session(x=same, ids=ids(2, 3))["y"], expected)


@pytest.mark.parametrize("dtype", ["f16", "bf16", "f32", "f64", "i8", "i16", "i32", "i64", "u8", "bool"])
@pytest.mark.parametrize("shape", [(2, 3), (0, 3)])
def test_every_dtype_in_and_out(dtype: DType, shape: tuple[int, int]) -> None:
    text = f"model m(x: {dtype}[n, 3], s: {dtype}) -> (y: {dtype}[3, n], z: {dtype}) {{ return x.T, s }}"
    same = Session(onnx_of(compiled(text)).SerializeToString())
    x = random(*shape).astype(numpy_dtype(dtype))
    outputs = same(x=x, s=np.ones((), x.dtype))
    assert outputs["y"].dtype == x.dtype
    np.testing.assert_array_equal(outputs["y"], x.T)
    assert (outputs["z"].shape, outputs["z"].item()) == ((), 1)


# -- what does not -----------------------------------------------------------------------------------------------------


def test_names(session: Session) -> None:
    first, second, third = findings(lambda: session(X=random(1, 1, 4), mask=ids(1, 1)))
    assert (first.code, first.message, first.help) == ("E0711", "the model has no input `X`", "did you mean `x`?")
    assert second.message == "the model has no input `mask`"
    assert third.message == "the input `ids`, i64[n, t], is missing"
    assert only(lambda: session(x=random(1, 1, 4))).message == "the input `ids`, i64[n, t], is missing"


@pytest.mark.parametrize(
    ("x", "message", "help"),
    [
        (
            random(1, 1, 4, dtype="float64"),
            "`x` is f64, but must be f32[n, t, 4]",
            "`x.astype(numpy.float32)`",
        ),
        (np.zeros((1, 1, 4), np.uint8), "`x` is u8, but", "divided by 255"),
        (np.zeros((1, 1, 4), np.complex64), "`x` is complex64, but", None),
        (np.array([["a"]]), "`x` is text[1, 1], but must be f32[n, t, 4]", None),
        ([[[1, 2, 3, 4]], [[1]]], "`x` holds Python objects", "same length"),
        (None, "`x` holds Python objects", None),
    ],
)
def test_dtypes(session: Session, x: Any, message: str, help: str | None) -> None:
    found = only(lambda: session(x=x, ids=ids(1, 1)))
    assert found.code == "E0712"
    assert message in found.message
    assert help is None or help in (found.help or "")


@pytest.mark.parametrize(
    ("labels", "code", "help"),
    [
        (np.eye(3, dtype=np.float32), "E0712", "its rows are one-hot: `label.argmax(axis=-1)` gives"),
        (np.eye(3, dtype=np.int64), "E0713", "its rows are one-hot: `label.argmax(axis=-1)` gives"),
        (np.zeros((3, 3), np.float32), "E0712", "drops the fractions"),
        (np.float32(1), "E0712", "drops the fractions"),
        (np.array(["cat", "dog", "cat"]), "E0712", "number the classes: `numpy.unique(label, return_inverse=True)[1]`"),
    ],
)
def test_classes_that_are_no_numbers(labels: Any, code: str, help: str) -> None:
    signature = {"label": TensorType.of("i64", [Dim.symbol("n")])}
    found = only(lambda: check_inputs(signature, {"label": labels}))
    assert found.code == code
    assert ("is f32[3, 3], but must be i64[n]" in found.message) == (code == "E0712" and labels.ndim == 2)
    assert help in (found.help or "")


def test_floats_for_integers_are_not_cut_off_unasked(session: Session) -> None:
    found = only(lambda: session(x=random(1, 1, 4), ids=np.ones((1, 1))))
    assert "drops the fractions" in (found.help or "")


@pytest.mark.parametrize(
    ("x", "ids", "message"),
    [
        ((2, 3), (2, 3), "`x` has shape [2, 3], but must be f32[n, t, 4]"),
        ((2, 3, 5), (2, 3), "axis 2 of `x` has size 5, but must be 4"),
        ((2, 3, 4), (2, 5), "axis 1 of `ids` has size 5, but must be t, and t is 3 in `x`"),
    ],
)
def test_shapes(session: Session, x: tuple[int, ...], ids: tuple[int, ...], message: str) -> None:
    found = only(lambda: session(x=random(*x), ids=np.zeros(ids, np.int64)))
    assert (found.code, found.message) == ("E0713", message)


def test_a_missing_axis_is_named(session: Session) -> None:
    assert "`x[None, ...]`" in (only(lambda: session(x=random(3, 4), ids=ids(1, 3))).help or "")


def test_devices(session: Session) -> None:
    assert only(lambda: Session(b"", device="tpu")).code == "E0714"
    assert only(lambda: Session(b"", device="cuda")).code == "E0714"


def test_files_that_are_no_models(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    assert only(lambda: Session(broken)).code == "E0715"
    assert only(lambda: Session(tmp_path / "nothing.onnx")).message == "there is no such file"


def test_exceptions_while_a_model_runs() -> None:
    """Those that the runtime can raise are errors of ours, others stay what they are."""
    assert run_failure(MemoryError(), "m", {}).diagnostics[0].message == "ONNX Runtime stopped: MemoryError"
    with pytest.raises(KeyError):
        run_failure(KeyError("x"), "m", {})


# -- batches -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [0, 1, 6, 7])
def test_batches_give_what_one_piece_gives(session: Session, rows: int) -> None:
    arrays = {"x": random(rows, 3, 4), "ids": ids(rows, 3)}
    whole, pieces = session.run(arrays), session.run(arrays, batch=3)
    for name in whole:
        np.testing.assert_allclose(pieces[name], whole[name], rtol=1e-5, atol=1e-6)


def test_memory_mapped_input(session: Session, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", random(5, 3, 4))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_allclose(
        session.run({"x": x, "ids": ids(5, 3)}, batch=2)["y"], session(x=x, ids=ids(5, 3))["y"], rtol=1e-5, atol=1e-6
    )


def test_what_has_no_rows_has_no_batches() -> None:
    text = "model m(x: f32[n, 4]) -> (mean: f32[4]) { return mean(x, axis=0) }"
    mean = Session(onnx_of(compiled(text)).SerializeToString())
    found = only(lambda: mean.run({"x": random(4, 4)}, batch=2))
    assert "`mean` is f32[4], so it can't be concatenated from batches of n" in found.message


@pytest.mark.parametrize(
    ("body", "sizes", "needed"),
    [
        ("x[:, -1]", (2, 0), "t >= 1"), ("x[:, 2]", (2, 2), "t >= 3"), ("x[:, -3]", (2, 2), "t >= 3"),
        ("x[:, 2:4]", (2, 3), "t >= 4"), ("x[:, -2:]", (2, 1), "t >= 2"), ("x[:, 1:]", (2, 0), "t >= 1"),
        ("x[:, t - 2]", (2, 1), "t >= 2"), ("x[:, t // 2]", (2, 0), "t - t // 2 >= 1"),
        ("argmax(x, axis=1)", (2, 0), "t != 0"), ("argmin(x)", (0, 3), "n * t != 0"),
        ("max(x, axis=1)", (2, 0), "t != 0"), ("min(x)", (2, 0), "n * t != 0"), ("topk(x, 3)", (2, 2), "t >= 3"),
        ("split(x, [2, t - 2], axis=1)", (2, 1), "t - 2 >= 0"), ("zeros([t - 2])", (2, 1), "t - 2 >= 0"),
        ("arange(t - 2)", (2, 1), "t >= 2"), ("expand(x[:, 0], [t - 4, n])", (2, 3), "t - 4 >= 0"),
    ],
)  # fmt: skip
def test_sizes_for_which_there_is_nothing(body: str, sizes: tuple[int, int], needed: str) -> None:
    session = compile(f"model m(x: f32[n, t]) {{\n    return {body}\n}}\n").session()
    session(x=np.ones((2, 5), np.float32))
    with pytest.raises(RunError) as stopped:
        session(x=np.ones(sizes, np.float32))
    [found] = stopped.value.diagnostics
    message = f"the model needs {needed}, which these inputs don't satisfy"
    assert (found.code, found.message) == ("E0716", message)


def test_an_input_without_elements() -> None:
    session = compile("model m(x: f32[n, 3, h, w]) {\n    return max_pool(x, 2)\n}\n").session()
    with pytest.raises(RunError) as stopped:
        session(x=np.ones((2, 3, 0, 4), np.float32))
    [found] = stopped.value.diagnostics
    assert found.message == "the model has no input to compute from: `x` has no elements"
