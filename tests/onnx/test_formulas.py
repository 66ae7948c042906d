"""What a compiled formula holds: in the file and in a session each part once, and no more than the parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import wsdl
from tests.onnx.draw_formulas import draw
from tests.onnx.running import random
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
