"""The compiled step trains in Node and in a browser as it does in Python: one file, three builds of ONNX Runtime."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.random import Generator
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

import wsdl
from tests.node.serving import CHROMIUM, serving

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STEPS = 50

Array = NDArray[Any]
Losses = dict[str, list[float]]

chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
needs_node = [
    pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed"),
    pytest.mark.skipif(not (HERE / "node_modules").is_dir(), reason="not set up: make tests/node/node_modules"),
]
needs_chromium = [
    *needs_node,
    pytest.mark.skipif(chromium is None, reason="no Chromium on the PATH"),
    pytest.mark.skipif(
        not (ROOT / "examples" / "browser" / "node_modules").is_dir(),
        reason="not set up: make examples/browser/node_modules",
    ),
]


def siamese(random: Generator) -> dict[str, Array]:
    patterns = random.normal(size=(10, 1, 8, 8))
    left, right = random.integers(0, 10, (2, STEPS, 16))
    right = np.where(random.random(right.shape) < 0.5, left, right)
    noisy = [patterns[label] + 0.3 * random.normal(size=(STEPS, 16, 1, 8, 8)) for label in (left, right)]
    return {"left": noisy[0], "right": noisy[1], "same": left == right}


def images(random: Generator) -> dict[str, Array]:
    label = random.integers(0, 10, (STEPS, 16))
    patterns = random.normal(size=(10, 3, 12, 12))
    return {"image": patterns[label] + 0.5 * random.normal(size=(STEPS, 16, 3, 12, 12)), "label": label}


def sequences(random: Generator) -> dict[str, Array]:
    label = random.integers(0, 9, (STEPS, 16))
    voices = random.normal(size=(9, 1, 12))
    return {"frames": voices[label] + random.normal(size=(STEPS, 16, 10, 12)), "label": label}


def depth(random: Generator) -> dict[str, Array]:
    ids = np.cumsum(random.integers(1, 3, (STEPS, 8, 13)), axis=2) % 50
    return {"ids": ids[:, :, :-1], "next": ids[:, :, 1:]}


def autoencoder(random: Generator) -> dict[str, Array]:
    strokes = random.random((8, 64)) < 0.3
    return {"image": np.clip(random.integers(0, 2, (STEPS, 16, 8)) @ strokes.astype(int), 0, 1)}


# Between them: sharing by use, by group and by view; convolutions and batch statistics; Scan and Loop; every optimizer;
# the learning rates that need the length of the run.
TRAININGS: list[Callable[[Generator], dict[str, Array]]] = [siamese, images, sequences, depth, autoencoder]
MODELS = [training.__name__ for training in TRAININGS]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a compiled folder for each model, with the batches beside it."""
    folder = tmp_path_factory.mktemp("trainings")
    for training in TRAININGS:
        model = training.__name__
        wsdl.compile(HERE / "trainings" / f"{model}.wsd").save(folder / model, train=True)
        step = ort.InferenceSession(folder / model / f"{model}.train.onnx", providers=["CPUExecutionProvider"])
        dtypes = {v.name: np.int64 if v.type == "tensor(int64)" else np.float32 for v in step.get_inputs()}
        arrays = {
            name: np.ascontiguousarray(array, dtypes[name])
            for name, array in training(np.random.default_rng(0)).items()
        }
        save_file(arrays, folder / model / "batches.safetensors")
    return folder


@pytest.fixture(scope="module")
def in_python(compiled: Path) -> Losses:
    return {model: losses(compiled / model, model) for model in MODELS}


def losses(folder: Path, model: str) -> list[float]:
    """The losses of the steps in this process."""
    contract = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["training"][model]
    step = ort.InferenceSession(folder / f"{model}.train.onnx", providers=["CPUExecutionProvider"])
    names = [output.name for output in step.get_outputs()]
    state = load_file(folder / contract["initial"])
    batches = load_file(folder / "batches.safetensors")
    constants = {name: np.array(STEPS) for name in [contract["total_steps"]] if name}
    found = []
    for at in range(STEPS):
        batch = {name: array[at] for name, array in batches.items()}
        outputs = dict(zip(names, step.run(names, {**batch, **constants, **state}), strict=True))
        state = {name: outputs[output] for output, name in contract["feeds"].items()}
        found.append(float(outputs[contract["loss"]]))
    return found


def run(script: str, *arguments: object) -> Any:
    """What a script of this folder prints, which is JSON."""
    done = subprocess.run(
        ["node", HERE / script, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_same(there: Losses, here: Losses) -> None:
    assert there.keys() == here.keys()
    for model in MODELS:
        assert len(there[model]) == STEPS
        np.testing.assert_allclose(there[model], here[model], rtol=1e-4, atol=1e-4, err_msg=model)


@pytest.mark.parametrize("model", MODELS)
def test_it_learns(model: str, in_python: Losses) -> None:
    """Losses that stand still would be equal everywhere."""
    first, last = np.mean(in_python[model][:5]), np.mean(in_python[model][-5:])
    assert last < 0.9 * first


class TestInNode:
    pytestmark = needs_node

    def test_the_losses_are_those_of_python(self, compiled: Path, in_python: Losses) -> None:
        assert_same(run("train.mjs", compiled, *MODELS), in_python)


class TestInChromium:
    pytestmark = needs_chromium

    def test_the_losses_are_those_of_python(self, compiled: Path, in_python: Losses) -> None:
        with serving({"/": ROOT, "/compiled/": compiled}) as address:
            url = f"{address}/tests/node/train.html?compiled=/compiled/&models={','.join(MODELS)}"
            assert_same(run("train_in_chromium.mjs", chromium, url), in_python)
