"""Paths lead through other names of a layer: those of arrays, of `layer g = f`, and of a configuration."""

from __future__ import annotations

import pytest

from tests.stages import storage_of
from wsdl.diagnostics.span import Source

PROGRAM = """\
layer top = Dense(4, bias=false)
layer tops = [top, Dense(4, bias=false)]
layer same = tops[1]
model m(x: f32[n, 4]) -> (y: f32[n, 4]) {
    layer f = Dense(4, bias=false)
    layer g = Dense(4, bias=false)
    layer all = [f, Dense(4, bias=false), g]
    layer twice = [g] * 2 + [Dense(4, bias=false)]
    layer last = all[-1]
    layer inside = Residual(f)
    layer chain = Sequential([relu, f, Dense(4, bias=false)])
    layer given = Sequential(all)
    for one in all + twice {
        x = one(x)
    }
    IN_MODEL
    return x |> last |> inside |> chain |> given |> tops[0] |> same
}
IN_FILE
"""
ALL = ["top", "tops[1]", "m.f", "m.g", "m.all[1]", "m.twice[2]", "m.chain.layers[2]"]  # the layers with parameters


@pytest.mark.parametrize(
    ("statement", "members"),
    [
        ("share { all[*] }", "m.f m.all[1] m.g"),
        ("share { all[1:] }", "m.all[1] m.g"),
        ("share { twice[*] }", "m.g m.twice[2]"),
        ("share { twice[0].weight, f.weight.T }", "m.g m.f"),
        ("share { last, f }", "m.g m.f"),
        ("share { inside.inner.weight, all[1].weight }", "m.f m.all[1]"),
        ("share { chain.layers[1:] }", "m.f m.chain.layers[2]"),
        ("share { given.layers[*] }", "m.f m.all[1] m.g"),
        ("share { all[i], chain.layers[2] } for i in [0, 2]", "m.f m.g m.chain.layers[2]"),
        ("freeze all[0]", "m.f"),
        ("freeze all[1], last", "m.all[1] m.g"),
        ("freeze twice", "m.g m.twice[2]"),
        ("freeze chain.layers", "m.f m.chain.layers[2]"),
        ("file: share { tops[*] }", "top tops[1]"),
        ("file: share { same, m.given.layers[0] }", "tops[1] m.f"),
        ("file: freeze tops[1]", "tops[1]"),
    ],
)
def test_what_is_meant(statement: str, members: str) -> None:
    where = "IN_FILE" if statement.startswith("file: ") else "IN_MODEL"
    text = PROGRAM.replace(where, statement.removeprefix("file: ")).replace("IN_FILE", "").replace("IN_MODEL", "")
    storage = storage_of(Source("m.wsd", text))
    assert {slot.path for slot in storage.checked.slots()} == {f"{layer}.weight" for layer in ALL}
    read = {name: [slot.path.removesuffix(".weight") for slot in slots] for name, slots in storage.readers.items()}
    if "freeze" in statement:
        meant = [layer for name, layers in read.items() if storage.stored[name].frozen for layer in layers]
    else:
        meant = max(read.values(), key=len)
    assert sorted(meant) == sorted(members.split())
