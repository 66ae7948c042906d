"""Write the digits for the page: `python digits.py WHEEL OUT.safetensors`.

They come out of a wheel of scikit-learn, which carries 1,797 digits of the UCI set "Optical Recognition of Handwritten
Digits" (Alpaydin and Kaynak, 1998); it is read as the archive that it is, and nothing of it is installed.
"""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from wsdl.weights.safetensors import save_safetensors

MEMBER = "sklearn/datasets/data/digits.csv.gz"  # 64 numbers from 0 to 16 and the digit, in each line


def main(wheel: str, out: str) -> None:
    with ZipFile(wheel) as archive:
        text = gzip.decompress(archive.read(MEMBER))
    table = np.loadtxt(io.BytesIO(text), delimiter=",").astype(np.uint8)
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    save_safetensors(out, {"image": table[:, :64], "label": table[:, 64]})


if __name__ == "__main__":
    main(*sys.argv[1:])
