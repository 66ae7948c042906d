"""A universal transformer (`examples/training/depth.wsd`) at depths that it was trained at and at others: `make depth`.

Trains on the digits with a depth for each row, from 1 to 6, and measures the accuracy at one depth for all rows. Writes
the table of `docs/depth.md`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import wsdl
from benchmarks import page_tables

ROOT = Path(__file__).parents[1]
DATA = ROOT / "examples" / "data" / "digits"
PROGRAM = ROOT / "examples" / "training" / "depth.wsd"
PAGE = ROOT / "docs" / "depth.md"
TRAINED, DEPTHS = range(1, 7), (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24)
EPOCHS, BATCH, SEEDS = 15, 32, (0, 1, 2)


def accuracies(seed: int, epochs: int = EPOCHS) -> list[float]:
    """At each of the `DEPTHS`, after training with depths that the seed draws."""
    train, test = (dict(np.load(DATA / f"{part}.npz")) for part in ("train", "test"))
    depths = np.random.default_rng(seed).integers(TRAINED.start, TRAINED.stop, len(train["label"]))
    program = wsdl.compile(PROGRAM, seed=seed)
    trainer = program.trainer("digits", batch=BATCH, seed=seed)
    wsdl.fit(trainer, {**train, "depths": depths}, epochs=epochs)
    classify = program.session("classify", weights=trainer.weights)
    logits = [classify(image=test["image"], depth=np.int64(depth))["logits"] for depth in DEPTHS]
    return [float(np.mean(each.argmax(1) == test["label"])) for each in logits]


def main() -> None:
    found = []
    for seed in SEEDS:
        found.append(accuracies(seed))
        print(seed, found[-1], flush=True)
    means, deviations = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
    rows = [
        ["depth", *map(str, DEPTHS)],
        ["---", *("---:" for _ in DEPTHS)],
        ["in training", *("yes" if depth in TRAINED else "" for depth in DEPTHS)],
        ["accuracy", *(f"{mean:.3f} ± {std:.3f}" for mean, std in zip(means, deviations, strict=True))],
    ]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    page_tables.write(PAGE, "<!-- depths: written by `make depth` -->", lines)


if __name__ == "__main__":
    main()
