"""`wsdl check`: its formats, its exit codes, several files, stdin, shapes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import TIED, WRONG, Wsdl


def test_a_clean_file_says_nothing(wsdl: Wsdl) -> None:
    done = wsdl("check", "tied.wsd", "two.wsd")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_findings_go_to_stdout_and_give_1(wsdl: Wsdl) -> None:
    done = wsdl("check", "wrong.wsd")
    assert done.code == 1
    assert "did you mean" in done.out
    assert "wrong.wsd:2:12" in done.out
    assert "1 error" in done.out
    assert done.err == ""


def test_warnings_alone_are_clean(wsdl: Wsdl) -> None:
    limited = TIED.replace("n, 64", "t, n, 64").replace("    layer encode", "    limit macs 1\n    layer encode", 1)
    Path("warned.wsd").write_text(limited)
    done = wsdl("check", "warned.wsd", "--json")
    assert {d["severity"] for d in done.json["diagnostics"]} == {"warning"}
    assert done.code == 0


@pytest.mark.parametrize("flags", [["--json"], ["--output-format", "json"], ["--output-format=json"]])
def test_json(wsdl: Wsdl, flags: list[str]) -> None:
    done = wsdl("check", "wrong.wsd", *flags)
    assert done.code == 1
    [found] = done.json["diagnostics"]
    assert (found["severity"], found["file"], found["line"], found["column"]) == ("error", "wrong.wsd", 2, 12)
    assert set(found) >= {"code", "message", "end_line", "end_column", "labels", "help", "fix"}
    assert wsdl("check", "tied.wsd", *flags).json == {"format_version": 1, "diagnostics": []}


@pytest.mark.parametrize("file", ["nowhere.wsd", ".", "latin.wsd"])
@pytest.mark.parametrize("form", ["full", "concise", "json", "github", "sarif"])
def test_a_file_that_cannot_be_read_gives_2_in_every_format(wsdl: Wsdl, file: str, form: str) -> None:
    Path("latin.wsd").write_bytes(b"# caf\xe9\n")
    done = wsdl("check", "wrong.wsd", file, "--output-format", form)
    assert done.code == 2
    assert "E0702" in done.out if file == "latin.wsd" else "E0701" in done.out
    assert done.err == ""


def test_other_formats(wsdl: Wsdl) -> None:
    assert wsdl("check", "wrong.wsd", "--output-format", "concise").out.startswith("wrong.wsd:2:12: error[")
    assert wsdl("check", "wrong.wsd", "--output-format", "github").out.startswith("::error file=wrong.wsd,line=2")
    assert json.loads(wsdl("check", "wrong.wsd", "--output-format", "sarif").out)["version"] == "2.1.0"


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "weights.npz"],
        ["fmt", "weights.npz"],
        ["graph", "weights.npz"],
        ["compile", "weights.npz", "-o", "build"],
        ["run", "weights.npz", "--input", "x.npz"],
        ["train", "weights.npz", "--data", "d.npz", "-o", "run"],
        ["study", "weights.npz", "--data", "d.npz", "--eval", "e.npz", "-o", "run"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_file_of_another_kind(wsdl: Wsdl, arguments: list[str]) -> None:
    np.savez("weights.npz", w=np.zeros(3))
    done = wsdl(*arguments)
    assert done.code == 2
    assert "a .npz file isn't a program" in done.out + done.err


def test_stdin(wsdl: Wsdl) -> None:
    assert wsdl("check", "-", stdin=TIED.encode()).code == 0
    assert "<stdin>:2:12" in wsdl("check", "-", stdin=WRONG.encode()).out
    assert wsdl("check", "-", "--json", stdin=b"\xff").codes == ["E0702"]


def test_what_two_files_import_is_reported_once(wsdl: Wsdl) -> None:
    Path("part.wsd").write_text("block Part()(x: [n, d]) -> [n, d] {\n    return rellu(x)\n}\n")
    for name in ("a", "b"):
        Path(f"{name}.wsd").write_text('from "./part.wsd" import Part\n\n' + TIED.replace("relu", "Part()"))
    assert len(wsdl("check", "a.wsd", "b.wsd", "--json").codes) == 1


def test_shapes(wsdl: Wsdl) -> None:
    Path("m.wsd").write_text(
        "block Half()(x: [n, d]) -> [n, d // 2] {\n    y = x |> Dense(d // 2)\n    return y\n}\n"
        "model m(x: f32[n, 8]) -> (y: f32[n, 4]) {\n    layer half = Half()\n    z = half(x)\n    return z\n}\n"
    )
    assert (
        wsdl("check", "m.wsd", "--shapes").out == "m\n    x  f32[n, 8]\n    z  f32[n, 4]\nm.half\n    y  f32[n, 4]\n\n"
    )
    shapes = wsdl("check", "m.wsd", "--shapes", "--json").json["shapes"]
    assert shapes[0] == {
        "layer": "m", "name": "x", "dtype": "f32", "shape": ["n", 8], "file": "m.wsd", "line": 5, "column": 9,
    }  # fmt: skip
    assert "f32[2, 8]" in wsdl("check", "m.wsd", "--shapes", "--dim", "n=2").out


@pytest.mark.parametrize(
    ("dim", "code"), [("n=2", None), ("m=2", "E0706"), ("n=0", "E0704"), ("n", "E0704"), ("n=x", "E0704")]
)
def test_dims(wsdl: Wsdl, dim: str, code: str | None) -> None:
    done = wsdl("check", "tied.wsd", "--dim", dim, "--json")
    assert done.codes == ([code] if code else [])
    assert done.code == (2 if code else 0)


LOADING = """\
model m(x: f32[n, 4]) -> (y: f32[n, 2]) {
    layer f = Dense(2)
    return f(x)
}

load "weights.npz" into m.f
"""


def test_a_load_is_held_against_its_file(wsdl: Wsdl) -> None:
    Path("loading.wsd").write_text(LOADING)
    done = wsdl("check", "loading.wsd", "--json")
    assert (done.code, done.codes) == (0, ["N0502"])
    np.savez("weights.npz", weight=np.zeros((2, 4), "f4"), bias=np.zeros(3, "f4"))
    done = wsdl("check", "loading.wsd", "--json")
    assert (done.code, done.codes) == (1, ["E0508"])
    np.savez("weights.npz", weight=np.zeros((2, 4), "f4"), bias=np.zeros(2, "f4"))
    assert wsdl("check", "loading.wsd").code == 0


def test_the_work_of_one_sample_is_limited(wsdl: Wsdl) -> None:
    Path("limited.wsd").write_text(TIED.replace("    layer encode", "    limit macs 2_047\n    layer encode", 1))
    done = wsdl("check", "limited.wsd")
    assert done.code == 1
    assert "takes 2,048 multiplications for each `n`, which is 1 over its limit" in done.out
