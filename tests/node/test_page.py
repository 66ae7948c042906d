"""The page of `examples/browser` learns in Chromium, takes in what is drawn, and gives back an ordinary ONNX file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

import wsdl
from tests.node.serving import serving
from tests.node.test_training import ROOT, chromium, needs_chromium, run

PAGE = ROOT / "examples" / "browser"
DIGITS = PAGE / "build" / "digits.safetensors"

pytestmark = [
    *needs_chromium,
    pytest.mark.skipif(not DIGITS.is_file(), reason=f"not set up: make {DIGITS.relative_to(ROOT)}"),
]

Array = NDArray[Any]


def test_a_visit(tmp_path: Path) -> None:
    build = tmp_path / "build"
    program = wsdl.compile(PAGE / "digits.wsd")
    program.save(build / "pairs", model="pairs", train=True)
    program.save(build / "place", model="place")
    shutil.copyfile(DIGITS, build / "digits.safetensors")
    with serving({"/": PAGE, "/build/": build}) as address:
        seen = run("learn.mjs", chromium, f"{address}/", tmp_path)
    assert all(url.startswith((f"{address}/", "data:", "blob:")) for url in seen["requests"])
    assert seen["before"] < 60
    assert seen["again"] < 60
    assert seen["accuracy"] >= 85
    assert seen["loss"][1] < 0.6 * seen["loss"][0]
    assert seen["untaught"] in set("0123456789")  # then it was taught, and said what it is
    assert share_right(tmp_path / "place.onnx") > 0.8
    assert share_right(build / "place" / "place.onnx") < 0.6


def share_right(model: Path) -> float:
    """Of the held-out digits, how many are placed nearest to the center of their kind."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    digits = load_file(DIGITS)
    image = digits["image"].reshape(-1, 1, 8, 8).astype(np.float32) / 16
    (points,) = session.run(["point"], {"image": image})
    held_out = np.arange(len(image)) % 4 == 3
    label = digits["label"]
    centers = np.stack([points[~held_out & (label == kind)].mean(axis=0) for kind in range(10)])
    distances = np.linalg.norm(points[held_out, None] - centers, axis=2)
    return float(np.mean(distances.argmin(axis=1) == label[held_out]))
