"""Data from files: by name, mapped where they are large, and every fault said with the name of what is at fault."""

from __future__ import annotations

import os
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.onnx.running import random
from wsdl.diagnostics import Diagnostic
from wsdl.diagnostics.run_error import RunError
from wsdl.ir.types import TensorType
from wsdl.runtime import parquet
from wsdl.runtime.data import open_data

WANTED = {"x": TensorType.of("f32", [3, 4]), "label": TensorType.of("i64", [3])}
X, LABEL = random(3, 4), np.array([1, 0, 2])


def fault(path: Path, wanted: dict[str, TensorType] | None = None) -> Diagnostic:
    with pytest.raises(RunError) as error:
        open_data(path).select(WANTED if wanted is None else wanted)
    [diagnostic] = error.value.diagnostics
    assert diagnostic.file == str(path)
    return diagnostic


def folder(path: Path) -> Path:
    path.mkdir()
    np.save(path / "x.npy", X)
    np.save(path / "label.npy", LABEL)
    return path


def test_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=X, label=LABEL, more=X)
    data = open_data(tmp_path / "data.npz")
    assert {name: str(info) for name, info in data.infos.items()} == {
        "x": "f32[3, 4]", "label": "i64[3]", "more": "f32[3, 4]"
    }  # fmt: skip
    arrays = data.select(WANTED)
    assert list(arrays) == ["x", "label"]
    np.testing.assert_array_equal(arrays["x"], X)


def test_a_folder_is_mapped(tmp_path: Path) -> None:
    arrays = open_data(folder(tmp_path / "data")).select(WANTED)
    assert isinstance(arrays["x"], np.memmap)
    np.testing.assert_array_equal(arrays["label"], LABEL)


def test_a_single_array_is_the_single_input(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", X)
    np.testing.assert_array_equal(open_data(tmp_path / "data.npy").select({"x": WANTED["x"]})["x"], X)
    assert fault(tmp_path / "data.npy").code == "E0718"


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("x.0, x.1,label,name\n1,2.5,0,7\n3,4,2,8\n")
    wanted = {"x": TensorType.of("f32", [2, 2]), "label": TensorType.of("i64", [2]), "name": TensorType.of("f32", [2])}
    arrays = open_data(path).select(wanted)
    np.testing.assert_array_equal(arrays["x"], np.array([[1, 2.5], [3, 4]], np.float32))
    assert {name: a.dtype.name for name, a in arrays.items()} == {"x": "float32", "label": "int64", "name": "float32"}


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"x": pyarrow.array(X.tolist(), pyarrow.list_(pyarrow.float32())), "label": LABEL})
    pyarrow.parquet.write_table(table, tmp_path / "data.parquet")
    arrays = open_data(tmp_path / "data.parquet").select(WANTED)
    np.testing.assert_array_equal(arrays["x"], X)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("", "E0717", "the table is empty"),
        ("x,label\n1\n", "E0717", "row 2 has 1 columns, but the first line names 2"),
        ("x,label\n1,2\n3,cat\n", "E0718", "row 3 of the column `label` holds 'cat', not a number"),
        ("x,label\n1,2\n3,0.5\n", "E0718", "row 3 of the column `label` holds 0.5, which i64 can't represent"),
        (f"x,label\n1,{'9' * 30}\n", "E0718", "row 2 of the column `label` holds 1e+30, which i64 can't represent"),
        ("x,label\n1e39,2\n", "E0718", "row 2 of the column `x` holds 1e+39, which f32 can't represent"),
        (
            "x,label\n" + "9" * 400 + ",2\n",
            "E0718",
            "row 2 of the column `x` holds '" + "9" * 100 + "', which is too large",
        ),
        ("x,lable\n1,2\n", "E0718", "`label` is missing from the data"),
    ],
)
def test_tables_that_do_not_fit(tmp_path: Path, text: str, code: str, message: str) -> None:
    path = tmp_path / "data.csv"
    path.write_text(text)
    found = fault(path)
    assert (found.code, found.message) == (code, message)


def test_what_is_missing_is_listed_with_what_is_there(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", images=X, lable=LABEL)
    found = fault(tmp_path / "data.npz")
    assert found.message == "2 arrays are missing from the data"
    assert found.details == ("x: f32[3, 4]", "label: i64[3] (is it `lable`?)")
    assert found.help == "the data has: `images` (f32[3, 4]), `lable` (i64[3])"


def test_python_objects_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{}, []], object))
    assert "Python objects" in fault(tmp_path / "x.npy").message


def test_files_that_are_not_whole(tmp_path: Path) -> None:
    path = folder(tmp_path / "data") / "x.npy"
    os.truncate(path, path.stat().st_size - 4)
    with pytest.raises(RunError, match=r"x\.npy should hold f32\[3, 4\], but is truncated"):
        open_data(tmp_path / "data")


def test_what_ends_the_process_that_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some damaged parquet files do, by `std::terminate`."""
    monkeypatch.setattr(parquet, "CHILD", "import os; os.abort()")
    (tmp_path / "data.parquet").write_bytes(b"PAR1")
    assert "the process that read it crashed (signal 6)" in fault(tmp_path / "data.parquet").message


def test_a_table_with_one_long_field(tmp_path: Path) -> None:
    """Its memory is that of the text, not rows times the longest field."""
    path = tmp_path / "data.csv"
    path.write_text("x\n" + "1\n" * 50_000 + "1" * 100_000)
    tracemalloc.start()
    found = fault(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "row 50002 of the column `x` holds '111" in found.message
    assert peak < 50_000_000


@pytest.mark.parametrize("name", ["nothing.npz", "nothing.csv", "nothing", "data.h5"])
def test_other_files(tmp_path: Path, name: str) -> None:
    (tmp_path / "data.h5").write_bytes(b"")
    assert fault(tmp_path / name).code == "E0717"


@pytest.mark.parametrize("kind", ["npz", "npy", "csv"])
def test_any_damage_is_an_error_or_harmless(tmp_path_factory: pytest.TempPathFactory, kind: str) -> None:
    path = tmp_path_factory.mktemp("damage") / f"x.{kind}"
    if kind == "npz":
        np.savez_compressed(path, x=X)
    elif kind == "npy":
        np.save(path, X)
    else:
        path.write_text("x.0,x.1\n" + "1.5,2\n" * 9)
    whole = path.read_bytes()

    @given(cut=st.integers(0, len(whole)), place=st.integers(0, len(whole) - 1), byte=st.integers(0, 255))
    def check(cut: int, place: int, byte: int) -> None:
        path.write_bytes((whole[:place] + bytes([byte]) + whole[place + 1 :])[: cut or None])
        with suppress(RunError):
            for array in open_data(path).values():
                assert array.dtype != object

    check()
