"""A real editor: Neovim without a window, with the configuration of docs/editors.md."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "editors.md"
WAIT = """
vim.wait(30000, function() return #vim.diagnostic.get(0) > 0 end, 20)
local params = vim.lsp.util.make_position_params()
local hover = vim.lsp.buf_request_sync(0, "textDocument/hover", params, 30000)
local _, answer = next(hover)
local shown = { vim.diagnostic.get(0)[1].message, answer.result.contents.value }
vim.fn.writefile({ vim.json and vim.json.encode(shown) or vim.fn.json_encode(shown) }, "shown.json")
vim.cmd("qall!")
"""


@pytest.mark.skipif(shutil.which("nvim") is None, reason="Neovim is not installed")
def test_neovim(tmp_path: Path) -> None:
    configuration = re.findall(r"```lua\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[-1]
    (tmp_path / "init.lua").write_text(configuration, encoding="utf-8")
    (tmp_path / "wait.lua").write_text(WAIT, encoding="utf-8")
    (tmp_path / "m.wsd").write_text("model m(x: f32[n, 4]) -> (y: f32[n, 4]) {\n    return rellu(x)\n}\n")
    wsdl = tmp_path / "wsdl"
    wsdl.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m wsdl "$@"\n')
    wsdl.chmod(0o755)
    paths = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(PAGE.parents[1]), "HOME": str(tmp_path)}
    command = ["nvim", "--headless", "-n", "-u", "init.lua", "m.wsd", "+call cursor(1, 9)", "+luafile wait.lua"]
    subprocess.run(command, cwd=tmp_path, env=os.environ | paths, timeout=60, check=True, stdin=subprocess.DEVNULL)
    message, hover = json.loads((tmp_path / "shown.json").read_text(encoding="utf-8"))
    assert message.startswith("there is no `rellu` in scope")
    assert "x: f32[n, 4]" in hover
