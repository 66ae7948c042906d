"""The page of the picture in VS Code's panel, in Chromium."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.golden import ROOT
from tests.node.serving import CHROMIUM, serving
from wsdl import api

MEDIA = ROOT / "editors/vscode/media"
chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
pytestmark = [
    pytest.mark.skipif(chromium is None, reason="no Chromium on the PATH"),
    pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed"),
    pytest.mark.skipif(
        not (ROOT / "tests/node/node_modules").is_dir(), reason="not set up: make tests/node/node_modules"
    ),
]


def test_a_click_on_a_shared_tensor_lights_its_uses(tmp_path: Path) -> None:
    api.write_picture(api.graph(str(ROOT / "examples/lm.wsd")), str(tmp_path / "picture.svg"))
    (tmp_path / "index.html").write_text(
        '<!DOCTYPE html><link rel="icon" href="data:,"><link rel="stylesheet" href="media/picture.css">'
        '<pre id="error" hidden></pre><main id="picture"></main>'
        "<script>sent = []; acquireVsCodeApi = () => ({ postMessage: (m) => sent.push(m) })</script>"
        '<script src="media/picture.js"></script>',
        "utf-8",
    )
    with serving({"/": tmp_path, "/media/": MEDIA}) as address:
        command = ["node", str(ROOT / "tests/editors/picture.mjs"), str(chromium), f"{address}/", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["cursor"] == ["tok"]
    assert seen["uses"] == ["embedding", "head", "tok"]
    assert seen["siblings"] == ["embedding", "head", "tok"]
    assert (seen["cleared"], seen["kept"]) == ([], 1)
    assert seen["sent"] == [{"loaded": True}, {"name": "embedding"}, {"name": "head"}]
