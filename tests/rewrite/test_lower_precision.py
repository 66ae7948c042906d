"""What computes in 16 bits and what doesn't, and what is kept as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import ml_dtypes
import numpy as np
import pytest
import torch
from torch.nn import functional as F

import wsdl
from wsdl.diagnostics import CompileError
from wsdl.onnx.proof import prove

Half = Literal["f16", "bf16"]

MIXED = """\
model m(x: f32[n, 8], ids: i64[n], mask: bool[n]) -> (y: f32[n, 8], loud: f32[n], place: i64[n]) {
    layer table = Embedding(10, 8)
    layer f = Dense(8)
    share { table.weight[0:8], f.weight }
    h = f(x) + table(ids)
    h = where(mask.reshape(n, 1), h, -1e30)
    return softmax(h), sum((300.0 * x) ** 2, axis=1), argmax(h, axis=1)
}
"""
TIME = """\
model m(x: f32[n, t, 4]) -> (y: f32[n, t, 6], last: f32[n, 6]) {
    layer cell = GRUCell(6)
    states = scan xt in x along t with h = zeros([n, 6]) {
        h = softmax(cell(xt, h))
        emit h
    }
    return states, h
}
"""
LOOP = """\
model m(x: f32[n, 32]) -> (y: f32[n, 32]) {
    layer step = Dense(32)
    for i in 0..9 {
        x = x + relu(step(x))
    }
    return x
}
"""
TWO = """\
layer trunk = Dense(16)

model a(x: f32[n, 8]) -> (y: f32[n, 16]) {
    return trunk(x)
}

model b(x: f32[n, 8]) -> (y: f32[n, 3]) {
    return trunk(x) |> relu |> Dense(3)
}
"""
TRAINED = """\
model m(x: f32[n, 4]) -> (y: f32[n, 3]) {
    return Dense(3)(x)
}

train m(t: f32[n, 3]) {
    loss mse(y, t)
    optimizer SGD(lr=0.1)
}
"""


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 8)).astype(np.float32)
    return {"x": x, "ids": rng.integers(0, 10, 5), "mask": np.array([1, 1, 0, 1, 1], bool)}


@pytest.mark.parametrize("half", ["f16", "bf16"])
def test_sums_and_squares_are_wide(half: Half) -> None:
    """`(300 x) ** 2` is beyond f16; what masks is the largest number that there is, not an infinity."""
    expected, got = (wsdl.compile(MIXED, dtype=d).session()(**arrays()) for d in ("f32", half))
    np.testing.assert_allclose(got["y"], expected["y"], atol=2e-2)
    np.testing.assert_allclose(got["loud"], expected["loud"], rtol=2e-2)
    assert got["loud"].max() > 65504
    assert got["place"].dtype == np.int64


@pytest.mark.parametrize("half", ["f16", "bf16"])
@pytest.mark.parametrize(("text", "shape"), [(TIME, (2, 5, 4)), (LOOP, (2, 32))], ids=["scan", "loop"])
def test_bodies(half: Half, text: str, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    expected = wsdl.compile(text).session()(x=x)
    program = wsdl.compile(text, dtype=half, loops="loop")
    for name, array in program.session()(x=x).items():
        np.testing.assert_allclose(array, expected[name], rtol=3e-2, atol=3e-2)
    assert {node.op_type for node in program.protos["m"].graph.node} & {"Scan", "Loop"}


def test_inputs_and_outputs_may_be_narrow_too() -> None:
    x = np.random.default_rng(0).standard_normal((2, 32)).astype(np.float32)
    expected = wsdl.compile(LOOP).session()(x=x)["y"]
    halves: list[tuple[Half, Any]] = [("f16", np.float16), ("bf16", ml_dtypes.bfloat16)]
    for half, dtype in halves:
        session = wsdl.compile(LOOP, dtype=half, keep_io=False).session()
        y = session(x=x.astype(dtype))["y"]
        assert y.dtype == dtype
        np.testing.assert_allclose(y.astype(np.float32), expected, rtol=3e-2, atol=1e-1)


@pytest.mark.parametrize("half", ["f16", "bf16"])
@pytest.mark.parametrize("step", ["tanh(f(x))", "relu(f(x))", "x + f(x) * sigmoid(f(x))", "x / (1.0 + abs(f(x)))"])
@pytest.mark.parametrize("start", ["x", "f(x)", "exp(x)"])
def test_steps_stay_one_body(start: str, step: str, half: Half) -> None:
    """Whatever the dtype of what they start from."""
    text = LOOP.replace("    for i", f"    x = {start}\n    for i").replace("x = x + relu(step(x))", f"x = {step}")
    text = text.replace("step", "f")
    x = np.random.default_rng(0).standard_normal((2, 32)).astype(np.float32)
    program = wsdl.compile(text, dtype=half)
    assert [n.op_type for n in program.protos["m"].graph.node].count("Loop") == 1
    expected = wsdl.compile(text).session()(x=x)["y"]
    np.testing.assert_allclose(program.session()(x=x)["y"], expected, atol=5e-2 * np.abs(expected).max())


def test_models_with_one_file_of_weights(tmp_path: Path) -> None:
    manifest = wsdl.compile(TWO, dtype="f16").save(tmp_path, proof=True)
    assert all(totals["holds"] for totals in manifest["proof_totals"].values())
    data = next(tmp_path.glob("*.data"))
    assert data.stat().st_size < 2 * (8 * 16 + 16 + 16 * 3 + 3) + 4096
    models = wsdl.load(tmp_path)
    x = np.ones((1, 8), np.float32)
    assert models["a"](x=x)["y"].shape == (1, 16)
    assert models["b"](x=x)["y"].shape == (1, 3)


def test_a_limit_counts_what_is_stored() -> None:
    text = LOOP.replace("    layer step", "    limit bytes 3_000\n    layer step")
    with pytest.raises(CompileError, match="E0601"):
        wsdl.compile(text)
    assert wsdl.compile(text, dtype="f16").inventory.sizes().bytes == 2 * (32 * 32 + 32)


def test_what_is_too_large_is_said() -> None:
    large = {"m.step.weight": np.full((32, 32), 7e4, np.float32)}
    with pytest.raises(CompileError, match="1024 values too large for f16, up to 7e\\+04") as error:
        wsdl.compile(LOOP, weights=large, partial=True, dtype="f16")
    assert error.value.diagnostics[0].code == "E0514"
    assert error.value.diagnostics[0].help == "`--dtype bf16` has the range of f32"
    assert wsdl.compile(LOOP, weights=large, partial=True, dtype="bf16")
    infinite = {"m.step.weight": np.full((32, 32), np.inf, np.float32)}
    assert wsdl.compile(LOOP, weights=infinite, partial=True, dtype="f16"), "what is infinite stays so"


def test_what_is_made_when_compiling_is_not_too_large_in_silence() -> None:
    """An initial value, and what a batch normalization makes of the weight of a convolution."""
    scaled = "model m(x: f32[n, 8]) -> (y: f32[n, 8]) {\n    param s: [8] = constant(1e6)\n    return x * s\n}\n"
    initial = "the initial value of `m.s` has 8 values too large for f16, up to 1e+06"
    with pytest.raises(CompileError, match=re.escape(initial)):
        wsdl.compile(scaled, dtype="f16")
    text = "model m(x: f32[n, 3, 8, 8]) -> (y: f32[n, 2, 6, 6]) {\n    return x |> Conv2d(2) |> BatchNorm()\n}\n"
    numbers = {"m.batch_norm.weight": 6e4, "m.batch_norm.running_var": 1e-6}
    weights = {name: np.full(2, number, np.float32) for name, number in numbers.items()}
    folded = "`m.conv2d.weight.folded`, which is computed when compiling, has"
    with pytest.raises(CompileError, match=re.escape(folded)):
        wsdl.compile(text, weights=weights, partial=True, dtype="f16").session()


def test_no_training_in_16_bits() -> None:
    program = wsdl.compile(TRAINED, dtype="f16")
    with pytest.raises(CompileError, match="a program in f16 can't be trained"):
        program.trainer()


# -- programs that are written in another dtype ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "torch_dtype", "tolerance"), [("f16", torch.float16, 3e-3), ("f64", torch.float64, 1e-12)]
)
def test_programs_of_another_dtype(dtype: str, torch_dtype: torch.dtype, tolerance: float) -> None:
    text = f"model m(x: {dtype}[n, 4]) -> (y: {dtype}[n, 3]) {{\n    return x |> Dense(3) |> LayerNorm() |> tanh\n}}\n"
    program = wsdl.compile(text)
    weight, bias = (torch.from_numpy(np.array(program.stored[f"m.dense.{n}"])) for n in ("weight", "bias"))
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).to(torch_dtype)
    assert weight.dtype == torch_dtype
    expected = torch.tanh(F.layer_norm(F.linear(x, weight, bias), (3,)))
    y = program.session()(x=x.numpy())["y"]
    assert y.dtype == expected.numpy().dtype
    np.testing.assert_allclose(y.astype(np.float64), expected.double().numpy(), atol=tolerance)


def test_a_program_that_the_cpu_has_no_kernels_for_is_written_and_a_warning_says_so(tmp_path: Path) -> None:
    program = wsdl.compile("model m(x: bf16[n, 4]) -> (y: bf16[n, 3]) {\n    return x |> Dense(3)\n}\n")
    manifest = program.save(tmp_path, proof=True)
    assert (tmp_path / "m.onnx").is_file()
    assert manifest["proof"] == []
    [warning] = program.diagnostics
    assert warning.code == "W0702"
    assert warning.message == "`m` was written but not verified: ONNX Runtime can't load it on this machine's CPU"


def test_inputs_of_every_dtype() -> None:
    text = """\
model m(
    ids: i32[n, t], image: u8[n, 3, 8, 8], mask: bool[n, t], short: i16[n], tiny: i8[n], long: f64[n], thin: f16[n]
) -> (y: f32[n, 4], sums: i64[n], a: i16[n], b: i8[n], c: bool[n, t], d: f64[n], e: f16[n]) {
    h = Embedding(10, 4)(ids) * cast(mask, f32).reshape(n, t, 1)
    p = cast(image, f32) / 255.0 |> Conv2d(4) |> global_avg_pool
    return sum(h, axis=1) + p, sum(ids, axis=1), short + 1, tiny * 2, not mask, long / 3, thin / 2
}
"""
    rng = np.random.default_rng(0)
    given: dict[str, np.ndarray[Any, Any]] = {
        "ids": rng.integers(0, 10, (2, 5)).astype(np.int32),
        "image": rng.integers(0, 255, (2, 3, 8, 8)).astype(np.uint8),
        "mask": rng.random((2, 5)) < 0.5,
        "short": np.array([1, 2], np.int16),
        "tiny": np.array([3, -4], np.int8),
        "long": np.array([1.0, 2.0]),
        "thin": np.array([1.0, 3.0], np.float16),
    }
    program = wsdl.compile(text)
    got = program.session()(**given)
    table, kernel, bias = (program.stored[f"m.{n}"] for n in ("embedding.weight", "conv2d.weight", "conv2d.bias"))
    image = torch.from_numpy(given["image"] / np.float32(255))
    conv = F.conv2d(image, torch.from_numpy(np.array(kernel)), torch.from_numpy(np.array(bias)))
    expected = (table[given["ids"]] * given["mask"][..., None]).sum(1) + conv.mean((2, 3)).numpy()
    np.testing.assert_allclose(got["y"], expected, rtol=1e-5, atol=1e-6)
    assert got["sums"].tolist() == given["ids"].sum(1).tolist()
    doubled: dict[str, list[float]] = {"a": [2, 3], "b": [6, -8], "d": [1 / 3, 2 / 3], "e": [0.5, 1.5]}
    assert_same(got, doubled.items())
    assert (got["c"] == ~given["mask"]).all()


def assert_same(got: dict[str, np.ndarray], expected: Iterable[tuple[str, Sequence[float]]]) -> None:
    for name, numbers in expected:
        assert got[name].tolist() == numbers, name


def test_what_is_folded_into_a_convolution_is_halved_too(tmp_path: Path) -> None:
    text = "model m(x: f32[n, 3, 8, 8]) -> (y: f32[n, 16, 6, 6]) {\n    return x |> Conv2d(16) |> BatchNorm()\n}\n"
    for half in ("f16", "bf16"):
        [path] = wsdl.compile(text, dtype=half).models["m"].save(tmp_path / "m.onnx")
        assert prove(path).file_bytes <= 2 * (16 * 27 + 16) + 256
