"""Emacs with `wsdl-mode.el`: it compiles without a warning, colors, and indents as the formatter does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.golden import ROOT

MODE = ROOT / "editors/emacs/wsdl-mode.el"
PROGRAM = ROOT / "examples/lm.wsd"
FACES = {
    "let": "keyword",
    "block": "keyword",
    "Block": "function-name",
    "int": "type",
    "layer": "keyword",
    "attn": "variable-name",
    "Attention": "type",
    "true": "constant",
    "## A language": "comment",
    "share embedding { tok.weight": "none",  # a part of a path is no keyword
    "i in": "keyword",
    "loss": "keyword",
    "cross_entropy": "builtin",
}
pytestmark = pytest.mark.skipif(shutil.which("emacs") is None, reason="Emacs is not installed")


def _emacs(*arguments: str, **environment: str) -> str:
    command = ["emacs", "--batch", "-Q", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_program_in_emacs() -> None:
    seen = json.loads(
        _emacs(
            *("-l", str(ROOT / "tests/editors/emacs.el")),
            MODE=str(MODE),
            PROGRAM=str(PROGRAM),
            PLACES=json.dumps([*FACES]),
        )
    )
    assert seen["mode"] == "wsdl-mode"
    faces = [face.removeprefix("font-lock-").removesuffix("-face") for face in seen["faces"]]
    assert dict(zip(FACES, faces, strict=True)) == FACES
    assert seen["text"] == PROGRAM.read_text("utf-8")


def test_it_compiles(tmp_path: Path) -> None:
    source = str(shutil.copy(MODE, tmp_path))
    _emacs("--eval", "(setq byte-compile-error-on-warn t)", "-f", "batch-byte-compile", source)
