"""Digests of arrays: the contents of a checkpoint, and the data that a training was started with."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.weights.safetensors import little_endian_bytes

Array = NDArray[Any]
DIGEST = 16  # bytes
WHOLE = 64_000_000  # bytes up to which an array is read completely
PIECES = 64  # of a larger one


def checksum(arrays: Mapping[str, Array], text: str = "") -> str:
    """The digest of a text and of all arrays with their names, dtypes and shapes, in hexadecimal."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST)
    for name, array in sorted(arrays.items()):
        digest.update(f"\0{name}\0{array.dtype.name}{array.shape}\0".encode("utf-8", "surrogatepass"))
        digest.update(little_endian_bytes(array))
    return digest.hexdigest()


def fingerprint(arrays: Mapping[str, Array]) -> str:
    """The same for data, which may be larger than memory: of an array of more than 64 MB that many bytes are read, in
    64 pieces of consecutive rows, including the first and the last ones."""
    sizes = "".join(f"{name}{array.shape}" for name, array in sorted(arrays.items()))
    return checksum({name: _sample(array) for name, array in arrays.items()}, sizes)


def _sample(array: Array) -> Array:
    if array.nbytes <= WHOLE:
        return array
    rows = max(1, WHOLE // PIECES // (array.nbytes // len(array)))
    starts = np.unique(np.linspace(0, len(array) - rows, PIECES).astype(int))
    return np.concatenate([array[start : start + rows] for start in starts])
