"""NumPy's files: `.npz` is a zip of `.npy`, `.npy` a header and an array. The listings need no NumPy."""

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

MOST_PACKED = 1100  # how far deflate can compress at best; what claims more is a bomb
_DTYPES = {
    "f2": "f16", "f4": "f32", "f8": "f64", "i1": "i8", "i2": "i16", "i4": "i32", "i8": "i64", "u1": "u8", "b1": "bool",
}  # fmt: skip
_WIDTH = re.compile(r"[0-9]{1,9}")


def open_npz(path: str | Path) -> Source:
    """The listing of a `.npz` file. Arrays of Python objects are refused: reading them would run what they say."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            tensors = {entry.filename.removesuffix(".npy"): _listed(path, archive, entry) for entry in entries}
            if len(tensors) < len(entries):
                raise broken(path, f"it holds two arrays of one name, `{_twice(entries)}`")
    except (WeightsError, OSError):
        raise
    except Exception as error:  # of zipfile, zlib, lzma, bz2, struct
        raise broken(path, "this is no .npz file, or a part of it is missing") from error

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
        raise broken(path, f"`{name}` claims to be larger than its bytes can unpack to")
    with archive.open(entry) as file:
        info, start, item = read_npy_header(path, name, cast(BinaryIO, file))
    if start + prod(info.shape) * item != entry.file_size:
        raise broken(path, f"`{name}` is said to be {info}, which its {entry.file_size} bytes don't fit")
    return info


def read_npy_header(path: str | Path, name: str, file: BinaryIO) -> tuple[TensorInfo, int, int]:
    """Type, offset of the first element and bytes per element of an array in `.npy` format."""
    start = file.read(8)
    if len(start) < 8 or start[:6] != b"\x93NUMPY":
        raise broken(path, f"`{name}` is no NumPy array")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(file.read(width), "little")
    if length > 1 << 20:
        raise broken(path, f"the header of `{name}` is too long to be one")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's own about the text
            header = ast.literal_eval(file.read(length).decode("utf-8" if start[6] >= 3 else "latin-1").strip())
        descr, shape = header["descr"], header["shape"]
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise broken(path, f"the header of `{name}` can't be read") from error
    if not isinstance(descr, str) or not isinstance(shape, tuple) or not are_sizes(shape):
        raise broken(path, f"`{name}` is no numeric array")
    if "O" in descr:
        raise broken(
            path,
            f"`{name}` holds Python objects, which are never read",
            "save it as a numeric array, with all rows of one length",
        )
    kind = descr.lstrip("<>|=")
    item = int(kind[1:]) if _WIDTH.fullmatch(kind[1:]) else 0
    item *= 4 if kind[:1] == "U" else 1
    return TensorInfo(_DTYPES.get(kind, kind), shape), 8 + width + length, item


def size_of_npy(info: TensorInfo, start: int, item: int) -> int:
    """The bytes that a `.npy` file with this header has."""
    return start + prod(info.shape) * item
