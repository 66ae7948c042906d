"""What a compiled formula holds: in the file and in a session each part once, and no more than the parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import wsdl
from tests.examples.test_bytes import training_models_of
from tests.onnx.draw_formulas import draw
from tests.onnx.running import random
from tests.stages import storage_of
from wsdl.onnx.folding import SMALL
from wsdl.onnx.proof import Proofs, prove

GUARDS = "wsdl.onnx.emit.guard_sharing"


def proved(program: wsdl.Program, folder: Path) -> Proofs:
    [path] = program.models["m"].save(folder / "m.onnx")
    onnx.checker.check_model(str(path), full_check=True)
    return prove(path)


@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("seed", range(12))
def test_a_session_holds_no_more_than_the_file(
    seed: int, dtype: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random formulas; a guard is worth it from 1 KiB on. What they compute is what they compute without guards."""
    program, x = wsdl.compile(draw(seed), dtype=dtype), random(3, 64)
    proofs = proved(program, tmp_path)
    assert proofs.holds
    assert proofs.optimized_bytes <= proofs.file_bytes + 4 * SMALL
    [result] = program.session()(x=x).values()
    monkeypatch.setattr(GUARDS, lambda *_: None)
    [expected] = wsdl.compile(draw(seed), dtype=dtype).session()(x=x).values()
    tolerance = 1e-3 if dtype == "f32" else 3e-2
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


MAPS = {
    "circulant": "gather(first, (arange(d).reshape(d, 1) - arange(d)) % d)",
    "diagonal": "first * one_hot(arange(d), d)",
    "hashed": "gather(first, (arange(d).reshape(d, 1) * 7919 + arange(d) * 31) % d)",
}


@pytest.mark.parametrize("d", [256, 4096])
@pytest.mark.parametrize("name", MAPS)
def test_an_index_map_over_a_small_tensor(name: str, d: int, tmp_path: Path) -> None:
    layer = f"layer ring = Dense(d, bias=false)\n    param first: [d] = normal\n    param ring.weight = {MAPS[name]}"
    program = wsdl.compile(f"let d = {d}\nmodel m(x: f32[n, d]) {{\n    {layer}\n    return ring(x)\n}}\n")
    proofs = proved(program, tmp_path)
    assert proofs.stored_bytes == 4 * d
    assert max(proofs.file_bytes, proofs.optimized_bytes) <= 1.1 * proofs.stored_bytes


TRAINED = {
    **{name: ("[d]", formula) for name, formula in MAPS.items()},
    "rows in another order": ("[d, d]", "gather(first, arange(d) * 7 % d)"),
    "rows in two orders": ("[d, d]", "gather(first, arange(d) * 7 % d) + gather(first, arange(d) * 5 % d)"),
}


@pytest.mark.parametrize("name", TRAINED)
def test_what_a_training_holds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No map, and no zeros that gradients of gathered elements are added to; a training computes what it does without
    guards."""
    shape, formula = TRAINED[name]
    text = f"""\
let d = 256
model m(x: f32[n, d]) -> (y: f32[n, d]) {{
    layer ring = Dense(d, bias=false)
    param first: {shape} = normal
    param ring.weight = {formula}
    return ring(x)
}}
train m(t: f32[n, d]) {{
    loss mse(y, t)
    optimizer SGD(lr=0.1)
}}
"""

    def trained() -> tuple[list[int], float]:
        """The bytes that the sessions of a training hold besides what its files do, and the loss of the second step."""
        proofs = [prove(proto) for _, proto in training_models_of(storage_of(text), "m")]
        trainer = wsdl.compile(text).trainer(batch=3)
        losses = [trainer.step({"x": random(3, 256), "t": random(3, 256)}) for _ in range(2)]
        return [proof.optimized_bytes - proof.file_bytes for proof in proofs], losses[1]

    held, loss = trained()
    assert max(held) < SMALL
    monkeypatch.setattr(GUARDS, lambda *_: None)
    held_without, loss_without = trained()
    assert max(held_without) > 200 * SMALL
    assert loss == pytest.approx(loss_without, rel=1e-5)


def test_a_map_that_is_folded_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the runtime computes from constants counts where a formula is made of it; a mask of activations doesn't."""
    text = """\
model m(x: f32[n, 256]) {
    param w: [256, 256] = normal
    mask = tril(ones([256, 256]))
    return softmax(x.reshape(n, 256, 1) + mask, axis=-1) @ w[:, 0], x @ (w * one_hot(arange(256), 256)), x @ w
}
"""
    whole = 4 * 256**2
    guarded = proved(wsdl.compile(text), tmp_path)
    assert (guarded.holds, guarded.constant_bytes // whole) == (True, 1)
    monkeypatch.setattr(GUARDS, lambda *_: None)
    assert not proved(wsdl.compile(text), tmp_path).holds


SEVERAL = """\
layer base = Dense(64, bias=false)
layer code = Dense(64 * 64)

model one(x: f32[n, 64]) {
    layer a[3] = Dense(64, bias=false)
    layer b = Dense(64, bias=false)
    param up: [3, 64, 2] = normal
    param seed: [1, 4] = normal
    param a[i].weight = base.weight + up[i] @ up[i].T for i in 0..3
    param b.weight = code(seed).reshape(64, 64)
    return x |> a[0] |> a[1] |> a[2] |> b
}

model two(x: f32[n, 64]) {
    layer c = Dense(64, bias=false)
    layer d = Dense(64, bias=false)
    param c.weight = base.weight * 0.5
    param own: [64, 64] = normal
    param d.weight = softmax(own, axis=1)
    return x |> c |> d |> base
}
"""


@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("materialize", ["none", "auto", "all"])
def test_values_in_place_of_formulas(materialize: Any, dtype: Any, tmp_path: Path) -> None:
    """`auto` writes what takes no more bytes, over all models: the matrix of a hypernetwork, not the sums."""
    program = wsdl.compile(SEVERAL, materialize=materialize, dtype=dtype)
    manifest = program.save(tmp_path, proof=True)
    assert all(totals["holds"] for totals in manifest["proof_totals"].values())
    written = {path for f in manifest["formulas"] if f["written_out"] for path in f["slots"]}
    every = {f"one.a.{i}.weight" for i in range(3)} | {"one.b.weight", "two.c.weight", "two.d.weight"}
    assert written == {"none": set(), "auto": {"one.b.weight", "two.d.weight"}, "all": every}[materialize]
    held = {proof["stored"] for proof in manifest["proof"]}
    assert written <= held
    assert ("code.weight" in held, "one.up" in held, "base.weight" in held) == {
        "none": (True, True, True),
        "auto": (False, True, True),
        "all": (False, False, True),
    }[materialize]
    x, plain = random(3, 64), wsdl.compile(SEVERAL, dtype=dtype)
    for name in "one", "two":
        [result], [expected] = (p.session(name)(x=x).values() for p in (program, plain))
        tolerance = 1e-5 if dtype == "f32" else 2e-2
        np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def test_other_weights_make_other_values() -> None:
    """What a session is given are the parts, as they are trained; values follow from them."""
    program, plain = (wsdl.compile(SEVERAL, materialize=m) for m in ("all", "none"))
    weights = {name: array + 0.25 for name, array in plain.stored.items()}
    x = random(3, 64)
    [result], [expected] = (p.session("one", weights=weights)(x=x).values() for p in (program, plain))
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def small_layers(way: str, d: int, layers: int, width: int) -> str:
    return (
        f"model m(x: f32[n, {d}]) -> f32[n, {d}] {{\n    layer blocks[{layers}] = FeedForward({width})\n"
        f"    share small as {way} {{ blocks[*] }}\n    for block in blocks {{\n        x = x + block(x)\n    }}\n"
        "    return x\n}\n"
    )


@pytest.mark.parametrize("way", ["Delta(rank=1)", "Delta(rank=2)", "Delta(rank=4)", "Scaled()", "WeightNorm()"])
@pytest.mark.parametrize("trained", [False, True])
def test_parts_of_a_few_bytes_are_guarded_for_what_they_make(
    way: str, trained: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tensor just above the bytes from which copies count, with members' parts below: six values would be copies,
    whatever the numbers in the parts are."""
    text = small_layers(way, 16, 3, 32)
    weights = {name: random(*array.shape) for name, array in wsdl.compile(text).stored.items()} if trained else None
    for guarded in (True, False):
        if not guarded:
            monkeypatch.setattr(GUARDS, lambda *_: None)
        program = wsdl.compile(text, weights=weights)
        program.save(tmp_path, proof=True)
        assert {found.code for found in program.diagnostics} == (set() if guarded else {"E0522"})


@pytest.mark.parametrize(
    ("dtype", "way", "d", "layers", "width"),
    [
        ("f32", "Delta(rank=8)", 8, 6, 32),
        ("f32", "Delta(rank=8)", 16, 3, 16),
        ("f32", "Delta(rank=8)", 24, 2, 32),
        ("f32", "Delta(rank=8)", 48, 3, 16),
        ("f16", "Delta(rank=4)", 24, 2, 32),
        ("f16", "Delta(rank=8)", 16, 20, 32),
        ("f16", "Delta(rank=8)", 24, 6, 32),
        ("f32", "Basis(rank=4)", 16, 3, 32),
    ],
)
def test_values_that_take_less_than_their_parts_are_no_copies(
    dtype: Any, way: str, d: int, layers: int, width: int, tmp_path: Path
) -> None:
    """While `up` is 0 each of them is equal to the shared tensor, which the session doesn't hold."""
    program = wsdl.compile(small_layers(way, d, layers, width), dtype=dtype)
    program.save(tmp_path, proof=True)
    assert not program.diagnostics
