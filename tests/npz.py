"""Writing `.npz` files: NumPy's types take `**arrays` for its option `allow_pickle`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def save_npz(path: str | Path, arrays: Mapping[str, Any], *, compressed: bool = False) -> None:
    save: Any = np.savez_compressed if compressed else np.savez
    save(path, **arrays)
