"""Columns of Arrow tables as arrays and back, ranges of rows of parquet files, and the plan of parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyarrow import parquet

from wsdl.ir.dims import Dim
from wsdl.ir.dtypes import NUMPY
from wsdl.ir.types import DType, TensorType
from wsdl.runtime.columns import array_of, arrow_type, column_of
from wsdl.runtime.parquet import ParquetReader
from wsdl.runtime.parts import LARGEST, parts_of

N = Dim.symbol("n")
IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def lists(type: pa.DataType, values: list[Any]) -> pa.Array:
    return pa.array(values, type)


@pytest.mark.parametrize(
    ("column", "array"),
    [
        (lists(pa.int64(), [1, 2]), np.array([1, 2])),
        (lists(pa.bool_(), [True, False]), np.array([True, False])),
        (lists(pa.list_(pa.float32()), [[1, 2], [3, 4]]), np.array([[1, 2], [3, 4]], np.float32)),
        (lists(pa.large_list(pa.list_(pa.uint8(), 4)), IMAGES.tolist()), IMAGES),
        (lists(pa.list_(pa.list_(pa.uint8(), 4), 3), IMAGES.tolist()), IMAGES),
        (pa.FixedShapeTensorArray.from_numpy_ndarray(IMAGES), IMAGES),
        (lists(pa.list_(pa.uint8(), 4), [[9] * 4, *IMAGES[0].tolist()]).slice(1), IMAGES[0]),
        (pa.chunked_array([[1.5], [2.5]]), np.array([1.5, 2.5])),
        (lists(pa.list_(pa.int8()), []), np.zeros((0, 0), np.int8)),
    ],
)
def test_an_array_of_a_column(column: Any, array: NDArray[Any]) -> None:
    found = array_of(column)
    assert found is not None
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    "column",
    [
        lists(pa.string(), ["a"]),
        lists(pa.list_(pa.int8()), [[1], [2, 3]]),
        lists(pa.list_(pa.int8()), [[1], None]),
        lists(pa.list_(pa.string()), [["a"], ["b"]]),
        lists(pa.bool_(), [True, None]),
        lists(pa.timestamp("s"), [0]),
    ],
)
def test_a_column_without_numbers(column: Any) -> None:
    assert array_of(column) is None


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (N, 3), (3, N), (0,), (N, N)])
@pytest.mark.parametrize("dtype", sorted(NUMPY))
def test_a_column_of_an_array(dtype: DType, shape: tuple[Dim | int, ...]) -> None:
    """And back, with the type that is known without the array."""
    type = TensorType.of(dtype, [N, *shape])
    plain: Any = ml_dtypes.bfloat16 if dtype == "bf16" else NUMPY[dtype]
    sizes = [4, *(2 if isinstance(dim, Dim) else dim for dim in shape)]
    array = (np.arange(np.prod(sizes)).reshape(sizes) % 2).astype(plain)
    column = column_of(array, type)
    assert column.type == arrow_type(type)
    again = array_of(column)
    assert again is not None
    np.testing.assert_array_equal(again, array.astype(np.float32) if dtype == "bf16" else array)


def test_ranges_of_rows(tmp_path: Path) -> None:
    """Whatever the row groups are, and in any order: on, within a group, back, after an answer that was not read."""
    table = pa.table({"key": range(1000), "text": [f"row {i}" for i in range(1000)]})
    path = tmp_path / "rows.parquet"
    parquet.write_table(table, path, row_group_size=130)
    with ParquetReader() as reader:
        assert reader.schema(path) == (table.schema, 1000)
        for start, stop, size in [
            (0, 10, 4),
            (10, 400, 100),
            (520, 530, 30),
            (2, 3, 1),
            (999, 1000, 8),
            (0, 1000, 1000),
        ]:
            batches = [*reader.batches(path, start, stop, size)]
            assert pa.Table.from_batches(batches).equals(table.slice(start, stop - start))
            assert {batch.num_rows for batch in batches[:-1]} <= {size}
        next(reader.batches(path, 0, 1000, 1))
        assert [batch.num_rows for batch in reader.batches(path, 0, 3, 2)] == [2, 1]


@pytest.mark.parametrize(
    ("files", "batch", "ranges"),
    [
        ({"a": 0}, 8, ["a 0 0"]),
        ({"a": 10}, 8, ["a 0 8", "a 8 10"]),
        ({"a": 5, "b": 0, "c": 9}, 4, ["a 0 4", "a 4 5", "c 0 4", "c 4 8", "c 8 9"]),
    ],
)
def test_parts(files: dict[str, int], batch: int, ranges: list[str]) -> None:
    assert [f"{part.path} {part.start} {part.stop}" for part in parts_of(files, batch)] == ranges


@pytest.mark.parametrize("rows", [100, 10_000, 1_000_000, 100_000_000])
@pytest.mark.parametrize("batch", [1, 64, 256, 100_000])
def test_parts_are_neither_many_nor_large(rows: int, batch: int) -> None:
    parts = parts_of({"a": rows}, batch)
    assert sum(part.rows for part in parts) == rows
    assert all(part.rows % batch == 0 for part in parts[:-1])
    assert max(part.rows for part in parts) <= max(LARGEST, batch)
    assert len(parts) <= max(128, rows // (LARGEST // 2) + 1)
    assert [part.file for part in parts[:2]] == ["part-00000.parquet", "part-00001.parquet"][: len(parts)]
