"""`wsdl run` on parquet files, into a folder of them: each row once, other columns kept, nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.cli.conftest import Wsdl
from tests.golden import Golden
from wsdl.runtime import parts

GOLDEN = Path(__file__).parent / "golden" / "rows.txt"
ROWS = 300
X = np.random.default_rng(0).standard_normal((ROWS, 4)).astype(np.float32)
IDS = [f"row {i}" for i in range(ROWS)]
PROGRAM = """\
model m(x: f32[n, 4], scale: f32[n]) -> (y: f32[n, 2, 2], best: i64[n]) {
    h = x |> Dense(4)
    return reshape(h * reshape(scale, [n, 1]), [n, 2, 2]), argmax(h, axis=1)
}
"""
SEQUENCES = "model s(x: f32[n, t]) -> (y: f32[n, t]) {\n    return relu(x)\n}\n"
AVERAGE = "model average(x: f32[n, 4]) -> (y: f32[4]) {\n    return mean(x, axis=0)\n}\n"
WHOLE = "model w(x: f32[n, 4], mask: f32[4]) -> (y: f32[n, 4]) {\n    return x * mask\n}\n"


def column(array: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), array.shape[1])


def write(path: str, **columns: object) -> None:
    parquet.write_table(pa.table(columns), path, row_group_size=70)


@pytest.fixture(autouse=True)
def files(wsdl: Wsdl) -> None:
    for name, text in (("m", PROGRAM), ("s", SEQUENCES), ("w", WHOLE), ("average", AVERAGE)):
        Path(f"{name}.wsd").write_text(text, encoding="utf-8")
    write("rows.parquet", id=IDS, x=column(X), scale=X[:, 0], other=column(X))
    Path("rows").mkdir()
    for i, (start, stop) in enumerate([(0, 1), (1, 1), (1, 200), (200, ROWS)]):
        some = slice(start, stop)
        write(f"rows/{i}.parquet", id=pa.array(IDS[some], pa.string()), x=column(X[some]), scale=X[some, 0],
              other=column(X[some]))  # fmt: skip
    Path("rows/.hidden.parquet").write_text("not read")


@pytest.mark.parametrize("data", ["rows.parquet", "rows"])
def test_results(wsdl: Wsdl, data: str) -> None:
    """They are those of arrays; the file or its pieces make no difference."""
    done = wsdl("run", "m.wsd", "--input", data, "-o", "out", "--batch", "64")
    assert done.code == 0
    assert done.err.startswith("300 rows\n")
    names = sorted(os.listdir("out"))
    assert done.err.endswith(f"wrote 300 rows to {len(names)} files in out\n")
    assert names == [f"part-{i:05}.parquet" for i in range(len(names))]
    table = parquet.read_table("out")
    assert table.schema.names == ["id", "other", "y", "best"]
    assert table["id"].to_pylist() == IDS
    np.savez("x.npz", x=X, scale=X[:, 0])
    assert wsdl("run", "m.wsd", "--input", "x.npz", "-o", "y.npz").code == 0
    expected = np.load("y.npz")
    np.testing.assert_allclose(np.array(table["y"].to_pylist()), expected["y"], atol=1e-6)
    np.testing.assert_array_equal(table["best"], expected["best"])
    assert sorted(os.listdir()) == sorted({*os.listdir()} - {".out.part"})


def test_json_and_an_onnx_file(wsdl: Wsdl) -> None:
    """The files are the same from both, byte for byte."""
    assert wsdl("compile", "m.wsd", "-o", "build", "--no-proof").code == 0
    answer = wsdl("run", "build/m.onnx", "--input", "rows", "-o", "a", "--threads", "1", "--json").json
    assert (answer["rows"], answer["diagnostics"]) == (ROWS, [])
    assert answer["outputs"] == [{"name": "y", "type": "f32[n, 2, 2]"}, {"name": "best", "type": "i64[n]"}]
    assert wsdl("run", "m.wsd", "--input", "rows", "-o", "b", "--threads", "1").code == 0
    assert [Path(file).read_bytes() for file in answer["files"]] == [
        p.read_bytes() for p in sorted(Path("b").iterdir())
    ]


def test_large_outputs_are_several_row_groups(wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "GROUP_BYTES", 1)
    assert wsdl("run", "m.wsd", "--input", "rows.parquet", "-o", "out", "--batch", "1").code == 0
    assert parquet.ParquetFile("out/part-00000.parquet").num_row_groups == 5
    assert parquet.read_table("out")["id"].to_pylist() == IDS


def test_no_rows_and_replacing(wsdl: Wsdl) -> None:
    write("empty.parquet", x=column(X[:0]), scale=X[:0, 0], id=pa.array([], pa.string()))
    for arguments in (["rows.parquet"], ["empty.parquet", "--replace"]):
        assert wsdl("run", "m.wsd", "--input", *arguments, "-o", "out").code == 0
    assert os.listdir("out") == ["part-00000.parquet"]
    table = parquet.read_table("out")
    assert (table.num_rows, table.schema.names) == (0, ["id", "y", "best"])


@pytest.mark.parametrize("had_results", [False, True])
def test_nothing_is_left_of_a_run_that_fails(wsdl: Wsdl, had_results: bool) -> None:
    """Here at rows in its middle; what it would have replaced stays."""
    ragged = pa.array([[1.0] * (3 if i == 200 else 2) for i in range(ROWS)], pa.list_(pa.float32()))
    write("ragged.parquet", x=ragged)
    if had_results:
        write("good.parquet", x=column(X))
        wsdl("run", "s.wsd", "--input", "good.parquet", "-o", "out")
    there = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    done = wsdl("run", "s.wsd", "--input", "ragged.parquet", "-o", "out", "--batch", "10", "--replace", "--json")
    assert done.codes == ["E0718"]
    assert done.json["diagnostics"][0]["details"] == ["in the rows 200 to 209"]
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == there


def test_leftovers_of_a_killed_run_are_removed(wsdl: Wsdl) -> None:
    shutil.copytree("rows", ".out.part/contents")
    shutil.copytree("rows", ".out.part/old")
    assert wsdl("run", "m.wsd", "--input", "rows.parquet", "-o", "out").code == 0
    assert not Path(".out.part").exists()
    assert len(parquet.read_table("out")) == ROWS


REFUSED = {
    "missing columns": ["m.wsd", "--input", "few.parquet"],
    "a wrong dtype": ["m.wsd", "--input", "wide.parquet"],
    "a wrong shape": ["m.wsd", "--input", "long.parquet"],
    "a column named like an output": ["m.wsd", "--input", "same.parquet"],
    "files that differ": ["m.wsd", "--input", "mixed"],
    "an input without rows": ["w.wsd", "--input", "rows.parquet"],
    "an output without rows": ["average.wsd", "--input", "rows.parquet"],
    "no file": ["m.wsd", "--input", "nowhere.parquet"],
    "other files in the folder": ["m.wsd", "--input", "rows.parquet", "-o", "rows", "--replace"],
    "results are there": ["m.wsd", "--input", "rows.parquet", "-o", "done"],
    "a file is there": ["m.wsd", "--input", "rows.parquet", "-o", "m.wsd", "--replace"],
    "workers for arrays": ["m.wsd", "--input", "x.npz", "--workers", "2"],
    "a cluster without workers": ["m.wsd", "--input", "rows.parquet", "--cluster", "head:6379"],
    "workers on a GPU": ["m.wsd", "--input", "rows.parquet", "--workers", "2", "--device", "cuda"],
    "no cluster there": ["m.wsd", "--input", "rows.parquet", "--workers", "2", "--cluster", "head"],
}


def test_what_is_refused(wsdl: Wsdl, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything has run; the exit code is 2, and nothing is written."""
    monkeypatch.setattr("wsdl.ray.cluster.find_spec", lambda name: object())
    write("few.parquet", image=column(X), scale=X[:, 0], id=IDS)
    write("wide.parquet", x=column(X.astype(np.float64)), scale=X[:, 0])
    write("long.parquet", x=column(np.hstack([X, X])), scale=X[:, 0])
    write("same.parquet", x=column(X), scale=X[:, 0], y=X[:, 1])
    for name in ("mixed", "done"):
        Path(name).mkdir()
    shutil.copy("rows.parquet", "mixed/a.parquet")
    shutil.copy("few.parquet", "mixed/b.parquet")
    shutil.copy("rows.parquet", "done/part-00000.parquet")
    np.savez("x.npz", x=X, scale=X[:, 0])
    there = sorted(map(str, Path().rglob("*")))
    said = ""
    for name, arguments in REFUSED.items():
        arguments = [*arguments, *([] if "-o" in arguments else ["-o", "out"])]
        done = wsdl("run", *arguments)
        assert (done.code, done.out) == (2, ""), name
        said += f"--- {name}\n$ wsdl run {' '.join(arguments)}\n{done.err}\n"
    golden(GOLDEN, said)
    assert sorted(map(str, Path().rglob("*"))) == there


def test_refused_as_json(wsdl: Wsdl) -> None:
    done = wsdl("run", "m.wsd", "--input", "rows.parquet", "-o", "m.wsd", "--json")
    assert [d["code"] for d in json.loads(done.out)["diagnostics"]] == ["E0724"]
