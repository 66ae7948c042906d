"""Neovim with the files of `editors/neovim`: colors, diagnostics of `wsdl lsp` while one types, formatting."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden import ROOT

pytestmark = [
    pytest.mark.skipif(shutil.which("nvim") is None, reason="Neovim is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("pygls") is None, reason="the extra `lsp` is not installed"),
]
TEXT = """\
## One layer.
model m(x: f32[n, 8]) -> [n, 8] {
    layer block = Dense(8, bias=true)
    return   block( y)
}
"""
COLORS = {  # line and pattern -> group
    (1, "One"): "wsdlDocumentation",
    (2, "model"): "wsdlKeyword",
    (2, "f32"): "wsdlType",
    (3, "layer"): "wsdlKeyword",
    (3, "block"): "wsdlName",
    (3, "Dense"): "wsdlStandardBlock",
    (3, "8"): "wsdlNumber",
    (3, "true"): "wsdlConstant",
    (4, "return"): "wsdlKeyword",
}


def test_a_program_in_neovim(tmp_path: Path) -> None:
    (tmp_path / "a.wsd").write_text(TEXT, "utf-8")
    command = tmp_path / "wsdl"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m wsdl "$@"\n', "utf-8")
    command.chmod(0o755)
    seen = tmp_path / "seen.json"
    start = [
        "--cmd",
        f"set runtimepath^={ROOT / 'editors/neovim'} noswapfile",
        "--cmd",
        "filetype plugin on | syntax on",
    ]
    subprocess.run(
        [
            "nvim",
            "--headless",
            "-u",
            "NORC",
            "-i",
            "NONE",
            *start,
            "a.wsd",
            "-c",
            f"luafile {ROOT}/tests/editors/neovim.lua",
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(tmp_path),
            "PLACES": json.dumps([*COLORS]),
            "SEEN": str(seen),
        },
        check=True,
        capture_output=True,
        timeout=120,
    )
    found = json.loads(seen.read_text("utf-8"))
    assert (found["filetype"], found["comment"]) == ("wsdl", "# %s")
    assert dict(zip(COLORS, found["colors"], strict=True)) == COLORS
    assert [one[:3] for one in found["diagnostics"]] == [[4, 21, "E0201"]]
    assert "there is no `y` in scope" in found["diagnostics"][0][3]
    assert "x: f32[n, 8]" in found["hover"]
    assert found["quickfix"] == [["a.wsd", 4, 21, "e", "there is no `y` in scope (not bound before this)"]]
    assert found["mended"]
    assert found["members"] == [[3, 11], [4, 12], [4, 18]]
    assert found["cursor"][1:3] == [3, 11]
    assert found["formatted"] == TEXT.replace("return   block( y)", "return block(x)").splitlines()
