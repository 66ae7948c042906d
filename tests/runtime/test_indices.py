"""Ids and labels that are out of range: said with the input, the row, the number and what there is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.compiling import compiled_once
from wsdl import Program, api, compile
from wsdl.diagnostics.run_error import RunError
from wsdl.ops import NAMED
from wsdl.runtime.plan import Plan
from wsdl.runtime.session import Session

SOURCE = """\
model m(ids: i64[n, t]) -> (scores: f32[n, 4]) {{
    layer tok = Embedding(9, 8)
    return tok(ids) |> mean(axis=1) |> Dense(4)
}}

train m(label: {dtype}[n]) {{
    loss {loss}
    metric accuracy = mean(argmax(scores, axis=-1) == cast(label, i64))
    optimizer SGD(0.1)
}}
"""
CLASSES = "the classes are 0 to 3"
LOOKED_UP = "valid indices are 0 to 3"


def program(loss: str = "cross_entropy(scores, label)", dtype: str = "i64") -> Program:
    return compiled_once(SOURCE.format(loss=loss, dtype=dtype))


def data(dtype: Any = np.int64, **wrong: tuple[Any, int]) -> dict[str, Any]:
    """Six rows; `ids=((2, 1), 9)` puts 9 there."""
    arrays = {"ids": np.arange(18).reshape(6, 3) % 9, "label": np.array([0, 1, 2, 3, 0, 1], dtype)}
    for name, (place, number) in wrong.items():
        arrays[name][place] = number
    return arrays


def message(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(RunError) as stopped:
        call()
    [found] = stopped.value.diagnostics
    return found.code, found.message


@pytest.mark.parametrize(
    ("loss", "dtype", "number", "there"),
    [
        ("cross_entropy(scores, label)", "i64", -1, CLASSES),
        ("cross_entropy(scores, label)", "i64", 4, CLASSES),
        ("cross_entropy(scores, label)", "u8", 200, CLASSES),
        ("cross_entropy(scores, label)", "i8", -7, CLASSES),
        ("cross_entropy(scores, label, weight=[1.0, 2.0, 1.0, 1.0], label_smoothing=0.1)", "i32", -1, CLASSES),
        ("cross_entropy(scores, label, ignore_index=-1)", "i64", -100, CLASSES),
        ("nll(log_softmax(scores), label)", "i64", -1, CLASSES),
        ("nll(log_softmax(scores), label)", "i32", 4, CLASSES),
        ("mean(one_hot(label, 4) * scores)", "i64", -1, LOOKED_UP),
        ("mean(one_hot(label, 4) * scores)", "u8", 4, LOOKED_UP),
        ("mean(take_along(scores, label.reshape(n, 1), axis=1, from_end=false))", "i64", -1, LOOKED_UP),
    ],
)  # fmt: skip
def test_labels(loss: str, dtype: str, number: int, there: str) -> None:
    trainer = program(loss, dtype).trainer(batch=6)
    numpy_dtype = {"i64": np.int64, "i32": np.int32, "i8": np.int8, "u8": np.uint8}[dtype]
    wrong = data(numpy_dtype, label=(4, number))
    said = ("E0728", f"`label` holds {number} in row 4, where {there}")
    assert message(lambda: trainer.step(wrong)) == said
    assert message(lambda: trainer.batches(wrong)) == said
    assert message(lambda: trainer.evaluate(wrong)) == said
    assert message(lambda: trainer.evaluate([wrong])) == said
    assert trainer.steps == 0
    trainer.step(data(numpy_dtype))


def test_labels_that_do_not_count_may_be_anything() -> None:
    trainer = program().trainer(batch=6)
    some = data(label=(4, -100))
    rows = {name: array[[0, 1, 2, 3, 5]] for name, array in some.items()}
    assert trainer.evaluate(some)["loss"] == pytest.approx(trainer.evaluate(rows)["loss"], rel=1e-6)


def test_parts_of_a_batch() -> None:
    """Rows are those of the batch, not of the part in which they are computed."""
    trainer = program().trainer(batch=6, accumulate=3)
    assert message(lambda: trainer.step(data(label=(5, 9)))) == ("E0728", f"`label` holds 9 in row 5, where {CLASSES}")


def test_labels_that_are_computed() -> None:
    trainer = program("cross_entropy(scores, label - 1)").trainer(batch=6)
    trainer.step({name: array[1:4] for name, array in data().items()})
    code, said = message(lambda: trainer.step(data()))
    assert (code, said.startswith("the model needs labels from 0 to 3, or -100")) == ("E0716", True)


@pytest.mark.parametrize("number", [-1, 9, 2**40])
def test_ids(number: int, tmp_path: Path) -> None:
    compiled = program()
    wrong = data(ids=((2, 1), number))
    said = ("E0728", f"`ids` holds {number} in row 2, at [2, 1], where valid indices are 0 to 8")
    compiled.models["m"].save(tmp_path / "m.onnx")
    for session in compiled.session(), Session(tmp_path / "m.onnx"):
        assert message(partial(session, ids=wrong["ids"])) == said
        assert message(partial(session.run, {"ids": wrong["ids"]}, batch=2)) == said
    assert message(lambda: compiled.trainer().step(wrong)) == said


def test_a_file_of_data(tmp_path: Path) -> None:
    (tmp_path / "m.wsd").write_text(SOURCE.format(loss="cross_entropy(scores, label)", dtype="i64"))
    np.savez(tmp_path / "data.npz", **data(label=(3, 4)))
    said = ("E0728", f"`label` holds 4 in row 3, where {CLASSES}")
    assert message(lambda: api.evaluate(tmp_path / "m.wsd", tmp_path / "data.npz")) == said
    assert message(lambda: api.train(tmp_path / "m.wsd", tmp_path / "data.npz", plan=Plan())) == said


@pytest.mark.parametrize(
    ("body", "negative"), [("gather(x, i)", True), ("take_along(x, i, axis=0)", True), ("one_hot(i, 3)", False)]
)
def test_indices_of_operations(body: str, negative: bool) -> None:
    """Those of `gather` and `take_along` count from the end."""
    session = compile(f"model m(x: f32[3], i: i32[n]) {{\n    return {body}\n}}\n").session()
    x = np.array([1, 2, 3], np.float32)
    for number in -4, 3, *([] if negative else [-1]):
        code, said = message(partial(session, x=x, i=np.array([0, number], np.int32)))
        assert (code, str(number) in said) == ("E0728", True) or body.startswith("take_along")
    if negative:
        np.testing.assert_array_equal(session(x=x, i=np.array([0, -1], np.int32))["output"], [1, 3])


def test_indices_of_steps() -> None:
    """In the body of a scan each step looks one up."""
    source = """\
model m(ids: i64[n, t]) -> (last: f32[n, 4]) {
    layer tok = Embedding(9, 4)
    scan id in ids along t with h = zeros([n, 4]) {
        h = tanh(h + tok(id))
    }
    return h
}
"""
    session = compile(source).session()
    said = ("E0728", "`ids` holds -3 in row 2, at [2, 1], where valid indices are 0 to 8")
    assert message(lambda: session(ids=data(ids=((2, 1), -3))["ids"])) == said


X = np.arange(12, dtype=np.float32).reshape(3, 4)
LOSS = np.log(np.exp(X[0] - X[0, 3]).sum())  # of the last of four classes, the same for each row
SHARES = 1 / (1 + np.exp((X[2] - X[0]) / 10))
WRITTEN_AS_NUMBERS = {
    "gather(x, [0, -1])": X[[0, 2]],
    "gather(x, 1)": X[1],
    "gather([1.5, 2.5], i)": np.array([2.5, 1.5]),
    "take_along(x, [[0], [1], [2]], axis=1)": X[[[0], [1], [2]], [[0], [1], [2]]],
    "scatter_add(x, [0, 0], x[:2])": X + np.array([[4, 6, 8, 10], [0] * 4, [0] * 4]),
    "scatter_add_along(x, [[0], [0], [0]], ones([3, 1]), axis=1)": X + np.array([1, 0, 0, 0]),
    "one_hot([0, 2], 3)": np.eye(3)[[0, 2]],
    "partition(x, [0, -1, 0], 1)": X[[0, 2]],
    "unpartition([x[0:2]], [-1, 0, 0])": np.stack([0 * X[0], X[0], X[1]]),
    "segment_sum(x, [1, 0, 1], 2)": np.stack([X[1], X[0] + X[2]]),
    "segment_max(x, [1, 0, 1], 2)": np.stack([X[1], np.maximum(X[0], X[2])]),
    "segment_mean(x, [1, 0, 1], 2)": np.stack([X[1], (X[0] + X[2]) / 2]),
    "segment_min(x, [1, 0, 1], 2)": np.stack([X[1], np.minimum(X[0], X[2])]),
    "segment_softmax(0.1 * x, [1, 0, 1], 2)": np.stack([SHARES, np.ones(4), 1 - SHARES]),
    "scatter_max(x, [0, 0], x[1:])": np.stack([X[2], X[1], X[2]]),
    "scatter_min(x, [2, -1], x[:2])": np.stack([X[0], X[1], X[0]]),
    "scatter_mean(x, [0, 0], x[1:])": np.stack([(X[1] + X[2]) / 2, X[1], X[2]]),
    "cross_entropy(x, [3, 3, 3])": LOSS,
    "nll(log_softmax(x), [3, 3, 3])": LOSS,
}


@pytest.mark.parametrize("body", WRITTEN_AS_NUMBERS)
def test_indices_written_as_numbers(body: str) -> None:
    """They are integers beside a tensor of floats too, and give the numbers beside them no dtype."""
    session = compile(f"model m(x: f32[3, 4], i: i64[n]) {{\n    return {body} + sum(cast(i, f32)) - 1\n}}\n").session()
    result = session(x=X, i=np.array([1, 0]))["output"]
    np.testing.assert_allclose(result, WRITTEN_AS_NUMBERS[body], rtol=1e-5)


def test_every_operation_with_integers_has_such_numbers() -> None:
    named = {name for name, operation in NAMED.items() if operation.integer_operands}
    assert named <= {body.partition("(")[0] for body in WRITTEN_AS_NUMBERS}
