"""The compiled step trains in Python, Node and Chromium as `wsdl train` does: one file, three builds of the runtime.

So do trainings that take turns: one state, a step file for each, losses as of the trainers. Their program is the GAN of
the docs: random numbers and second derivatives are computed there too.
"""

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
from tests.npz import save_npz
from wsdl.cli import execute
from wsdl.runtime.batches import Batches

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STEPS, ROWS = 30, 16
GAN = ROOT / "examples" / "trainings" / "gan.wsd"
TURNS = 12

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


def siamese(random: Generator, rows: int) -> dict[str, Array]:
    patterns = random.normal(size=(10, 1, 8, 8))
    left, right = random.integers(0, 10, (2, rows))
    right = np.where(random.random(rows) < 0.5, left, right)
    images = [patterns[digit] + 0.3 * random.normal(size=(rows, 1, 8, 8)) for digit in (left, right)]
    return {"left": images[0], "right": images[1], "same": (left == right).astype(float)}


def images(random: Generator, rows: int) -> dict[str, Array]:
    label = random.integers(0, 10, rows)
    patterns = random.normal(size=(10, 3, 12, 12))
    return {"image": patterns[label] + 0.5 * random.normal(size=(rows, 3, 12, 12)), "label": label}


def sequences(random: Generator, rows: int) -> dict[str, Array]:
    label = random.integers(0, 9, rows)
    voices = random.normal(size=(9, 1, 12))
    return {"frames": voices[label] + random.normal(size=(rows, 10, 12)), "label": label}


def depth(random: Generator, rows: int) -> dict[str, Array]:
    ids = np.cumsum(random.integers(1, 3, (rows, 13)), axis=1) % 50
    return {"ids": ids[:, :-1], "next": ids[:, 1:]}


def halting(random: Generator, rows: int) -> dict[str, Array]:
    label = random.integers(0, 3, rows)
    centers = random.normal(size=(3, 8))
    return {"x": centers[label] + random.normal(size=(rows, 8)), "depths": random.integers(1, 5, rows), "label": label}


def dropped(random: Generator, rows: int) -> dict[str, Array]:
    return depth(random, rows)


def autoencoder(random: Generator, rows: int) -> dict[str, Array]:
    strokes = random.random((8, 64)) < 0.3
    return {"image": np.clip(random.integers(0, 2, (rows, 8)) @ strokes, 0.0, 1.0)}


def formulas(random: Generator, rows: int) -> dict[str, Array]:
    return autoencoder(random, rows)


def momentum(random: Generator, rows: int) -> dict[str, Array]:
    return autoencoder(random, rows)


def routed(random: Generator, rows: int) -> dict[str, Array]:
    label = random.integers(0, 4, rows)
    centers = 2 * random.normal(size=(4, 8))
    return {"x": centers[label] + 0.3 * random.normal(size=(rows, 8)), "label": label}


# Between them: sharing by use, by group, by view and by formula; convolutions and batch statistics; dropout; Scan and
# Loop, also one that the run ends; every optimizer; the learning rates that need the length of the run; a momentum
# encoder; layers that only get some of the rows, or none.
TRAININGS: list[Callable[[Generator, int], dict[str, Array]]] = [
    siamese, images, sequences, depth, halting, dropped, autoencoder, formulas, momentum, routed,
]  # fmt: skip
MODELS = [training.__name__ for training in TRAININGS]


def pictures() -> Array:
    """The batches of the GAN."""
    return np.random.default_rng(0).integers(0, 17, (TURNS, ROWS, 1, 8, 8)).astype(np.uint8)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a compiled folder for each model, and in that the data as `wsdl train` takes and orders them."""
    folder = tmp_path_factory.mktemp("trainings")
    for training in TRAININGS:
        own = folder / training.__name__
        wsdl.compile(source(own.name)).save(own, train=True, proof=False)
        arrays = {
            name: np.ascontiguousarray(array, np.float32 if array.dtype.kind == "f" else np.int64)
            for name, array in training(np.random.default_rng(0), STEPS * ROWS).items()
        }
        save_npz(own / "data.npz", arrays)
        batches = list(Batches(arrays, ROWS, seed=0).epoch(0))
        save_file({name: np.stack([batch[name] for batch in batches]) for name in arrays}, own / "batches.safetensors")
    wsdl.compile(GAN).save(folder / "gan", train=True, proof=False)
    save_file({"image": pictures()}, folder / "gan" / "batches.safetensors")
    return folder


def source(model: str) -> Path:
    return HERE / "trainings" / f"{model}.wsd"


@pytest.fixture(scope="module")
def by_wsdl_train(compiled: Path) -> Losses:
    """The losses in the log of `wsdl train`, which computes a step in two halves."""
    for model in MODELS:
        data, run = compiled / model / "data.npz", compiled / model / "run"
        assert execute(["train", str(source(model)), "--data", str(data), "--batch", str(ROWS), "-o", str(run)]) == 0
    logs = {model: (compiled / model / "run" / "log.jsonl").read_text(encoding="utf-8") for model in MODELS}
    return {model: [json.loads(line)["loss"] for line in log.splitlines()] for model, log in logs.items()}


@pytest.fixture(scope="module")
def by_trainers() -> list[float]:
    """The losses of the GAN."""
    trainers = wsdl.compile(GAN).trainers()
    return [trainers[trainers.turn or ""].step({"image": batch}) for batch in pictures()]


def in_python(compiled: Path) -> Losses:
    """The losses of the step file in this process."""
    found: Losses = {}
    for model in MODELS:
        folder = compiled / model
        contract = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["training"][model]
        step = ort.InferenceSession(folder / f"{model}.train.onnx", providers=["CPUExecutionProvider"])
        names = [output.name for output in step.get_outputs()]
        state = load_file(folder / contract["initial"])
        constants = {name: np.array(STEPS) for name in [contract["total_steps"]] if name}
        batches = load_file(folder / "batches.safetensors")
        found[model] = []
        for at in range(STEPS):
            batch = {name: array[at] for name, array in batches.items()}
            outputs = dict(zip(names, step.run(names, {**batch, **constants, **state}), strict=True))
            state = {name: outputs[output] for output, name in contract["feeds"].items()}
            found[model].append(float(outputs[contract["loss"]]))
    return found


def run(script: str, *arguments: object) -> Any:
    """What a script of this folder prints, which is JSON."""
    done = subprocess.run(
        ["node", HERE / script, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_same(there: Losses, here: Losses) -> None:
    for model in MODELS:
        assert len(there[model]) == STEPS
        np.testing.assert_allclose(there[model], here[model], rtol=1e-4, atol=1e-5, err_msg=model)


@pytest.fixture(scope="module")
def in_node(compiled: Path) -> Losses:
    return run("train.mjs", compiled, *MODELS, "gan")


@pytest.fixture(scope="module")
def in_chromium(compiled: Path) -> Losses:
    with serving({"/": ROOT, "/compiled/": compiled}) as address:
        url = f"{address}/tests/node/train.html?compiled=/compiled/&models={','.join(MODELS)},gan"
        return run("train_in_chromium.mjs", chromium, url)


@pytest.mark.parametrize("model", MODELS)
def test_it_learns(model: str, by_wsdl_train: Losses) -> None:
    """Losses that stand still would be equal everywhere."""
    first, last = np.mean(by_wsdl_train[model][:5]), np.mean(by_wsdl_train[model][-5:])
    assert last < 0.9 * first


def test_in_python(compiled: Path, by_wsdl_train: Losses) -> None:
    assert_same(in_python(compiled), by_wsdl_train)


class TestInNode:
    pytestmark = needs_node

    def test_they_are_those_of_wsdl_train(self, in_node: Losses, by_wsdl_train: Losses) -> None:
        assert_same(in_node, by_wsdl_train)

    def test_trainings_that_take_turns(self, in_node: Losses, by_trainers: list[float]) -> None:
        assert in_node["gan"] == pytest.approx(by_trainers, rel=1e-4, abs=1e-5)


class TestInChromium:
    pytestmark = needs_chromium

    def test_they_are_those_of_wsdl_train(self, in_chromium: Losses, by_wsdl_train: Losses) -> None:
        assert_same(in_chromium, by_wsdl_train)

    def test_trainings_that_take_turns(self, in_chromium: Losses, by_trainers: list[float]) -> None:
        assert in_chromium["gan"] == pytest.approx(by_trainers, rel=1e-4, abs=1e-5)

    def test_a_step_whose_gradients_are_not_finite_is_not_made(self, tmp_path: Path) -> None:
        text = (
            "model distance(x: f32[n, 4]) -> (d: f32[n]) {\n"
            "    return sqrt(sum(Dense(2, bias=false)(x) ** 2, axis=1))\n}\n\n"
            "train distance(t: f32[n]) {\n    loss mse(d, t)\n    optimizer SGD(lr=0.1)\n}\n"
        )
        wsdl.compile(text).save(tmp_path, train=True)
        assert run("not_finite.mjs", tmp_path) == {
            "skip": {"answer": {"loss": 0}, "skipped": 1, "same": True},
            "stop": {"answer": "this step can't be made: its gradients are not finite", "skipped": 0, "same": True},
        }
