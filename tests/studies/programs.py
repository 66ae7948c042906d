"""A small program with a constant, data to train, to select and to evaluate with, and the command that studies it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

PROGRAM = """\
let depth = 2
let rate = 1e-2
let unread = 3

model classify(x: f32[n, 8]) -> (logits: f32[n, 3]) {
    layer blocks[depth] = Residual(Dense(8))
    layer head = Dense(3)
    share { blocks[*] }
    for block in blocks {
        x = block(x) |> tanh
    }
    return head(x)
}

train classify(label: i64[n]) {
    loss cross_entropy(logits, label)
    metric accuracy = mean(argmax(logits, axis=1) == label)
    optimizer AdamW(lr=cosine(rate, warmup=5), weight_decay=0.01)
}
"""
DEPTHS = ("--let", "depth=3,2")
TRAIN = ("study", "classify.wsd", "--data", "train.npz", "--eval", "test.npz", "--batch", "16", "--epochs", "2")
TIMES = ("step_ms", "seconds")


def in_files(folder: Path) -> None:
    (folder / "classify.wsd").write_text(PROGRAM, encoding="utf-8")
    for name, rows in (("train", 100), ("select", 40), ("test", 50)):
        rng = np.random.default_rng(rows)
        label = rng.integers(0, 3, rows)
        x = rng.normal(size=(rows, 8)) + 2 * np.eye(3, 8)[label]  # three clouds
        np.savez(folder / f"{name}.npz", x=x.astype("f4"), label=label)


def without_times(value: Any) -> Any:
    """What `study.json` says, but for its times."""
    if isinstance(value, dict):
        return {name: without_times(part) for name, part in value.items() if name not in TIMES}
    return [without_times(part) for part in value] if isinstance(value, list) else value


def recorded(folder: str | Path) -> Any:
    return without_times(json.loads(Path(folder, "study.json").read_text("utf-8")))
