"""WSDL from Python."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import numpy as np
import onnx
import pytest

import wsdl
from tests.cli.conftest import TIED, TWO, WRONG
from wsdl.onnx import folder

X = np.linspace(-1, 1, 3 * 64, dtype=np.float32).reshape(3, 64)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tied.wsd").write_text(TIED)
    Path("two.wsd").write_text(TWO)


def test_everything_public_is_there_and_documented() -> None:
    for name in wsdl.__all__:
        thing = getattr(wsdl, name)
        assert name == "__version__" or inspect.getdoc(thing)
    assert set(wsdl.__all__) <= set(dir(wsdl))
    with pytest.raises(AttributeError, match="has no attribute 'complie'"):
        wsdl.complie  # noqa: B018 - the access is what fails


@pytest.mark.parametrize("given", ["tied.wsd", Path("tied.wsd"), TIED])
def test_a_program_from_a_path_or_a_text(given: str | Path) -> None:
    program = wsdl.compile(given)
    assert list(program.models) == ["m"]
    assert {name: str(type) for name, type in program.models["m"].inputs.items()} == {"x": "f32[n, 64]"}
    assert {name: str(type) for name, type in program.models["m"].outputs.items()} == {"y": "f32[n, 64]"}
    assert program.session()(x=X)["y"].shape == (3, 64)
    assert "m" in repr(program)


def test_the_threads_of_a_session() -> None:
    session = wsdl.compile("tied.wsd").session(threads=3)
    assert session._session.get_session_options().intra_op_num_threads == 3


def test_what_is_stored_decides_what_is_computed() -> None:
    program = wsdl.compile("tied.wsd")
    w, b, c = (program.stored[f"m.{name}"] for name in ("encode.weight", "encode.bias", "decode.bias"))
    expected = np.maximum(X @ w.T + b, 0) @ w + c
    assert np.allclose(program.session("m")(x=X)["y"], expected, atol=1e-5)
    with pytest.raises(TypeError):
        program.stored["m.encode.weight"] = w  # type: ignore[index] # which is the mistake


def test_the_seed() -> None:
    one, same, other = (wsdl.compile("tied.wsd", seed=seed).stored["m.encode.weight"] for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("name", ["m.encode.weight", "encode.weight", "m.decode.weight", "decode.weight"])
def test_weights_by_any_name(name: str) -> None:
    w = np.arange(16 * 64, dtype=np.float32).reshape(16, 64)
    given = {name: w.T if "decode" in name else w}
    program = wsdl.compile("tied.wsd", weights=given, partial=True)
    assert np.array_equal(program.stored["m.encode.weight"], w)
    assert program.drawn == {"m.encode.bias", "m.decode.bias"}
    plain = wsdl.compile("tied.wsd")
    assert np.array_equal(plain.session(weights=given, partial=True)(x=X)["y"], program.session()(x=X)["y"])
    assert not np.array_equal(plain.stored["m.encode.weight"], w)  # a session's weights are its own


def test_weights_from_a_file() -> None:
    values = dict(wsdl.compile("tied.wsd", seed=3).stored)
    np.savez("w.npz", **values)  # type: ignore[arg-type] # its second parameter is a flag
    program = wsdl.compile("tied.wsd", weights="w.npz")
    assert program.drawn == frozenset()
    assert all(np.array_equal(program.stored[name], values[name]) for name in values)


def test_findings_are_carried() -> None:
    with pytest.raises(wsdl.CompileError) as raised:
        wsdl.compile(WRONG)
    [found] = raised.value.diagnostics
    assert isinstance(found, wsdl.Diagnostic)
    assert found.span is not None
    assert (found.span.line, found.severity) == (2, "error")
    assert wsdl.check(WRONG)[0].code == found.code
    assert wsdl.check("tied.wsd") == []
    assert [d.code for d in wsdl.check("nowhere.wsd")] == ["E0701"]


def test_warnings_stay_with_the_program() -> None:
    program = wsdl.compile(
        TIED.replace("n, 64", "t, n, 64").replace("    layer encode", "    limit macs 1\n    layer encode", 1)
    )
    assert [d.severity for d in program.diagnostics] == ["warning"]


@pytest.mark.parametrize("name", [None, "embedd"])
def test_a_model_that_is_not_there(name: str | None) -> None:
    with pytest.raises(wsdl.CompileError, match="E0705"):
        wsdl.compile("two.wsd").session(name)


def test_an_opset_that_is_not_written() -> None:
    with pytest.raises(wsdl.CompileError, match="from 18 to 25"):
        wsdl.compile("tied.wsd", opset=9)


def test_the_layout() -> None:
    assert wsdl.format("let   a=1") == "let a = 1\n"
    with pytest.raises(wsdl.CompileError):
        wsdl.format("model (")


def test_saving_one_model() -> None:
    assert wsdl.compile("tied.wsd").models["m"].save("a/b/m.onnx") == [Path("a/b/m.onnx")]
    onnx.checker.check_model("a/b/m.onnx", full_check=True)


def test_saving_and_loading_a_folder() -> None:
    program = wsdl.compile("two.wsd")
    manifest = program.save("build")
    assert set(manifest["models"]) == {"embed", "classify"}
    loaded = wsdl.load("build")
    for name, session in loaded.items():
        [expected] = program.session(name)(x=X[:, :32]).values()
        [output] = session(x=X[:, :32]).values()
        assert np.allclose(output, expected, atol=1e-6)


def test_a_large_model_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    program = wsdl.compile("tied.wsd")
    expected = program.session()(x=X)["y"]
    monkeypatch.setattr(folder, "INLINE", 100)
    assert np.array_equal(program.session()(x=X)["y"], expected)
    assert program.models["m"].save("m.onnx") == [Path("m.onnx"), Path("m.onnx.data")]


def test_what_is_no_compiled_folder() -> None:
    Path("bad").mkdir()
    Path("bad/manifest.json").write_text("{}")
    for place in ("nowhere", ".", "tied.wsd", "bad"):
        with pytest.raises(wsdl.CompileError, match="E0701"):
            wsdl.load(place)
    assert os.listdir("bad") == ["manifest.json"]
    for text in ("[]", "1", "{", "[" * 10**5, '{"models": [1], "files": []}', '{"models": ["../m"], "files": []}',
                 '{"models": ["m"], "files": [1]}', '{"models": 1, "files": ["m.onnx"]}'):  # fmt: skip
        Path("bad/manifest.json").write_text(text)
        with pytest.raises(wsdl.CompileError, match="E0701"):
            wsdl.load("bad")
    os.remove("bad/manifest.json")
    os.mkfifo("bad/manifest.json")
    with pytest.raises(wsdl.CompileError, match="it is not a file"):
        wsdl.load("bad")
