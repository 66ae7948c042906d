"""The two sides that are compared: one network, one set of weights to begin with, the same rows in the same order."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import wsdl
from references.training.catalogue import Example, arrays
from references.training.loading import load_into
from wsdl.runtime.batches import Batches

Array = NDArray[Any]
Outputs = dict[str, Array]

SEED = 0
ROWS = 250  # of the test at a time


def targets_and_inputs(example: Example, path: Path) -> dict[str, Array]:
    """What the training of a model reads, out of a file that may have more."""
    trainer = wsdl.compile(example.path).trainer(example.model)
    data = arrays(path)
    return {name: data[name] for name in trainer.batch_types}


# -- training ----------------------------------------------------------------------------------------------------------


def train_ours(example: Example, run: Path) -> Path:
    """By the command that a reader would type; where its weights are."""
    subprocess.run(
        [
            Path(sys.executable).with_name("wsdl"),
            *("train", example.path, "--model", example.model, "--data", example.train, "--eval", example.test),
            *("--epochs", str(example.epochs), "--batch", str(example.batch), "--seed", str(SEED)),
            *("--threads", str(torch.get_num_threads()), "-o", run),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return run / "last.safetensors"


def train_theirs(example: Example) -> nn.Module:
    """The twin in PyTorch, with the initial weights of `wsdl`."""
    twin = new_twin(example)
    batches = Batches(targets_and_inputs(example, example.train), example.batch, seed=SEED)
    step = torch_step(example, twin, example.epochs * batches.steps)
    for epoch in range(example.epochs):
        for batch in batches.epoch(epoch):
            step(batch)
    return twin


def new_twin(example: Example) -> nn.Module:
    twin = example.twin()
    load_into(twin, wsdl.compile(example.path, seed=SEED), example.model)
    return twin


def torch_step(example: Example, twin: nn.Module, steps: int) -> Callable[[Mapping[str, Array]], float]:
    """What makes a step of a training of so many, and gives its loss."""
    optimizer, schedule = example.recipe.optimizer(twin, steps)
    objective: Any = twin.train().loss

    def step(batch: Mapping[str, Array]) -> float:
        loss = objective(**{name: torch.from_numpy(array) for name, array in batch.items()})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        return float(loss.detach())

    return step


# -- what was learnt ---------------------------------------------------------------------------------------------------


def outputs_of_ours(example: Example, weights: Path, test: Mapping[str, Array]) -> Outputs:
    session = wsdl.compile(example.path).session(example.model, weights=weights)
    return _in_parts(lambda rows: session(**rows), example, test)


def outputs_of_theirs(example: Example, twin: nn.Module, test: Mapping[str, Array]) -> Outputs:
    twin.eval()

    def run(rows: Mapping[str, Array]) -> Outputs:
        with torch.no_grad():
            found = twin(**{name: torch.from_numpy(array) for name, array in rows.items()})
        found = found if isinstance(found, tuple) else (found,)
        return {name: value.numpy() for name, value in zip(example.outputs, found, strict=True)}

    return _in_parts(run, example, test)


def _in_parts(run: Callable[[Mapping[str, Array]], Outputs], example: Example, test: Mapping[str, Array]) -> Outputs:
    inputs = {name: test[name] for name in wsdl.compile(example.path).models[example.model].inputs}
    count = len(next(iter(inputs.values())))
    parts = [run({name: a[i : i + ROWS] for name, a in inputs.items()}) for i in range(0, count, ROWS)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
