"""Features learned without labels (`examples/updates/byol.wsd`) on Fashion-MNIST: `make byol`.

A linear classifier on the frozen features tells what they are worth, beside the same network untrained, and trained
with labels on as many batches. Writes the table of `docs/updates.md`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

import wsdl
from benchmarks import page_tables
from wsdl.diagnostics.span import Source

Array = NDArray[Any]
ROOT = Path(__file__).parents[1]
DATA = ROOT / "examples" / "data" / "fashion_mnist"
PROGRAM = ROOT / "examples" / "updates" / "byol.wsd"
PAGE = ROOT / "docs" / "updates.md"
ROWS, EPOCHS, BATCH, SEEDS = 6_000, 20, 128, (0, 1, 2)
SUPERVISED = """
model classify(image: u8[n, 1, 28, 28]) -> (logits: f32[n, 10]) {
    found, _ = online(image)
    return Dense(10)(found)
}

train classify(label: i64[n]) {
    loss cross_entropy(logits, label)
    optimizer SGD(lr=cosine(0.1, warmup=50), momentum=0.9, weight_decay=1e-4)
}
"""


def view(images: Array, random: Generator) -> Array:
    """Another view of each image: shifted by up to 4 pixels, perhaps mirrored, with another contrast, and a patch
    missing."""
    rows = len(images)
    padded = np.pad(images[:, 0], ((0, 0), (4, 4), (4, 4)))
    down, right = random.integers(0, 9, (2, rows))
    grid = np.arange(28)
    across = np.where(random.random(rows)[:, None] < 0.5, grid, grid[::-1])
    shifted = padded[
        np.arange(rows)[:, None, None], down[:, None, None] + grid[:, None], (right[:, None] + across)[:, None]
    ]
    result = np.clip(shifted * random.uniform(0.6, 1.4, (rows, 1, 1)), 0, 255)
    top, left = random.integers(0, 20, (2, rows, 1))
    hidden = ((grid >= top) & (grid < top + 8))[:, :, None] & ((grid >= left) & (grid < left + 8))[:, None]
    return np.where(hidden, 0, result).astype(np.uint8)[:, None]


def batches(images: Array, label: Array, epochs: int, seed: int) -> Iterator[dict[str, Array]]:
    """Two views of the images of each batch, and their labels."""
    random = np.random.default_rng(seed)
    for _ in range(epochs):
        order = random.permutation(len(images))
        for at in range(0, len(order) - BATCH + 1, BATCH):
            chosen = images[order[at : at + BATCH]]
            yield {"left": view(chosen, random), "right": view(chosen, random), "label": label[order[at : at + BATCH]]}


def trained(name: str, train: Mapping[str, Array], epochs: int, seed: int) -> Any:
    """The weights of a network after training: by `byol`, with labels by `classify`, or for no epochs as drawn."""
    program = wsdl.compile(Source(str(PROGRAM), PROGRAM.read_text("utf-8") + SUPERVISED), seed=seed)
    trainer = program.trainer(name, batch=BATCH, seed=seed)
    trainer.total_steps = max(51, epochs * (len(train["label"]) // BATCH))
    for batch in batches(train["image"], train["label"], epochs, seed):
        if name == "byol":
            trainer.step({side: batch[side] for side in ("left", "right")})
        else:
            trainer.step({"image": batch["left"], "label": batch["label"]})
    return program.session("embed", weights=trainer.weights)


def probe(embed: Any, train: Mapping[str, Array], test: Mapping[str, Array]) -> float:
    """The accuracy of ridge regression on frozen features to the ten classes, on test images."""

    def features(images: Array) -> Array:
        found = np.concatenate([embed(image=images[at : at + 500])["output"] for at in range(0, len(images), 500)])
        return np.concatenate([found, np.ones((len(found), 1), "f4")], axis=1).astype("f8")

    x, wanted = features(train["image"]), np.eye(10)[train["label"]]
    weights = np.linalg.solve(x.T @ x + 1e-3 * len(x) * np.eye(x.shape[1]), x.T @ wanted)
    return float(np.mean((features(test["image"]) @ weights).argmax(1) == test["label"]))


def load(rows: int, of_test: int = 10_000) -> tuple[dict[str, Array], dict[str, Array]]:
    files = ("train", rows), ("test", of_test)
    first, second = ({n: a[:count] for n, a in np.load(DATA / f"{name}.npz").items()} for name, count in files)
    return first, second


def main() -> None:
    train, test = load(ROWS)
    ways = {
        "the network as drawn": ("byol", 0),
        "without labels, by `byol`": ("byol", EPOCHS),
        "with labels": ("classify", EPOCHS),
    }
    lines = ["| trained | accuracy of the probe |", "|---|---:|"]
    for title, (name, epochs) in ways.items():
        found = [100 * probe(trained(name, train, epochs, seed), train, test) for seed in SEEDS]
        lines.append(f"| {title} | {np.mean(found):.1f} ± {np.std(found, ddof=1):.1f} % |")
        print(lines[-1], found, flush=True)
    page_tables.write(PAGE, "<!-- byol: written by `make byol` -->", lines)


if __name__ == "__main__":
    main()
