"""A compiled model gives the same numbers in Node as in Python: the same file, two builds of ONNX Runtime."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from tests.examples.test_input_gradients import INPUTS, with_gradient
from wsdl.cli import execute

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed"),
    pytest.mark.skipif(not (HERE / "node_modules").is_dir(), reason="not set up: make tests/node/node_modules"),
]

DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(bool)": "bool",
    "tensor(uint8)": "uint8",
}

TWO_MODELS = """\
layer encoder = Dense(16)

model embed(x: f32[n, 8]) -> (vector: f32[n, 16]) {
    return encoder(x)
}

model classify(x: f32[n, 8]) -> (logits: f32[n, 3]) {
    return encoder(x) |> relu |> Dense(3)
}
"""


def compiled(source: Path, folder: Path, *options: str) -> Path:
    assert execute(["compile", str(source), "-o", str(folder), *options]) == 0
    return folder


def example_inputs(session: ort.InferenceSession, sizes: dict[str, int]) -> dict[str, np.ndarray]:
    """Small random arrays; every dimension with a name has the size given for it."""
    random = np.random.default_rng(0)
    arrays = {}
    for value in session.get_inputs():
        shape = [sizes[d] if isinstance(d, str) else d for d in value.shape]
        dtype = DTYPES[value.type]
        numbers = random.integers(0, 2, shape) if not dtype.startswith("float") else random.normal(size=shape)
        arrays[value.name] = numbers.astype(dtype)
    return arrays


def in_node(model: Path, inputs: dict[str, np.ndarray]) -> subprocess.CompletedProcess[str]:
    sent = {
        name: {"type": str(array.dtype), "dims": array.shape, "data": array.ravel().tolist()}
        for name, array in inputs.items()
    }
    return subprocess.run(
        ["node", HERE / "run.mjs", model], input=json.dumps(sent), capture_output=True, text=True, check=False
    )


def run_in_node(model: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    done = in_node(model, inputs)
    assert done.returncode == 0, done.stderr
    return {
        name: np.array(value["data"], dtype=value["type"]).reshape(value["dims"])
        for name, value in json.loads(done.stdout).items()
    }


def assert_same_in_node(model: Path, sizes: dict[str, int]) -> None:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    inputs = example_inputs(session, sizes)
    names = [value.name for value in session.get_outputs()]
    expected = dict(zip(names, session.run(names, inputs), strict=True))
    outputs = run_in_node(model, inputs)
    assert outputs.keys() == expected.keys()
    for name, array in outputs.items():
        assert array.dtype == expected[name].dtype
        np.testing.assert_allclose(array, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("example", "model", "sizes"),
    [
        pytest.param("tied_autoencoder", "autoencoder", [{"n": 1}, {"n": 5}], id="a transposed tie, two batch sizes"),
        pytest.param("conv_autoencoder", "conv_autoencoder", [{"n": 2}], id="convolutions that share"),
        pytest.param("siamese", "siamese", [{"n": 3}], id="one tower, twice"),
        pytest.param("gru_classifier", "gru_classifier", [{"n": 2, "t": 5}, {"n": 1, "t": 9}], id="a loop over time"),
        pytest.param("lm", "lm", [{"n": 2, "t": 6}], id="a tied language model"),
    ],
)
def test_example(example: str, model: str, sizes: list[dict[str, int]], tmp_path: Path) -> None:
    folder = compiled(EXAMPLES / f"{example}.wsd", tmp_path / "out")
    for size in sizes:
        assert_same_in_node(folder / f"{model}.onnx", size)


@pytest.mark.parametrize("name", INPUTS)
def test_input_gradients(name: str, tmp_path: Path) -> None:
    source = tmp_path / f"{name}.wsd"
    source.write_text(with_gradient(name), encoding="utf-8")
    assert_same_in_node(compiled(source, tmp_path / "out") / f"{name}.onnx", {"n": 2, "t": 7})


def test_two_models_over_one_data_file(tmp_path: Path) -> None:
    source = tmp_path / "two.wsd"
    source.write_text(TWO_MODELS, encoding="utf-8")
    folder = compiled(source, tmp_path / "out")
    assert len(list(folder.glob("*.data"))) == 1
    for model in ("embed", "classify"):
        assert_same_in_node(folder / f"{model}.onnx", {"n": 4})


@pytest.mark.parametrize("materialize", ["none", "all"])
def test_formulas(materialize: str, tmp_path: Path) -> None:
    """Also as the values of the same weights."""
    source = HERE / "trainings" / "formulas.wsd"
    assert_same_in_node(compiled(source, tmp_path, "--materialize", materialize) / "formulas.onnx", {"n": 3})


ROUTED = """\
model routed(x: f32[n, t, 8], image: f32[n, 3, 6, 6]) -> (y: f32[n, t, 8], rows: f32[picked, 8], z: f32[n, 4, 4, 4]) {
    layer bank[3] = Dense(8)
    y = x |> Mixture(bank=bank) |> Switch(bank=bank, k=2, capacity=1.0)
    return y, y[sum(x, axis=2) > 0.0], image |> DynamicConv2d(4, bank=2)
}
"""


def test_weights_chosen_by_the_input(tmp_path: Path) -> None:
    source = tmp_path / "routed.wsd"
    source.write_text(ROUTED, encoding="utf-8")
    folder = compiled(source, tmp_path / "out")
    for sizes in ({"n": 1, "t": 1}, {"n": 3, "t": 5}):
        assert_same_in_node(folder / "routed.onnx", sizes)


def test_boxes(tmp_path: Path) -> None:
    folder = compiled(EXAMPLES / "training" / "detector.wsd", tmp_path / "out", "--model", "detect")
    for sizes in ({"n": 1}, {"n": 3}):
        assert_same_in_node(folder / "detect.onnx", sizes)


EDGES = """\
model edges(x: i32[n], y: i32[n], z: f32[n], ids: i32[n]) -> (q: i32[n], r: i32[n], whole: i32[n], rows: f32[n, 2]) {
    return x // y, x % y, cast(z, i32), ids |> Embedding(9, 2)
}
"""


def test_the_ends_of_range(tmp_path: Path) -> None:
    source = tmp_path / "edges.wsd"
    source.write_text(EDGES, encoding="utf-8")
    model = compiled(source, tmp_path / "out") / "edges.onnx"
    x = np.array([-(2**31), -(2**31), -7, 7], np.int32)
    y = np.array([-1, 3, 2, -2], np.int32)
    z = np.array([3e9, -3e9, np.inf, -1.9], np.float32).clip(-4e9, 4e9)  # JSON has no infinity
    inputs = {"x": x, "y": y, "z": z, "ids": np.arange(4, dtype=np.int32)}
    outputs = run_in_node(model, inputs)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(outputs["q"], x // y)
        np.testing.assert_array_equal(outputs["r"], x % y)
    np.testing.assert_array_equal(outputs["whole"], [2**31 - 2**7, -(2**31), 2**31 - 2**7, -1])
    for name, number, what in [("ids", -1, "indices from 0 to 8"), ("y", 0, "a divisor other than 0")]:
        wrong = {**inputs, name: np.array([1, 1, number, 1], np.int32)}
        stopped = in_node(model, wrong)
        assert stopped.returncode != 0
        assert f"assume {what}" in stopped.stderr


RANDOM = """\
model draw(x: f32[n], seed: i64) -> (u: f32[n, 100], z: f32[n, 100], coin: bool[n, 100]) {
    u = random_uniform([n, 100], seed=seed)
    z = random_normal([n, 100], seed=seed)
    return u, z, random_bernoulli(0.3, [n, 100], seed=seed)
}
"""


def test_the_same_seed_draws_the_same_bits(tmp_path: Path) -> None:
    """Normal numbers, too, though `Log` and `Cos` are not those of the same machine code."""
    source = tmp_path / "draw.wsd"
    source.write_text(RANDOM, encoding="utf-8")
    model = compiled(source, tmp_path / "out") / "draw.onnx"
    inputs = {"x": np.zeros(50, np.float32), "seed": np.array(2**40 + 7)}
    here = ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, inputs)
    for array, name in zip(here, ("u", "z", "coin"), strict=True):
        np.testing.assert_array_equal(run_in_node(model, inputs)[name], array)
