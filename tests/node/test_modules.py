"""The modules of `examples/browser` that an app copies: what they read, what they write, what they refuse."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch_file

import wsdl
from tests.node.test_training import ROOT, needs_node

pytestmark = needs_node

MODEL = """\
model m(x: f32[n, 3, 4, 4]) -> (y: f32[n, 2]) {
    return x |> Conv2d(4, kernel=3, bias=false) |> relu |> flatten |> Dense(2)
}
"""


def node(script: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    modules = (ROOT / "examples" / "browser").as_uri()
    names = {"safetensors": "readSafetensors", "weights": "withWeights"}
    imports = "".join(f'import {{ {what} }} from "{modules}/{name}.js";\n' for name, what in names.items())
    text = f'import {{ readFileSync, writeFileSync }} from "node:fs";\n{imports}const files = process.argv.slice(1);\n'
    command = ["node", "--input-type=module", "-e", text + script, "--", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_dtype_is_read_wherever_it_lies(tmp_path: Path) -> None:
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "odd": np.array([1, 2, 3], np.uint8),  # what comes after it is not aligned
        "f32": np.array([[0.1, -2], [np.inf, 4]], np.float32),
        "f64": np.array([0.1], np.float64),
        "i64": np.array([2**53 + 1, -1], np.int64),
        "i32": np.array([-(2**31)], np.int32),
        "i16": np.array([-300], np.int16),
        "i8": np.array([-3], np.int8),
        "bool": np.array([True, False]),
        "step": np.array(7, np.int64),
        "empty": np.zeros((0, 2), np.float32),
    }
    save_file(arrays, tmp_path / "a.safetensors", metadata={"any": "thing"})
    done = node(
        "const text = ({ data, ...rest }) => ({ ...rest, data: Array.from(data, String) });\n"
        "const tensors = Object.entries(readSafetensors(readFileSync(files[0])));\n"
        "console.log(JSON.stringify(Object.fromEntries(tensors.map(([name, tensor]) => [name, text(tensor)]))))",
        tmp_path / "a.safetensors",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == arrays.keys()
    assert found["i64"] == {"type": "int64", "dims": [2], "data": [str(2**53 + 1), "-1"]}
    for name, array in arrays.items():
        assert found[name]["type"] == str(array.dtype)
        assert found[name]["dims"] == list(array.shape)
        if array.dtype != np.int64:
            numbers = [float(number.replace("Infinity", "inf")) for number in found[name]["data"]]
            np.testing.assert_array_equal(np.array(numbers, array.dtype), array.ravel())


def test_what_has_no_array_in_javascript_is_refused(tmp_path: Path) -> None:
    save_torch_file({"w": torch.zeros(2, dtype=torch.bfloat16)}, tmp_path / "a.safetensors")
    done = node("readSafetensors(readFileSync(files[0]))", tmp_path / "a.safetensors")
    assert "w is BF16, which JavaScript has no arrays for" in done.stderr


def put(text: str, folder: Path, change: str = "") -> subprocess.CompletedProcess[str]:
    """Puts the weights of seed 1 into the model of seed 0, as `new.onnx`."""
    source = folder / "m.wsd"
    source.write_text(text, encoding="utf-8")
    for seed in (0, 1):
        wsdl.compile(source, seed=seed).save(folder / str(seed))
    save_file(dict(wsdl.compile(source, seed=1).stored), folder / "w.safetensors")
    return node(
        f"const weights = readSafetensors(readFileSync(files[1]));\n{change}\n"
        "writeFileSync(files[2], withWeights(readFileSync(files[0]), weights));",
        folder / "0" / "m.onnx",
        folder / "w.safetensors",
        folder / "new.onnx",
    )


def test_a_model_takes_other_weights(tmp_path: Path) -> None:
    done = put(MODEL, tmp_path)
    assert done.returncode == 0, done.stderr
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)
    y = [ort.InferenceSession(tmp_path / name).run(None, {"x": x})[0] for name in ("0/m.onnx", "1/m.onnx", "new.onnx")]
    assert not np.allclose(y[0], y[1])
    np.testing.assert_array_equal(y[2], y[1])


@pytest.mark.parametrize(
    ("text", "change", "message"),
    [
        pytest.param(
            MODEL.replace("|> relu", "|> BatchNorm() |> relu"),
            "",
            "the model has no tensor m.batch_norm.",
            id="a normalization that went into its convolution",
        ),
        pytest.param(
            MODEL,
            "weights['m.dense.bias'].data = new Float32Array(3);",
            "the model doesn't hold 12 bytes for m.dense.bias",
            id="another size",
        ),
        pytest.param(MODEL, "weights.other = weights['m.dense.bias'];", "the model has no tensor other", id="unknown"),
    ],
)
def test_weights_that_do_not_fit_are_refused(text: str, change: str, message: str, tmp_path: Path) -> None:
    done = put(text, tmp_path, change)
    assert message in done.stderr
    assert not (tmp_path / "new.onnx").exists()
