"""Least squares for one tensor, which several slots change with linearly.

The normal operator `N = sum(J.T @ J)` of a tensor most often has a simple structure: it scales each element (means,
gains, index maps), or it is one matrix along one axis (factors of products, mixtures). That is found by applying it to
a few tensors, and then solved directly; what has no such structure is solved by conjugate gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Operator: TypeAlias = Callable[[Array], Array]

PRECISE = 1e-10  # of the right-hand side, what may be left of it
ALIKE = 1e-9  # by how much an operator may differ from a structure that it has
SINGULAR = 1e-12  # of the largest eigenvalue: what is smaller is 0
MOST_STEPS = 60  # of conjugate gradients at a time
MORE = 8  # singular vectors beyond the rank that are iterated with
MOST_PROBES = 16  # how often an operator is applied to find one matrix


class Structure(Protocol):
    """How a normal operator may be built."""

    def read(self, normal: Operator, shape: tuple[int, ...]) -> Operator:
        """The inverse of an operator of this structure, as a function; 0 where the operator is singular."""


@dataclass(frozen=True)
class Diagonal:
    """Each element is scaled by itself."""

    def read(self, normal: Operator, shape: tuple[int, ...]) -> Operator:
        signs = np.where(noise(shape, 1) < 0, -1.0, 1.0)
        scale = normal(signs) * signs
        inverse = np.zeros(shape)
        np.divide(1.0, scale, out=inverse, where=np.abs(scale) > SINGULAR * np.abs(scale).max(initial=0.0))
        return lambda x: inverse * x


@dataclass(frozen=True)
class Along:
    """One matrix along an axis, the same at all places of the others."""

    axis: int

    def read(self, normal: Operator, shape: tuple[int, ...]) -> Operator:
        size, places = shape[self.axis], prod(shape) // shape[self.axis]
        matrix = np.empty((size, size))
        moved = (*shape[: self.axis], *shape[self.axis + 1 :], size)
        for start in range(0, size, places):
            units = np.zeros((places, size))
            rows = min(places, size - start)
            units[range(rows), range(start, start + rows)] = 1.0
            image = normal(np.moveaxis(units.reshape(moved), -1, self.axis))
            matrix[start : start + rows] = np.moveaxis(image, self.axis, -1).reshape(places, size)[:rows]
        inverse = np.linalg.pinv((matrix + matrix.T) / 2, rcond=SINGULAR, hermitian=True)
        return lambda x: np.moveaxis(np.moveaxis(x, self.axis, -1) @ inverse, -1, self.axis)

    def is_cheap(self, shape: tuple[int, ...]) -> bool:
        return shape[self.axis] ** 2 <= MOST_PROBES * prod(shape)


def structures(shape: tuple[int, ...]) -> Iterator[Structure]:
    """Those that an operator on tensors of this shape may have, the cheapest first."""
    yield Diagonal()
    axes = [Along(axis) for axis in reversed(range(len(shape)))]
    yield from (along for along in axes if shape[along.axis] > 1 and along.is_cheap(shape))


def structure_of(normal: Operator, shape: tuple[int, ...]) -> Structure | None:
    """The structure of an operator; `None` where it has none of them."""
    probe = noise(shape, 2)
    image = normal(probe)
    for structure in structures(shape):
        back = structure.read(normal, shape)(image)
        if _norm(normal(back) - image) <= ALIKE * _norm(image):
            return structure
    return None


def solve(normal: Operator, right: Array, precondition: Operator = lambda x: x) -> Array:
    """`x` with `normal(x) == right`, by conjugate gradients; of several the one nearest to 0."""
    x, rest = np.zeros_like(right), right
    steered = precondition(rest)
    direction, square = steered, float(np.vdot(rest, steered))
    for _ in range(min(MOST_STEPS, right.size)):
        if _norm(rest) <= PRECISE * _norm(right) or square <= 0:
            break
        image = normal(direction)
        curvature = float(np.vdot(direction, image))
        if curvature <= 0:
            break
        x = x + square / curvature * direction
        rest = rest - square / curvature * image
        steered = precondition(rest)
        before, square = square, float(np.vdot(rest, steered))
        direction = steered + square / before * direction
    return x


def low_rank(matrix: Array, rank: int) -> tuple[Array, Array]:
    """The two factors, [rows, rank] and [rank, columns], of the nearest matrix of a rank, of equal norm; further
    columns and rows are 0."""
    if matrix.shape[0] < matrix.shape[1]:
        left, right = low_rank(matrix.T, rank)
        return right.T, left.T
    values, vectors = np.linalg.eigh(matrix.T @ matrix)
    chosen = vectors[:, ::-1][:, :rank]
    chosen = chosen * np.where(chosen[np.abs(chosen).argmax(0), range(chosen.shape[1])] < 0, -1.0, 1.0)
    scale = np.sqrt(np.sqrt(np.maximum(values[::-1][:rank], 0.0)))
    usable = scale > 1e-6 * scale.max(initial=0.0)
    over = np.divide(1.0, scale, out=np.zeros_like(scale), where=usable)
    left, right = np.zeros((matrix.shape[0], rank)), np.zeros((rank, matrix.shape[1]))
    left[:, : len(scale)] = matrix @ chosen * over
    right[: len(scale)] = (chosen * (scale * usable)).T
    return left, right


def balanced(left: Array, right: Array) -> tuple[Array, Array]:
    """Two factors with the same product, of equal norm, whose columns and rows are orthogonal."""
    base, turned = np.linalg.qr(right.T)
    left, middle = low_rank(left @ turned.T, right.shape[0])
    return left, middle @ base.T


class Nearest:
    """The nearest matrix of a rank to matrices that change little from one to the next: a step of subspace iteration
    that begins at the last singular vectors, and some more of them than the rank (Halko, Martinsson and Tropp 2011)."""

    def __init__(self, rank: int) -> None:
        self._rank = rank
        self._basis: Array | None = None  # [columns, width], orthonormal

    def of(self, matrix: Array) -> tuple[Array, Array]:
        """The two factors, [rows, rank] and [rank, columns]."""
        if matrix.shape[0] < matrix.shape[1]:
            left, right = self._of_tall(matrix.T)
            return right.T, left.T
        return self._of_tall(matrix)

    def _of_tall(self, matrix: Array) -> tuple[Array, Array]:
        columns = matrix.shape[1]
        width = min(self._rank + self._rank // 2 + MORE, columns)
        is_wide = 4 * width > columns  # then the square matrix is smaller than two products with the basis
        square = matrix.T @ matrix if is_wide or self._basis is None else None
        if self._basis is None:
            assert square is not None
            self._basis = np.linalg.eigh(square)[1][:, ::-1][:, : self._rank if 2 * width > columns else width]
        else:
            image = matrix.T @ (matrix @ self._basis) if square is None else square @ self._basis
            self._basis = np.linalg.qr(image)[0]
        left, right = matrix @ self._basis, self._basis.T
        if left.shape[1] > self._rank:
            turn = np.linalg.eigh(left.T @ left)[1][:, ::-1]
            self._basis = self._basis @ turn
            left, right = left @ turn[:, : self._rank], self._basis[:, : self._rank].T
        more = self._rank - left.shape[1]
        if more > 0:
            left, right = np.pad(left, ((0, 0), (0, more))), np.pad(right, ((0, more), (0, 0)))
        return left, right


def noise(shape: Sequence[int], key: int) -> Array:
    """Numbers from -1 to 1, the same each time and in each version of NumPy."""
    return np.random.Generator(np.random.Philox(key=key)).random(tuple(shape)) * 2.0 - 1.0


def _norm(array: Array) -> float:
    return float(np.linalg.norm(array))
