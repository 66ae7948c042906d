"""`python -m benchmarks.studies.ways NAME`: ways of sharing compared on a part of a data set, with a table and a
picture in a page of the docs. The study is in `build/studies/NAME`; one that was stopped goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.studies.tables import read, write

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PICTURES = DOCS / "pictures" / "studies"


@dataclass(frozen=True)
class Ways:
    """A study on `rows` rows of the training data, drawn by a fixed seed, and on all test data."""

    program: str
    data: str
    rows: int
    epochs: int
    seeds: int
    batch: int
    metrics: Mapping[str, int]  # the columns of the table with their decimals; the last one is compared
    best: str = "max"  # or `min`: how it is compared
    page: Path = DOCS / "ways-compared.md"


STUDIES = {
    "clothes": Ways("clothes_ways", "fashion_mnist", 12_000, 4, 5, 64, {"surprise": 3, "accuracy": 4}),
    "words": Ways(
        "words_ways",
        "words",
        16_000,
        4,
        5,
        64,
        {"count_right": 3, "place_right": 3, "sound_right": 3, "right": 4},
    ),
    "routing": Ways(
        "clothes_routing",
        "fashion_mnist",
        12_000,
        4,
        3,
        64,
        {"surprise": 3, "accuracy": 4},
        page=DOCS / "dynamic-sharing.md",
    ),
    "shakespeare": Ways(
        "shakespeare_ways", "shakespeare", 18_738, 1, 5, 8, {"bits": 3}, "min", DOCS / "how-tightly-to-share.md"
    ),
}


def main() -> None:
    name, *more = sys.argv[1:]
    ways, folder = STUDIES[name], ROOT / "build" / "studies" / name
    run(ways, folder, *more)
    shutil.copy(folder / "study.svg", PICTURES / f"{ways.program}.svg")
    write(ways.page, f"study-{name}", read(folder), ways.metrics, has_times=False)


def run(ways: Ways, folder: Path, *more: str) -> None:
    data = ROOT / "examples" / "data" / ways.data
    folder.mkdir(parents=True, exist_ok=True)
    with np.load(data / "train.npz") as file:
        arrays = dict(file)
    rows = np.random.default_rng(0).permutation(len(next(iter(arrays.values()))))[: ways.rows]
    np.savez(folder / "train.npz", **{name: array[rows] for name, array in arrays.items()})
    options = {
        "--data": folder / "train.npz",
        "--eval": data / "test.npz",
        "--epochs": ways.epochs,
        "--seeds": ways.seeds,
        "--batch": ways.batch,
        "--best": f"{[*ways.metrics][-1]}:{ways.best}",
        "-o": folder,
    }
    listed = [str(part) for option in options.items() for part in option]
    program = ROOT / "examples" / "training" / f"{ways.program}.wsd"
    command = [sys.executable, "-m", "wsdl", "study", str(program), *listed, "--resume", *more]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
