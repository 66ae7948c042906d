"""Ways of sharing: what is stored for `share as BLOCK`, what it starts as, and which paths mean it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import wsdl
from tests.stages import storage_of
from wsdl.diagnostics.span import Source
from wsdl.weights.initial_values import initial_values

BLOCKS = """
block Own()() -> [rows, columns] {
    param own: [rows, columns]
    return own
}

block Two()() -> [rows, columns] {
    shared param both: [2, rows, columns]
    return both[0] - both[1]
}

block Everywhere()(base: [rows, columns]) -> [rows, columns] {
    param a: [1, 1] = constant(axes)
    param b: [1, 1] = constant(member) per member nodecay
    shared param c: [members] = constant(rows)
    shared param d: [1] = constant(columns) per group
    return base * (a + b + c[member] + d)
}

block Halves()(base: [rows, columns]) -> [rows, columns] {
    param half: [rows, columns] = base / 2
    return base - half
}
"""
DENSE = """
model m(x: f32[n, 4]) {
    layer f[3] = Dense(4)
    %s
    for i in 0..3 {
        x = f[i](x)
    }
    return x
}
"""
TIED = """
model m(x: f32[n, 4]) {
    layer wide = Dense(8, bias=false)
    layer narrow = Dense(4, bias=false)
    %s
    return x |> wide |> narrow
}
"""
SCALARS = """
block Scale()(x: [n, d]) -> [n, d] {
    param by: [] = ones
    return x * by
}

model m(x: f64[n, 4]) {
    layer f[2] = Scale()
    %s
    return x |> f[0] |> f[1]
}
"""
KERNELS = """
model m(x: f32[n, 4, 8, 8]) {
    layer f[2] = Conv2d(4, kernel=3, pad=1)
    layer norm[2] = BatchNorm()
    %s
    return x |> f[0] |> norm[0] |> f[1] |> norm[1]
}
"""
BLOCKS_OF_LAYERS = """
block Layer()(x: [n, d]) -> [n, d] {
    layer a = Dense(d)
    layer b = Dense(d)
    %s
    return x |> a |> b
}

model m(x: f32[n, 4]) {
    layer f[2] = Layer()
    share { f[*] }
    return x |> f[0] |> f[1] |> f[0]
}
"""
EVERYWHERE = """
    m.f.0.weight f32[4, 4]
    m.f.0.weight.a f32[1, 1]
    m.f.0.b f32[1, 1] never
    m.f.1.weight.a f32[1, 1]
    m.f.1.b f32[1, 1] never
    m.f.2.weight.a f32[1, 1]
    m.f.2.b f32[1, 1] never
    m.f.0.bias f32[4]
    m.f.0.bias.a f32[1, 1] vector
    m.f.1.bias.a f32[1, 1] vector
    m.f.2.bias.a f32[1, 1] vector
"""
# What is written in which program, and what is stored: name, type, how it decays if that isn't by its own rank.
STORED = {
    "below the first member": (
        DENSE, "share as Everywhere() { f[*] }",
        EVERYWHERE + "m.f.0.weight.c f32[3]\nm.f.0.bias.c f32[3] vector\nm.f.0.d f32[1]",
    ),
    "below the name of the group": (
        DENSE, "share all as Everywhere() { f[*] }",
        EVERYWHERE.replace("m.f.0.weight f", "m.all.weight f").replace("m.f.0.bias f", "m.all.bias f")
        + "m.all.weight.c f32[3]\nm.all.bias.c f32[3] vector\nm.all.d f32[1]",
    ),
    "parameters": (
        DENSE, "share all as Everywhere() { f[*].weight }",
        """
    m.all f32[4, 4]
    m.all.c f32[3]
    m.all.d f32[1]
    m.f.0.weight.a f32[1, 1]
    m.f.0.weight.b f32[1, 1] never
    m.f.1.weight.a f32[1, 1]
    m.f.1.weight.b f32[1, 1] never
    m.f.2.weight.a f32[1, 1]
    m.f.2.weight.b f32[1, 1] never
    m.f.0.bias f32[4]
    m.f.1.bias f32[4]
    m.f.2.bias f32[4]
""",
    ),
    "plain groups come first": (
        DENSE, "share pair { f[0], f[2] }\n    share as Delta(1) { f[*] }",
        """
    m.pair.weight f32[4, 4]
    m.pair.weight.up f32[4, 1]
    m.pair.weight.down f32[1, 4]
    m.f.1.weight.up f32[4, 1]
    m.f.1.weight.down f32[1, 4]
    m.pair.bias f32[4]
""",
    ),
    "scalars": (
        SCALARS, "share all as Two() { f[*] }", "m.all.by.both f64[2] vector",
    ),
    "below the name of a plain group": (
        DENSE, "share pair { f[0], f[2] }\n    share as Two() { f[*].weight }",
        """
    m.pair.weight.both f32[2, 4, 4]
    m.pair.bias f32[4]
    m.f.1.bias f32[4]
""",
    ),
    "a transposed member": (
        TIED, "share as Delta(1) { wide.weight, narrow.weight.T }",
        """
    m.wide.weight f32[8, 4]
    m.wide.weight.up f32[8, 1]
    m.wide.weight.down f32[1, 4]
    m.narrow.weight.up f32[8, 1]
    m.narrow.weight.down f32[1, 4]
""",
    ),
    "the shape of the parameter": (
        KERNELS, "share all as Two() { f[*] }\n    share as Own() { norm[*] }",
        """
    m.all.weight.both f32[2, 4, 4, 3, 3]
    m.all.bias.both f32[2, 4] vector
    m.norm.0.weight.own f32[4] vector
    m.norm.0.bias.own f32[4] vector
    m.norm.1.weight.own f32[4] vector
    m.norm.1.bias.own f32[4] vector
    m.norm.0.running_mean f32[4]
    m.norm.0.running_var f32[4]
    m.norm.1.running_mean f32[4]
    m.norm.1.running_var f32[4]
""",
    ),
    "in a block that is applied several times, for layers that are tied": (
        BLOCKS_OF_LAYERS, "share all as Delta(1) { a, b }",
        """
    m.f.0.all.weight f32[4, 4]
    m.f.0.all.bias f32[4]
    m.f.0.a.weight.up f32[4, 1]
    m.f.0.a.weight.down f32[1, 4]
    m.f.0.b.weight.up f32[4, 1]
    m.f.0.b.weight.down f32[1, 4]
""",
    ),
    "a formula in a block whose layers are tied": (
        BLOCKS_OF_LAYERS, "param b.weight = 2 * a.weight",
        "m.f.0.a.weight f32[4, 4]\nm.f.0.a.bias f32[4]\nm.f.0.b.bias f32[4]",
    ),
    "for some of the parts": (
        KERNELS, "share as WeightNorm() { f[i] except bias } for i in 0..2",
        """
    m.f.0.weight f32[4, 4, 3, 3]
    m.f.0.weight.gain f32[4, 1] never
    m.f.0.bias f32[4]
    m.f.1.weight f32[4, 4, 3, 3]
    m.f.1.weight.gain f32[4, 1] never
    m.f.1.bias f32[4]
    m.norm.0.weight f32[4]
    m.norm.0.bias f32[4]
    m.norm.0.running_mean f32[4]
    m.norm.0.running_var f32[4]
    m.norm.1.weight f32[4]
    m.norm.1.bias f32[4]
    m.norm.1.running_mean f32[4]
    m.norm.1.running_var f32[4]
""",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", STORED)
def test_what_is_stored(case: str) -> None:
    program, share, expected = STORED[case]
    stored = storage_of(BLOCKS + program % share).stored.values()
    lines = [f"{s.name} {s.type}" + ("" if s.decay == "by rank" else f" {s.decay}") for s in stored]
    assert sorted(lines) == sorted(line.strip() for line in expected.splitlines() if line.strip())


def outputs(program: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    session = wsdl.compile(Source("m.wsd", BLOCKS + program)).session()
    shape = [2 if d.constant is None else d.constant for d in session.inputs["x"].shape]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return session(x=x)["output"]


@pytest.mark.parametrize(
    ("program", "way", "plain"),
    [
        (DENSE, "share as Delta(2) { f[*] }", "share { f[*] }"),
        (DENSE, "share as Scaled() { f[*] }", "share { f[*] }"),
        (DENSE, "share as Own() { f[*] }", ""),
        (DENSE, "share as WeightNorm() { f[0].weight }", ""),
        (DENSE, "share { f[0], f[2] }\n share as Delta(2) { f[1] }", "share { f[0], f[2] }"),
        (TIED, "share as Delta(1) { wide.weight, narrow.weight.T }", "share { wide.weight, narrow.weight.T }"),
        (TIED, "share as Own() { wide.weight, narrow.weight.T }", ""),
        (KERNELS, "share as Delta(2) { f[*] }", "share { f[*] }"),
    ],
)
def test_starts_as(program: str, way: str, plain: str) -> None:
    """At first, what is written in `plain`."""
    np.testing.assert_allclose(outputs(program % way), outputs(program % plain), rtol=1e-4, atol=1e-6)


def test_several_of_one_shape_are_drawn_one_by_one() -> None:
    values = initial_values(storage_of(BLOCKS + KERNELS % "share all as Two() { f[*].weight }"))
    both = values["m.all.both"]
    bound = 1 / np.sqrt(4 * 9)
    assert np.abs(both).max() == pytest.approx(bound, rel=0.01)
    assert not np.array_equal(both[0], both[1])


def test_initial_values_computed_from_what_is_loaded() -> None:
    text = BLOCKS + DENSE % "share as Halves() { f[0].weight }"
    loaded = np.arange(16, dtype=np.float32).reshape(4, 4)
    program = wsdl.compile(Source("m.wsd", text), weights={"m.f.0.weight": loaded}, partial=True)
    np.testing.assert_array_equal(program.stored["m.f.0.weight.half"], loaded / 2)


DECAYED = """
block Ones()() -> [rows, columns] {
    param a: [rows, columns] = ones
    param b: [rows, 1] = ones
    param c: [rows, columns] = ones nodecay
    return a * b * c
}
"""


@pytest.mark.parametrize(
    ("vectors", "decayed"),
    [("true", ["bias.a", "bias.b", "weight.a", "weight.b"]), ("false", ["weight.a", "weight.b"])],
)
def test_decay(vectors: str, decayed: list[str]) -> None:
    """Without a gradient a step changes what is decayed, and nothing else."""
    optimizer = f"optimizer AdamW(lr=0.5, weight_decay=0.5, decay_norms_and_biases={vectors})"
    training = f"train m() {{\n    loss 0.0 * sum(output)\n    {optimizer}\n}}\n"
    program = wsdl.compile(Source("m.wsd", DECAYED + DENSE % "share as Ones() { f[0] }" + training))
    trainer = program.trainer()
    trainer.step({"x": np.ones((2, 4), np.float32)})
    after = {name.removeprefix("m.f.0."): array for name, array in trainer.weights.items() if "m.f.0" in name}
    assert sorted(name for name, array in after.items() if (array != 1).all()) == decayed


def test_a_way_is_imported_and_stands_in_a_variant(tmp_path: Path) -> None:
    (tmp_path / "ways.wsd").write_text(BLOCKS)
    text = 'from "./ways.wsd" import Two\n' + DENSE % "" + "variant two { share all as Two() { m.f[*] } }\n"
    (tmp_path / "m.wsd").write_text(text)
    program = wsdl.compile(tmp_path / "m.wsd", variant="two")
    assert sorted(program.stored) == ["all.bias.both", "all.weight.both"]


FROZEN = {
    "f[1].weight.a, f[2].b": {"m.f.1.weight.a", "m.f.2.b"},
    "all.c": {"m.all.weight.c", "m.all.bias.c"},
    "all.weight.c, all.d": {"m.all.weight.c", "m.all.d"},
    "all.base": {"m.all.weight", "m.all.bias"},
    "all": {"m.all.weight", "m.all.bias", "m.all.weight.c", "m.all.bias.c", "m.all.d"},
}  # fmt: skip
TRAINED = (
    BLOCKS
    + DENSE % "share all as Everywhere() { f[*] }\n    %s"
    + """
train m() {
    loss sum(output)
    optimizer SGD(lr=0.1)
    %s
}
"""
)


@pytest.mark.parametrize("paths", FROZEN)
def test_paths_of_parts(paths: str) -> None:
    in_model = storage_of(TRAINED % (f"freeze {paths}", ""))
    assert {s.name for s in in_model.stored.values() if s.frozen} == FROZEN[paths]
    in_training = storage_of(TRAINED % ("", f"freeze {paths}"))
    assert in_training.trainings["m"].frozen == FROZEN[paths]
    rates = storage_of(TRAINED % ("", f"lr {paths} = 0.2"))
    assert set(rates.trainings["m"].schedules) == FROZEN[paths]


def test_a_layer_means_its_parts_and_what_it_shares() -> None:
    storage = storage_of(BLOCKS + DENSE % "share all as Everywhere() { f[*] }\n    freeze f")
    assert all(stored.frozen for stored in storage.stored.values())
