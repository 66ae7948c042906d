"""NumPy files: `.npz` is a zip of `.npy` files, `.npy` a header and an array. Listing them doesn't need NumPy."""

from __future__ import annotations

import ast
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, cast

from wsdl.ir.weight_files import TensorInfo, are_sizes
from wsdl.weights.source import Source, WeightsError, broken

MOST_PACKED = 1100  # the highest compression ratio of deflate; a larger one is a zip bomb
_DTYPES = {
    "f2": "f16", "f4": "f32", "f8": "f64", "i1": "i8", "i2": "i16", "i4": "i32", "i8": "i64", "u1": "u8", "b1": "bool",
}  # fmt: skip
_WIDTH = re.compile(r"[0-9]{1,9}")


def open_npz(path: str | Path) -> Source:
    """The listing of a `.npz` file. Arrays of Python objects are rejected: reading them can run arbitrary code."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            tensors = {entry.filename.removesuffix(".npy"): _listed(path, archive, entry) for entry in entries}
            if len(tensors) < len(entries):
                raise broken(path, f"two arrays have the same name, `{_twice(entries)}`")
    except (WeightsError, OSError):
        raise
    except Exception as error:  # of zipfile, zlib, lzma, bz2, struct
        raise broken(path, "not a .npz file, or incomplete") from error

    def read(name: str) -> Any:
        import numpy as np

        with np.load(path, allow_pickle=False) as archive:
            return archive[name]

    return Source(str(path), tensors, reader=read)


def _twice(entries: Iterable[zipfile.ZipInfo]) -> str:
    return Counter(entry.filename.removesuffix(".npy") for entry in entries).most_common(1)[0][0]


def _listed(path: str | Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> TensorInfo:
    name = entry.filename.removesuffix(".npy")
    if entry.file_size > MOST_PACKED * max(entry.compress_size, 1) + 4096:
        raise broken(path, f"the compressed size of `{name}` is too small for its uncompressed size")
    with archive.open(entry) as file:
        info, start, item = read_npy_header(path, name, cast(BinaryIO, file))
    if start + prod(info.shape) * item != entry.file_size:
        raise broken(path, f"the size of `{name}`, {entry.file_size} bytes, doesn't match its type, {info}")
    return info


def read_npy_header(path: str | Path, name: str, file: BinaryIO) -> tuple[TensorInfo, int, int]:
    """Type, offset of the first element and bytes per element of an array in `.npy` format."""
    start = file.read(8)
    if len(start) < 8 or start[:6] != b"\x93NUMPY":
        raise broken(path, f"`{name}` isn't a NumPy array")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(file.read(width), "little")
    if length > 1 << 20:
        raise broken(path, f"the header of `{name}` is too long")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings of Python's parser about the header
            header = ast.literal_eval(file.read(length).decode("utf-8" if start[6] >= 3 else "latin-1").strip())
        descr, shape = header["descr"], header["shape"]
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise broken(path, f"the header of `{name}` can't be read") from error
    if not isinstance(descr, str) or not isinstance(shape, tuple) or not are_sizes(shape):
        raise broken(path, f"`{name}` isn't a numeric array")
    if "O" in descr:
        raise broken(
            path,
            f"`{name}` contains Python objects, which can't be read safely",
            "save it as a numeric array, with rows of equal length",
        )
    kind = descr.lstrip("<>|=")
    item = int(kind[1:]) if _WIDTH.fullmatch(kind[1:]) else 0
    item *= 4 if kind[:1] == "U" else 1
    return TensorInfo(_DTYPES.get(kind, kind), shape), 8 + width + length, item


def size_of_npy(info: TensorInfo, start: int, item: int) -> int:
    """The size in bytes of a `.npy` file with this header."""
    return start + prod(info.shape) * item
