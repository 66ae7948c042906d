"""The digits of docs/several-trainings.md: trains examples/trainings/gan.wsd, and draws what it makes beside real ones.

make gan
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray

import wsdl

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "pictures" / "made-digits.png"
EPOCHS, ROWS, COLUMNS, SCALE = 500, 5, 12, 4


def main() -> None:
    program = wsdl.compile(ROOT / "examples" / "trainings" / "gan.wsd")
    real = np.load(ROOT / "examples" / "data" / "digits" / "train.npz")["image"]
    trainers = program.trainers()
    wsdl.fit(trainers, {name: {"image": real} for name in trainers}, epochs=EPOCHS)
    noise = np.random.default_rng(0).normal(size=(ROWS * COLUMNS, 16)).astype("f4")
    made = program.session("make", weights=trainers.weights, partial=True)(noise=noise)["made"]
    both = [grid(made), np.zeros((ROWS * 9, 9)), grid(real[: ROWS * COLUMNS] / 16)]
    imsave(PICTURE, np.kron(1 - np.concatenate(both, axis=1), np.ones((SCALE, SCALE))), cmap="gray", vmin=0, vmax=1)


def grid(images: NDArray[Any]) -> NDArray[Any]:
    """Images of 8 by 8 pixels in rows, with a gap around each."""
    padded = np.pad(images.reshape(ROWS, COLUMNS, 8, 8), ((0, 0), (0, 0), (0, 1), (0, 1)))
    return padded.transpose(0, 2, 1, 3).reshape(ROWS * 9, COLUMNS * 9)


if __name__ == "__main__":
    main()
