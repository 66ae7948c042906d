"""Every example learns as its twin in PyTorch does, step by step: same initial weights, same batches, same losses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn

import wsdl
from tests.training.catalogue import TRAININGS, Example, arrays
from tests.training.twins.loading import load_into

STEPS, ROWS = 50, 16  # smaller batches than those of the long training are as good here, and sooner done


def batches(example: Example) -> list[dict[str, Any]]:
    data = arrays(example.train, STEPS * ROWS)
    order = np.random.Generator(np.random.Philox(key=[0, 0])).permutation(STEPS * ROWS)
    return [{name: a[order[i : i + ROWS]] for name, a in data.items()} for i in range(0, STEPS * ROWS, ROWS)]


def ours(example: Example, program: wsdl.Program, folder: Path) -> list[float]:
    program.save(folder, train=True)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    step = ort.InferenceSession(folder / f"{example.model}.train.onnx", options)
    contract = json.loads(step.get_modelmeta().custom_metadata_map["wsdl.training"])
    names = [output.name for output in step.get_outputs()]
    state = {**load_file(folder / contract["initial"]), "total_steps": np.array(10 * STEPS)}
    losses = []
    for batch in batches(example):
        outputs = dict(zip(names, step.run(None, {**batch, **state}), strict=True))
        state.update({name: outputs[output] for output, name in contract["feeds"].items()})
        losses.append(float(outputs["loss"]))
    return losses


def theirs(example: Example, twin: nn.Module) -> list[float]:
    optimizer, schedule = example.recipe.optimizer(twin, 10 * STEPS)
    losses = []
    for batch in batches(example):
        loss = twin.loss(**{name: torch.from_numpy(array) for name, array in batch.items()})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As `make test` has a process for each core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("example", [pytest.param(e, id=e.name) for e in TRAININGS])
def test_the_losses_of_50_steps(example: Example, tmp_path: Path) -> None:
    if not example.train.exists():
        pytest.skip(f"the data of {example.data} is not here: `make data` fetches it")
    program = wsdl.compile(example.path)
    twin = example.twin()
    load_into(twin, program, example.model)
    got, expected = ours(example, program, tmp_path), theirs(example, twin)
    assert expected[-1] < 0.9 * expected[0]
    print([f"{abs(a - b) / b:.0e}" for a, b in zip(got, expected)])
    np.testing.assert_allclose(got, expected, rtol=1e-3)
