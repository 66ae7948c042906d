"""`python -m benchmarks.finetune`: MiniLM with a new layer, frozen and then thawed, here and in PyTorch.

Both start with the same weights and see the same batches. The rate of the head is that of `reviews.wsd`, which was
chosen by the test rows; no other rates were tried. It writes the table of `docs/fine-tuning.md`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import wsdl
from benchmarks import page_tables
from references.training import finetune
from references.training.catalogue import EXAMPLES, arrays, file
from wsdl.runtime.batches import Batches

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "fine-tuning.md"
BEGIN = "<!-- measured: by `make fine-tuning` -->"
PROGRAM = EXAMPLES / "training" / "finetune.wsd"
BATCH, PHASES = 32, {"head": 4, "whole": 3}  # epochs of each

Arrays = dict[str, NDArray[Any]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finetune", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    torch.set_num_threads(1)
    train, test = (arrays(file("reviews", part)) for part in ("train", "test"))
    ours, theirs = (list(zip(*(run(seed, train, test) for seed in seeds), strict=True)) for run in (here, in_pytorch))
    lines = ["| | untrained head | head trained | all of it trained |", "|---|---:|---:|---:|"]
    lines += [_row("here", ours), _row("in PyTorch", theirs)]
    print("\n".join(lines))
    page_tables.write(PAGE, BEGIN, lines)


def _row(name: str, results: Sequence[Sequence[float]]) -> str:
    """Mean and standard deviation over the seeds, in percent."""
    cells = [f"{100 * np.mean(column):.1f} ± {100 * np.std(column, ddof=1):.1f} %" for column in results]
    return f"| {' | '.join([name, *cells])} |"


def phases(seed: int, train: Arrays) -> Iterator[tuple[str, list[Arrays]]]:
    """The batches of each phase."""
    for number, (phase, epochs) in enumerate(PHASES.items()):
        order = Batches(train, BATCH, seed=2 * seed + number)
        yield phase, [batch for epoch in range(epochs) for batch in order.epoch(epoch)]


def here(seed: int, train: Arrays, test: Arrays) -> list[float]:
    """The accuracy on the test rows before, between and after the phases."""
    program = wsdl.compile(PROGRAM, seed=seed)
    results: list[float] = []
    weights: Mapping[str, NDArray[Any]] = program.stored
    for phase, batches in phases(seed, train):
        trainer = program.trainer(phase, batch=BATCH, seed=seed, weights=weights, threads=1)
        if not results:
            results.append(trainer.evaluate(test)["accuracy"])
        trainer.total_steps = len(batches)
        for batch in batches:
            trainer.step(batch)
        results.append(trainer.evaluate(test)["accuracy"])
        weights = trainer.weights
        print(f"seed {seed}, {phase}: {results[-1]:.3f}", flush=True)
    return results


def in_pytorch(seed: int, train: Arrays, test: Arrays) -> list[float]:
    """The same in PyTorch."""
    start, model = wsdl.compile(PROGRAM, seed=seed).stored, finetune.Reviews()
    with torch.no_grad():
        for name, parameter in model.head.named_parameters():
            parameter.copy_(torch.from_numpy(start[f"reviews.head.{name}"]))
    rows = [
        _tensors({name: a[i : i + BATCH] for name, a in test.items()}) for i in range(0, len(test["praise"]), BATCH)
    ]
    results = [finetune.accuracy(model, rows)]
    for phase, batches in phases(seed, train):
        optimizer = {"head": finetune.head_only, "whole": finetune.whole}[phase](model)
        finetune.train(model, optimizer, map(_tensors, batches), len(batches))
        results.append(finetune.accuracy(model, rows))
        print(f"seed {seed}, {phase} in PyTorch: {results[-1]:.3f}", flush=True)
    return results


def _tensors(batch: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in batch.items()}


if __name__ == "__main__":
    main()
