"""Layers and parameters of imported files: one for the whole program, with what their file says about them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.npz import save_npz
from tests.stages import storage_of
from wsdl import api
from wsdl.diagnostics.span import Source
from wsdl.ir.stages import Storage

TRUNK = """
let width = 4

layer trunk[2] = Dense(width)
layer other = Dense(3)
param scale: [width] = ones

block Head(units: int)(x: [n, d]) -> [n, units] {
    layer out = Dense(units)
    return x * scale |> trunk[0] |> trunk[1] |> out
}

share tied { trunk[0].weight, trunk[1].weight }
share { trunk[0].bias, other.bias }
load "weights/trunk.npz" into trunk[0] { "w" -> weight
    "b" -> bias }
load "weights/other.npz" into other
freeze trunk[1].bias, other
freeze tied
load trunk[0].bias into trunk[1].bias
"""
MODEL = "model m(x: f32[n, 4]) -> (y: f32[n, 2]) {{ return {0} }}"
MIDDLE = """
from "./trunk.wsd" import trunk
block Two()(x: [n, d]) -> [n, 2] {
    return x |> trunk[0] |> trunk[1] |> Dense(2)
}
freeze trunk
"""
ALONE = ["trunk.0.bias", "trunk.1.bias", "tied"]
PROGRAMS = {
    "layers by name": ('from "./parts/trunk.wsd" import trunk\n', "x |> trunk[0] |> trunk[1] |> Dense(2)", ALONE),
    "what a block needs": ('from "./parts/trunk.wsd" import Head\n', "Head(2)(x)", [*ALONE, "scale"]),
    "through another file": ('from "./parts/middle.wsd" import Two\n', "Two()(x)", ALONE),
    "named again": ('from "./parts/middle.wsd" import trunk\n', "x |> trunk[0] |> trunk[1] |> Dense(2)", ALONE),
    "twice": (
        'from "./parts/trunk.wsd" import trunk, Head\nfrom "./parts/middle.wsd" import Two\n',
        "Two()(x) + Head(2)(x |> trunk[0])",
        [*ALONE, "scale"],
    ),
    "a parameter": (
        'from "./parts/trunk.wsd" import scale, width\n', "x * scale |> Dense(width) |> Dense(2)", ["scale"]
    ),
    "one that is not applied": ('from "./parts/head.wsd" import head\n', "x |> Dense(2)", []),
    "none": ('from "./parts/trunk.wsd" import width\n', "x |> Dense(width) |> Dense(2)", []),
}  # fmt: skip


def storage(folder: Path, imports: str, value: str) -> Storage:
    (folder / "parts").mkdir()
    (folder / "parts" / "trunk.wsd").write_text(TRUNK, encoding="utf-8")
    (folder / "parts" / "head.wsd").write_text('layer head = Dense(4)\nload "head.npz" into head\n', encoding="utf-8")
    (folder / "parts" / "middle.wsd").write_text(MIDDLE, encoding="utf-8")
    return storage_of(Source(str(folder / "m.wsd"), imports + MODEL.format(value)))


@pytest.mark.parametrize(("imports", "value", "names"), PROGRAMS.values(), ids=PROGRAMS)
def test_what_a_program_has(imports: str, value: str, names: list[str], tmp_path: Path) -> None:
    stored = storage(tmp_path, imports, value)
    assert {name for name in stored.stored if not name.startswith("m.")} == set(names)
    has_trunk = "tied" in names
    assert [request.files for request in stored.checked.loads] == [("weights/trunk.npz",)] * has_trunk
    assert len(stored.checked.copies) == has_trunk
    frozen = {name for name, tensor in stored.stored.items() if tensor.frozen}
    assert frozen == (
        {"trunk.0.bias", "trunk.1.bias", "tied"} if "middle" in imports else {"trunk.1.bias", "tied"} & {*names}
    )


def test_its_files_are_beside_it(tmp_path: Path) -> None:
    storage(tmp_path, *PROGRAMS["twice"][:2])
    program = tmp_path / "m.wsd"
    program.write_text(PROGRAMS["twice"][0] + MODEL.format(PROGRAMS["twice"][1]), encoding="utf-8")
    weights = {"w": np.arange(16, dtype=np.float32).reshape(4, 4), "b": np.ones(4, np.float32)}
    (tmp_path / "parts" / "weights").mkdir()
    save_npz(tmp_path / "parts" / "weights" / "trunk.npz", weights)
    compiled = api.compile(program)
    np.testing.assert_array_equal(compiled.stored["tied"], weights["w"])
    np.testing.assert_array_equal(compiled.stored["trunk.0.bias"], compiled.stored["trunk.1.bias"])
