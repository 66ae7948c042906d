"""The page of `wsdl graph -o g.html` in Chromium: a tensor and a layer are chosen, by the mouse and by the keyboard."""

from __future__ import annotations

from pathlib import Path

from tests.node.test_training import ROOT, chromium, needs_chromium, run
from wsdl import api

pytestmark = needs_chromium


def test_a_formula(tmp_path: Path) -> None:
    """What stands before a formula is lit through it, to the layers."""
    path = tmp_path / "delta.html"
    api.write_picture(api.graph(ROOT / "docs" / "pictures" / "delta.wsd"), path)
    seen = run("picture.mjs", chromium, path.as_uri(), tmp_path, "c0p0", "c0")
    assert seen["clicked"] == {"said": "4 tensors: read by ffn", "lit": ["c0", "c0p0", "n4"], "edges": 2}
    assert seen["layer"] == {"said": "Delta(rank=8): read by ffn", "lit": ["c0", "c0p0", "c0p1", "n4"], "edges": 3}


def test_a_visit(tmp_path: Path) -> None:
    path = tmp_path / "siamese.html"
    api.write_picture(api.graph(ROOT / "examples" / "siamese.wsd"), path)
    seen = run("picture.mjs", chromium, path.as_uri(), tmp_path, "s0", "n3")
    assert seen["requests"] == [path.as_uri()]
    assert seen["clicked"] == {"said": "tower.conv2d: read by conv2d, conv2d", "lit": ["n3", "n9", "s0"], "edges": 2}
    assert seen["ended"] == {"said": "", "lit": [], "edges": 0}
    assert seen["layer"] == {"said": "conv2d: reads tower.conv2d", "lit": ["n3", "s0"], "edges": 1}
