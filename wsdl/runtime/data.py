"""Data for models: arrays by name, from a `.npz`, a folder of `.npy`, one `.npy`, or the columns of a table.

`open_data` reads names, types and shapes; an array is read on access. Those in `.npy` are memory-mapped, so they may be
larger than memory. No code in a file is run: arrays of Python objects are refused. Errors are `RunError`s with E0717
(the file) or E0718 (its contents).
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import isinf
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from wsdl.diagnostics import limits
from wsdl.diagnostics.run_error import RunError, fail
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.dtypes import OF_NUMPY, numpy_dtype
from wsdl.ir.types import TensorType
from wsdl.ir.weight_files import TensorInfo
from wsdl.runtime.arrays import check_inputs
from wsdl.runtime.columns import array_of, grouped, joined
from wsdl.runtime.parquet import read_parquet
from wsdl.weights.npz import open_npz, read_npy_header, size_of_npy
from wsdl.weights.source import WeightsError, reason_of

Array = NDArray[Any]


@dataclass(frozen=True)
class Data(Mapping[str, Array]):
    """Arrays by name; `infos` has their types and shapes without reading them."""

    path: str
    infos: dict[str, TensorInfo]
    _read: Callable[[str], Array]
    is_text: bool = False  # numbers as text, which have no dtype of their own

    def __getitem__(self, name: str) -> Array:
        if name not in self.infos:
            raise KeyError(name)
        try:
            return self._read(name)
        except (RunError, MemoryError):
            raise
        except Exception as error:  # each format raises its own classes
            raise fail("E0717", f"`{name}` can't be read: {reason_of(error)}", file=self.path) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self.infos)

    def __len__(self) -> int:
        return len(self.infos)

    def select(self, types: Mapping[str, TensorType]) -> dict[str, Array]:
        """The arrays named in `types`, in that order; an array without a name (`.npy`) stands for a single one.

        `fitting` checks their types; here numbers from text are converted to the dtypes in `types`.
        """
        if len(types) == 1 and list(self.infos) == [""]:
            return dict.fromkeys(types, self[""])
        missing = [name for name in types if name not in self.infos]
        if missing:
            raise self._missing(missing, types)
        arrays = {name: self[name] for name in types}
        return {name: self._of_text(name, a, types[name]) for name, a in arrays.items()} if self.is_text else arrays

    def fitting(self, types: Mapping[str, TensorType]) -> dict[str, Array]:
        """The arrays named in `types`, if they are of these types. Raises `RunError`, which names the file."""
        arrays = self.select(types)
        try:
            check_inputs(types, arrays)
        except RunError as error:
            raise RunError([replace(d, file=self.path) for d in error.diagnostics]) from None
        return arrays

    def _of_text(self, name: str, array: Array, expected: TensorType) -> Array:
        """Numbers from text, in the expected dtype. Raises `RunError` if more than precision is lost."""
        with np.errstate(all="ignore"):
            converted = array.astype(numpy_dtype(expected.dtype))
        lost = np.isinf(converted) & np.isfinite(array) if expected.is_float else converted != array
        if not lost.any():
            return converted
        position = tuple(np.argwhere(lost)[0])
        column = ".".join([name, *map(str, position[1:])])
        value = f"{array[position]:g}, which {expected.dtype} can't represent"
        message = f"row {position[0] + 2} of the column `{column}` holds {value}"
        raise fail("E0718", message, file=self.path, help=f"`{name}` must be {expected}")

    def _missing(self, missing: list[str], names: Mapping[str, TensorType]) -> RunError:
        there = ", ".join(f"`{name}` ({info})" for name, info in self.infos.items()) or "nothing"
        lines = []
        for name in missing:
            close = nearest(name, [n for n in self.infos if n not in names])
            lines.append(f"{name}: {names[name]}{f' (is it `{close}`?)' if close else ''}")
        what = f"`{missing[0]}` is" if len(missing) == 1 else f"{len(missing)} arrays are"
        message = f"{what} missing from the data"
        return fail("E0718", message, file=self.path, details=lines, help=f"the data has: {there}")


def open_data(path: str | os.PathLike[str]) -> Data:
    """Open a `.npz`, `.npy`, `.csv` or `.parquet` file, or a folder of `.npy` files."""
    path = Path(path)
    try:
        if path.is_dir():
            return _folder(path)
        if path.exists() and not path.is_file():
            raise fail("E0717", "this is not a file", file=str(path))  # a pipe or a device, which may never end
        if path.suffix.lower() in _READERS:
            return _READERS[path.suffix.lower()](path)
    except WeightsError as error:
        [d] = error.diagnostics
        raise fail("E0717", d.message, file=str(path), help=d.help) from None
    except OSError as error:
        raise fail("E0717", f"the data can't be read: {reason_of(error)}", file=str(path)) from None
    if not path.exists():
        raise fail("E0717", "there is no such file or folder", file=str(path))
    kind = path.suffix or "no"
    help = "data can be a .npz, .npy, .csv or .parquet file, or a folder of .npy files"
    raise fail("E0717", f"data can't be read from a file with {kind} ending", file=str(path), help=help)


# -- NumPy's files -----------------------------------------------------------------------------------------------------


def _npz(path: Path) -> Data:
    source = open_npz(path)
    return Data(str(path), source.tensors, source.read)


def _npy(path: Path) -> Data:
    return Data(str(path), {"": _npy_info(path)}, lambda name: _mapped(path))


def _folder(path: Path) -> Data:
    files = {file.stem: file for file in sorted(path.glob("*.npy"))}
    if not files:
        raise fail("E0717", "this folder has no .npy files", file=str(path))
    return Data(str(path), {name: _npy_info(file) for name, file in files.items()}, lambda name: _mapped(files[name]))


def _npy_info(path: Path) -> TensorInfo:
    if not path.is_file():
        raise fail("E0717", f"{path.name} is not a file", file=str(path))
    with path.open("rb") as file:
        info, start, item = read_npy_header(path, path.stem, file)
    if path.stat().st_size < size_of_npy(info, start, item):
        raise fail("E0717", f"{path.name} should hold {info}, but is truncated", file=str(path))
    return info


def _mapped(path: Path) -> Array:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return cast(Array, array)


# -- tables ------------------------------------------------------------------------------------------------------------


def _csv(path: Path) -> Data:
    """A table with names in its first line. Columns `x.0`, `x.1`, … together are the rows of `x`."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        try:
            rows = [row for row in csv.reader(file) if row]
        except (csv.Error, UnicodeDecodeError) as error:
            raise fail("E0717", f"this is not a CSV file: {reason_of(error)}", file=str(path)) from None
    if not rows:
        raise fail("E0717", "the table is empty", file=str(path))
    header, body = [name.strip() for name in rows[0]], rows[1:]
    grouped(str(path), header)
    for number, row in enumerate(body, 2):
        if len(row) != len(header):
            message = f"row {number} has {len(row)} columns, but the first line names {len(header)}"
            raise fail("E0717", message, file=str(path))
    columns = {name: _as_numeric(path, name, [row[i] for row in body]) for i, name in enumerate(header)}
    return replace(_table(path, columns), is_text=True)


def _as_numeric(path: Path, name: str, texts: list[str]) -> Array:
    """Integers if all texts are, otherwise floating-point numbers."""
    for dtype, number in ((np.int64, int), (np.float64, float)):
        try:
            array = np.array(list(map(number, texts)), dtype)  # an array of texts would be as wide as the longest
            break
        except (ValueError, OverflowError):
            continue
    else:
        array = np.empty(0)
    if not (len(array) == len(texts) and np.isfinite(array).all()):
        for row, text in enumerate(texts, 2):
            if (problem := _problem(text)) is not None:
                message = f"row {row} of the column `{name}` holds {text[: limits.DIGITS]!r}, {problem}"
                raise fail("E0718", message, file=str(path))
    return array


def _problem(text: str) -> str | None:
    """Why a text is not a number."""
    try:
        is_too_large = isinf(float(text)) and "inf" not in text.lower()
    except ValueError:
        return "not a number"
    return "which is too large" if is_too_large else None


def _parquet(path: Path) -> Data:
    return data_of_table(path, read_parquet(path))


def data_of_table(path: Path, table: Any) -> Data:
    """The arrays of a `pyarrow.Table` that was read from a file."""
    grouped(str(path), table.column_names)  # before a name that occurs twice is looked up
    columns = {name: array_of(table.column(name)) for name in table.column_names}
    types = {name: str(table.schema.field(name).type) for name in table.column_names}
    return _table(path, columns, types, table.num_rows)


def _table(
    path: Path, columns: Mapping[str, Array | None], types: Mapping[str, str] | None = None, rows: int = 0
) -> Data:
    """The arrays of named columns; `x.0`, `x.1`, … are one. A column without numbers is only listed, with its type in
    `types` and the number of `rows`."""
    groups = grouped(str(path), list(columns))
    infos: dict[str, TensorInfo] = {}
    arrays: dict[str, Array] = {}
    for name, parts in groups.items():
        others = [part for part in parts if columns[part] is None]
        if others:
            infos[name] = TensorInfo((types or {})[others[0]], (rows,))
        else:
            array = arrays[name] = joined(str(path), name, columns, parts)
            infos[name] = TensorInfo(OF_NUMPY.get(array.dtype.name, array.dtype.name), array.shape)

    def read(name: str) -> Array:
        return arrays[name] if name in arrays else joined(str(path), name, columns, groups[name])

    return Data(str(path), infos, read)


_READERS: dict[str, Callable[[Path], Data]] = {".npz": _npz, ".npy": _npy, ".csv": _csv, ".parquet": _parquet}
