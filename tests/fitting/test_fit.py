"""Fitting against what is exactly representable, and with noise against independent references in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.stages import storage_of
from wsdl.fitting.fit import Fitted, SlotTarget, fit, relative_errors
from wsdl.fitting.least_squares import LowRank
from wsdl.ir.stages import Storage
from wsdl.ir.views import View
from wsdl.ops.interpreter import evaluate
from wsdl.sharing.read_stored import slot_over_stored
from wsdl.weights.initial_values import initial_values

Array = NDArray[Any]
SWEEPS = 50


def program(share: str, members: int, rows: int, columns: int) -> Storage:
    """Matrices `w[i]` of layers that share as is said."""
    return storage_of(
        f"block Weight()(x: [n, {columns}]) -> [n, {rows}] {{\n"
        f"    param weight: [{rows}, {columns}]\n"
        "    return x @ weight.T\n}\n"
        f"model m(x: f32[n, {columns}]) -> (y: f32[n, {rows}]) {{\n"
        f"    layer w[{members}] = Weight()\n    {share}\n"
        f"    y = zeros([n, {rows}])\n"
        f"    for i in 0..{members} {{\n        y = y + w[i](x)\n    }}\n    return y\n}}\n"
    )


def formulas(storage: Storage) -> list[Any]:
    slots = [slot for slot in storage.checked.slots() if slot.path.endswith(".weight")]
    return [slot_over_stored(slot, View.identity(slot.sizes), storage) for slot in slots]


def values(storage: Storage, seed: int) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    return {name: random.normal(size=stored.sizes) for name, stored in storage.stored.items()}


def fitted(storage: Storage, matrices: Sequence[Array]) -> tuple[Fitted, float]:
    """And the relative error of all together."""
    targets = [SlotTarget(graph, matrix) for graph, matrix in zip(formulas(storage), matrices, strict=True)]
    result = fit(targets, initial_values(storage))
    norms = [np.linalg.norm(matrix) for matrix in matrices]
    shares = relative_errors(targets, result.stored)
    return result, float(np.linalg.norm(np.multiply(shares, norms)) / np.linalg.norm(norms))


# -- references --------------------------------------------------------------------------------------------------------


def nearest_of_rank(matrix: Array, rank: int) -> Array:
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    return (u[:, :rank] * s[:rank]) @ v[:rank]


def plain(matrices: Array) -> Array:
    return np.broadcast_to(matrices.mean(0), matrices.shape)


def delta(matrices: Array, rank: int = 3) -> Array:
    base = matrices.mean(0)
    for _ in range(SWEEPS):
        changes = np.stack([nearest_of_rank(matrix - base, rank) for matrix in matrices])
        base = (matrices - changes).mean(0)
    return base + changes


def mix(matrices: Array, bank: int = 2) -> Array:
    return nearest_of_rank(matrices.reshape(len(matrices), -1), bank).reshape(matrices.shape)


def basis(matrices: Array, rank: int = 5) -> Array:
    side_by_side = nearest_of_rank(np.concatenate([*matrices], 1), rank)
    return np.stack(np.split(side_by_side, len(matrices), 1))


def right_basis(matrices: Array) -> Array:
    return basis(matrices.transpose(0, 2, 1)).transpose(0, 2, 1)


def basis_and_common(matrices: Array) -> Array:
    """Alternating least squares."""
    common = matrices.mean(0)
    for _ in range(SWEEPS):
        changes = basis(matrices - common, 2)
        common = (matrices - changes).mean(0)
    return common + changes


def scaled(matrices: Array) -> Array:
    """Each row of all members is of rank 1."""
    return np.stack([nearest_of_rank(rows, 1) for rows in matrices.transpose(1, 0, 2)], 1)


def symmetric(matrices: Array) -> Array:
    return (matrices + matrices.transpose(0, 2, 1)) / 2


def circulant(matrices: Array) -> Array:
    [matrix] = matrices
    size = len(matrix)
    places = (np.arange(size)[:, None] - np.arange(size)) % size
    return (np.bincount(places.ravel(), matrix.ravel()) / size)[places][None]


def diagonal_delta(matrices: Array) -> Array:
    """Alternating least squares, a part at a time."""
    base, shifts, on = matrices.mean(0), np.zeros((len(matrices), matrices.shape[2])), np.eye(*matrices.shape[1:])
    for _ in range(SWEEPS):
        changes = np.stack([nearest_of_rank(m - base - on * s, 2) for m, s in zip(matrices, shifts, strict=True)])
        rest = matrices - changes
        base = (rest - on * shifts[:, None]).mean(0)
        shifts = np.stack([np.diagonal(r - base) for r in rest])
    return base + changes + on * shifts[:, None]


def hashed(matrices: Array) -> Array:
    """The mean over the places that draw one value, with their signs, by the same hash in Python's integers."""
    _, rows, columns = matrices.shape
    size = rows * columns
    count = (rows + 1) // 2 * columns
    places = [(i + 1) * -7046029254386353131 for i in range(matrices.size)]
    hashes = [(p * (2 * p + 1) + 2**63) % 2**64 - 2**63 for p in places]
    index = np.minimum(np.array([int(abs(float(h)) * (count / 2.0**63)) for h in hashes]), count - 1)
    signs = np.array([-1.0 if h < 0 else 1.0 for h in hashes])
    assert matrices.size == len(matrices) * size
    sums = np.bincount(index, signs * matrices.ravel(), count) / np.maximum(np.bincount(index, minlength=count), 1)
    return (signs * sums[index]).reshape(matrices.shape)


@dataclass(frozen=True)
class Way:
    """A way of sharing, how many matrices of which shape, and the nearest that it can hold."""

    share: str
    members: int
    rows: int
    columns: int
    reference: Callable[[Array], Array]


RING = "param first: [9]\nparam w[0].weight = gather(first, (arange(9).reshape(9, 1) - arange(9)) % 9)"
COMMON = """param common: [9, 7]
    param left: [9, 2]
    param right: [4, 2, 7]
    param w[i].weight = common + left @ right[i] for i in 0..4"""
TEMPLATES = """param templates: [5, 7, 3]
    param mixtures: [3, 4] = normal(1)
    param w[i].weight = 0.5 * sum(templates * mixtures.T[i], axis=2) for i in 0..4"""
WAYS = {
    "plain": Way("share { w[*] }", 4, 6, 5, plain),
    "Delta": Way("share as Delta(rank=3) { w[*] }", 6, 24, 20, delta),
    "Delta, diagonal": Way("share as Delta(rank=2, diagonal=true) { w[*] }", 6, 14, 14, diagonal_delta),
    "Delta of two": Way("share as Delta(rank=3) { w[*] }", 2, 12, 10, delta),
    "Mix": Way("share s as Mix(bank=2) { w[*] }", 5, 8, 6, mix),
    "Basis": Way("share s as Basis(rank=5) { w[*] }", 4, 12, 9, basis),
    "Basis, right": Way("share s as Basis(rank=5, right=true) { w[*] }", 4, 9, 12, right_basis),
    "a basis, and what all have in common": Way(COMMON, 4, 9, 7, basis_and_common),
    "templates along the last axis": Way(TEMPLATES, 4, 5, 7, lambda matrices: mix(matrices, 3)),
    "Scaled": Way("share as Scaled() { w[*] }", 4, 7, 6, scaled),
    "Symmetric": Way("share as Symmetric() { w[0].weight }", 1, 9, 9, symmetric),
    "Hashed": Way("share as Hashed(ratio=2) { w[*] }", 3, 8, 6, hashed),
    "circulant": Way(RING, 1, 9, 9, circulant),
    "half and its mirror": Way("param h: [9, 9]\nparam w[0].weight = h + h.T", 1, 9, 9, symmetric),
}


@pytest.mark.parametrize("name", WAYS)
def test_what_is_representable_is_found(name: str) -> None:
    way = WAYS[name]
    storage = program(way.share, way.members, way.rows, way.columns)
    stored = values(storage, 1)
    _, share = fitted(storage, [evaluate(graph, [], stored)[0] for graph in formulas(storage)])
    assert share <= 1e-6


@pytest.mark.parametrize("name", WAYS)
def test_with_noise_it_is_as_near_as_a_reference(name: str) -> None:
    way = WAYS[name]
    storage = program(way.share, way.members, way.rows, way.columns)
    stored, random = values(storage, 2), np.random.default_rng(3)
    exact = np.stack([evaluate(graph, [], stored)[0] for graph in formulas(storage)])
    matrices = exact + 0.1 * random.normal(size=exact.shape)
    result, share = fitted(storage, list(matrices))
    best = np.linalg.norm(way.reference(matrices) - matrices) / np.linalg.norm(matrices)
    assert best > 0.01
    assert share <= best + 1e-5
    assert not result.not_linear


@pytest.mark.parametrize(("members", "rows", "columns", "rank"), [(3, 20, 20, 14), (6, 24, 24, 15), (4, 15, 24, 10)])
def test_high_ranks_hold_any_matrices(members: int, rows: int, columns: int, rank: int) -> None:
    """There are fewer equations than elements of the base; fifty sweeps of the reference lose more."""
    storage = program(f"share as Delta(rank={rank}) {{ w[*] }}", members, rows, columns)
    matrices = np.random.default_rng(8).normal(size=(members, rows, columns))
    _, share = fitted(storage, list(matrices))
    assert share <= 1e-6 < np.linalg.norm(delta(matrices, rank) - matrices) / np.linalg.norm(matrices)


def test_a_gain_over_a_product_is_fitted_too() -> None:
    """The product is weighted, so its decomposition is a start alone."""
    share = "param gain: [8, 1] = ones\nparam a: [8, 2]\nparam b: [2, 6]\nparam w[0].weight = gain * (a @ b)"
    storage = program(share, 1, 8, 6)
    stored = values(storage, 4)
    _, share_lost = fitted(storage, [evaluate(graph, [], stored)[0] for graph in formulas(storage)])
    assert share_lost <= 1e-6


def test_a_factor_that_is_read_elsewhere_is_fitted_by_itself() -> None:
    storage = program("param a: [6, 6]\nparam b: [6, 6]\nparam w[0].weight = a @ b + a", 1, 6, 6)
    stored = values(storage, 6)
    _, share = fitted(storage, [evaluate(graph, [], stored)[0] for graph in formulas(storage)])
    assert share <= 1e-6


@pytest.mark.parametrize("name", ["Mix", "Basis", "Basis, right", "templates along the last axis"])
def test_one_decomposition_is_enough(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    way, nearest, calls = WAYS[name], LowRank.of, 0

    def counted(self: LowRank, matrix: Array) -> tuple[Array, Array]:
        nonlocal calls
        calls += 1
        return nearest(self, matrix)

    monkeypatch.setattr(LowRank, "of", counted)
    storage = program(way.share, way.members, way.rows, way.columns)
    fitted(storage, list(np.random.default_rng(7).normal(size=(way.members, way.rows, way.columns))))
    assert calls == 1


def test_what_is_not_linear_is_named() -> None:
    storage = program("param a: [4, 3]\nparam w[0].weight = tanh(a)", 1, 4, 3)
    result, share = fitted(storage, [np.ones((4, 3))])
    assert result.not_linear == {"m.a"}
    assert share > 0.1


@pytest.mark.parametrize("rank", [2, 4])
def test_each_time_the_same(rank: int) -> None:
    storage = program(f"share as Delta(rank={rank}) {{ w[*] }}", 3, 6, 5)
    matrices = list(np.random.default_rng(5).normal(size=(3, 6, 5)))
    first, again = (fitted(storage, matrices)[0].stored for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
