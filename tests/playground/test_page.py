"""The playground in Chromium: a visit of somebody new. What the page shows is what the compiler says."""

from __future__ import annotations

import fcntl
import gzip
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from playground.build import build
from tests.golden import ROOT
from tests.node.serving import serving
from tests.node.test_training import chromium, needs_chromium, run
from wsdl import api
from wsdl.api.inspection import stored_table, totals
from wsdl.diagnostics.span import Source
from wsdl.playground.link import files, link

PACKAGES = ROOT / "playground/node_modules"
pytestmark = [
    *needs_chromium,
    pytest.mark.skipif(not PACKAGES.is_dir(), reason="not set up: make playground/node_modules"),
]
SIAMESE = (ROOT / "examples/siamese.wsd").read_text("utf-8")
TWO = "model two(x: f32[n, 4]) -> f32[n, 4] {\n    return x |> relu\n}\n"
ARRIVED = "model arrived(x: f32[n, t, 4]) -> f32[n, t, 4] {\n    return x   |> Attention(2)\n}\n# 😀 é\n"
COMPLETED = "model m(x: f32[n, 8]) -> f32[n, 4] {\n    h = x\n    return h |> Dense(4)\n}"
PROGRAM = 'from "./base.wsd" import Trunk\n\n' + COMPLETED.replace("h = x", "h = Trunk()(x)")
TRUNK = "block Trunk()(x: f32[n, 8]) -> f32[n, 8] {\n    return x |> Dense(8) |> relu\n}\n"
PLACE = "/of/anyone/"
MESSAGE = "there is no rellu in scope (did you mean relu?)"


def built() -> Path:
    """The folder with the page. Of several processes one builds it."""
    folder = ROOT / "build/playground"
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / "playground.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        build(folder)
    return folder


def test_a_visit(tmp_path: Path) -> None:
    arriving, axe = link(ARRIVED), PACKAGES / "axe-core/axe.min.js"
    with serving({"/": tmp_path, PLACE: built()}) as address:
        seen = run("../playground/page.mjs", chromium, f"{address}{PLACE}", tmp_path, arriving, axe)

    assert seen["foreign"] == []
    assert seen["examples"] > 30
    assert seen["hints"] == [": f32[n, 32, 7, 7]", "105.2 k parameters", ": f32[n, 64]", ": f32[n, 64]"]
    assert seen["lenses"] == ["105.2 k parameters, 420.9 kB, 420.9 kB saved"]

    assert seen["fromPicture"]["uses"] == ["tower"] * 3
    assert "s0" in seen["fromPicture"]["nodes"]
    assert seen["fromPicture"]["said"] == "tower.conv2d: read by conv2d, conv2d"
    assert {"s0", "s1", "s2"} < set(seen["fromProgram"]["nodes"])
    assert seen["fromProgram"]["uses"] == ["tower"] * 3

    assert seen["kept"] == {"nodes": seen["fromPicture"]["nodes"], "uses": ["tower"] * 3}
    assert seen["ended"] == seen["late"] == []
    assert seen["stays"] == "tower.conv2d_2: read by conv2d_2, conv2d_2"

    assert seen["problem"]["list"] == [MESSAGE]
    assert seen["problem"]["fixes"] == ["Replace rellu by relu"]
    assert seen["problem"]["state"].startswith("1 error")
    assert seen["explained"].startswith("E0201")
    assert (seen["stale"], seen["notStale"]) == (True, False)
    assert seen["mended"] == seen["mendedByKeys"] == SIAMESE + TWO

    assert seen["focused"] == "tab-sharing"
    inventory = api.inspect(_file(tmp_path, SIAMESE + TWO))
    headers, rows, _ = stored_table(inventory)
    assert seen["cells"] == [list(headers), *([cell.strip() for cell in row] for row in rows)]
    assert seen["totals"] == list(totals(inventory))
    assert seen["formatted"] == api.format(Source("x.wsd", SIAMESE + TWO))

    assert files(seen["link"]["hash"]) == {"program.wsd": seen["link"]["text"]} == {"program.wsd": SIAMESE + TWO}
    assert seen["link"]["notice"] in (
        f"Copied a link of {len(seen['link']['href'])} characters",
        "The link is in the address bar",
    )
    assert seen["arrived"] == seen["draft"] == ARRIVED
    assert seen["download"] == ["lm.wsd", (ROOT / "examples/lm.wsd").read_text("utf-8")]

    assert seen["proposed"][0] == "Dense(units: int, bias: bool = true)"
    assert seen["documentation"].startswith("Dense(units: int, bias: bool = true)(x")
    assert seen["signature"][0].startswith("Dense(units: int, bias: bool = true)Affine map")
    assert seen["signature"][1] == "units: int"
    assert seen["completed"] == COMPLETED
    assert seen["defined"][0] == "dense.wsd, in the standard library"
    assert "\nblock Dense(units: int, bias: bool = true)(x" in seen["defined"][1]

    assert seen["files"] == [["siamese.wsd", "tower.wsd"], "siamese.wsd"]
    assert seen["renamed"] == TRUNK
    assert seen["elsewhere"] == ["tower.wsd:2:29"]
    both = {"siamese.wsd": PROGRAM, "base.wsd": TRUNK}
    assert seen["both"] == [["siamese.wsd", "base.wsd"], both]
    assert seen["nothing"] == [
        ["There is no model in base.wsd. What is shown here are models, with the blocks that they apply."],
        ["Show siamese.wsd"],
        False,
    ]
    assert seen["toModel"] == "siamese.wsd"
    assert files(seen["linkOfBoth"]) == both
    assert seen["zip"][0] == "siamese.zip"
    with ZipFile(BytesIO(b64decode(seen["zip"][1]))) as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == both
    assert seen["removed"][0] == ["siamese.wsd"]
    assert "base.wsd" in seen["removed"][1][0]
    assert seen["bothArrived"] == ["base.wsd", "siamese.wsd"]
    assert seen["replaced"] == ["Replaced base.wsd and 1 moreUndo", ["siamese.wsd"], SIAMESE]
    assert seen["broughtBack"] == [["base.wsd", "siamese.wsd"], "base.wsd", ""]
    assert seen["again"] == [["siamese.wsd"], True]
    assert seen["undone"] == [["base.wsd", "siamese.wsd"], both]
    assert seen["chosen"] == "siamese"

    assert (seen["phone"], seen["apart"]) == (360, True)
    assert seen["dark"] == "rgb(18, 20, 27)"
    assert seen["violations"] == seen["darkViolations"] == []


def test_without_the_snapshot(tmp_path: Path) -> None:
    """Where it can't be restored, Python starts anew."""
    for file in built().iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "snapshot.gz").unlink()
    (tmp_path / "snapshot.gz").write_bytes(gzip.compress(b"of another version"))
    with serving({"/": tmp_path}) as address:
        seen = run("../playground/anew.mjs", chromium, f"{address}/index.html")
    assert seen["state"] == "No problems"
    assert seen["warned"].startswith("the snapshot can't be restored")


def _file(folder: Path, text: str) -> Path:
    path = folder / "program.wsd"
    path.write_text(text, encoding="utf-8")
    return path
