"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), out of Debian's package `dataset-fashion-mnist` (MIT): `make data`.

`image` is u8 [rows, 1, 28, 28], `label` i64 [rows] one of the ten `CLASSES`; 60,000 rows and 10,000. Three more views:

- `pairs`: `left` and `right` like `image`, `same` bool [rows]: half of the pairs are of one class. 60,000 and 10,000.
- `noisy`: `noisy` and `clean` like `image`, 20,000 and 10,000.
- `trousers`: the `image`s of one class, to learn what is normal. 6,000 and 1,000.
"""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from examples.fetch import Arrays, save

PACKAGE = "dataset-fashion-mnist"
FOLDER = "usr/share/datasets/fashion-mnist"
CLASSES = ("T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
NOISE = 0.4  # its standard deviation; 1 is the way from black to white
NOISY = 20_000


def main() -> None:
    with unpacked() as folder:
        train, test = read(folder, "train"), read(folder, "t10k")
    rng = np.random.default_rng(0)
    save(
        "fashion_mnist",
        **{
            "pairs.train": pairs(train, rng),
            "pairs.test": pairs(test, rng),
            "noisy.train": noisy(train["image"][:NOISY], rng),
            "noisy.test": noisy(test["image"], rng),
            "trousers.train": {"image": train["image"][train["label"] == CLASSES.index("trousers")]},
            "trousers.test": {"image": test["image"][test["label"] == CLASSES.index("trousers")]},
            "test": test,
            "train": train,  # the last: where it is, all are
        },
    )


@contextmanager
def unpacked() -> Iterator[Path]:
    """The folder of the package's files: where it is installed, else a temporary one."""
    if (installed := Path("/") / FOLDER).is_dir():
        yield installed
        return
    if which("apt-get") is None or which("dpkg-deb") is None:
        print(f"Fashion-MNIST is not here: it comes as Debian's package {PACKAGE}, and there is no apt-get on the PATH")
        sys.exit(0)  # no failure: the tests that want it say that they are skipped
    with TemporaryDirectory() as folder:
        download(Path(folder))
        (package,) = Path(folder).glob("*.deb")
        subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
        yield Path(folder) / FOLDER


def download(folder: Path) -> None:
    """The package as a file in a folder; nothing is installed, so anyone may do it.

    Where apt's lists are missing, as on a new machine, they are made in the folder too.
    """
    quiet = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root"]
    if subprocess.run([*quiet, "download", PACKAGE], cwd=folder, check=False, capture_output=True).returncode != 0:
        (folder / "lists" / "partial").mkdir(parents=True)
        own = [*quiet, "-o", f"Dir::State::lists={folder}/lists", "-o", f"Dir::Cache={folder}"]
        subprocess.run([*own, "update"], cwd=folder, check=True)
        subprocess.run([*own, "download", PACKAGE], cwd=folder, check=True)


# -- reading -----------------------------------------------------------------------------------------------------------


def read(folder: Path, part: str) -> Arrays:
    """The images and labels of a part, `train` or `t10k`."""
    image = read_idx(folder / f"{part}-images-idx3-ubyte.gz")
    label = read_idx(folder / f"{part}-labels-idx1-ubyte.gz")
    return {"image": image[:, None], "label": label.astype(np.int64)}


def read_idx(path: Path) -> NDArray[np.uint8]:
    """An array of bytes in LeCun's format: two zeros, the type, the number of axes, their sizes, the elements."""
    data = gzip.decompress(path.read_bytes())
    axes = data[3]
    sizes = np.frombuffer(data, ">i4", axes, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(sizes)


# -- views -------------------------------------------------------------------------------------------------------------


def pairs(part: Arrays, rng: Generator) -> Arrays:
    """Each image once on the left; on the right one of its class, or by even chance one of another class."""
    image, label = part["image"], part["label"]
    same = np.arange(len(label)) % 2 == 0
    rng.shuffle(same)
    wanted = np.where(same, label, (label + rng.integers(1, len(CLASSES), len(label))) % len(CLASSES))
    right = np.empty(len(label), np.int64)
    for number in range(len(CLASSES)):
        rows = wanted == number
        right[rows] = rng.choice(np.flatnonzero(label == number), rows.sum())
    return {"left": image, "right": image[right], "same": same}


def noisy(clean: NDArray[np.uint8], rng: Generator) -> Arrays:
    """Normally distributed noise on every pixel, cut off at black and white."""
    noise = 255 * NOISE * rng.standard_normal(clean.shape, np.float32)
    return {"noisy": np.clip(clean + noise, 0, 255).astype(np.uint8), "clean": clean}


if __name__ == "__main__":
    main()
