"""Linear least squares for one tensor, in which several slots are linear.

The normal operator `N = sum(J.T @ J)` of a tensor most often has a simple structure: it scales each element (means,
gains, index maps), or it is one matrix along one axis (factors of products, mixtures). The structure is detected by
applying the operator to a few tensors, and the system is then solved directly; without one, by conjugate gradients.
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

PRECISION = 1e-10  # the norm of the residual relative to the right-hand side at which conjugate gradients stop
TOLERANCE = 1e-9  # the relative difference of an operator from one with a given structure
SINGULAR = 1e-12  # eigenvalues smaller than this, relative to the largest, count as 0
MAX_STEPS = 60  # of conjugate gradients
OVERSAMPLING = 8  # further singular vectors in the subspace iteration, beyond the rank
MAX_PROBES = 16  # the number of times that an operator may be applied to determine a matrix


class Structure(Protocol):
    """A structure that a normal operator may have."""

    def inverse(self, normal: Operator, shape: tuple[int, ...]) -> Operator:
        """The pseudoinverse of an operator with this structure."""


@dataclass(frozen=True)
class Diagonal:
    """Each element is scaled by its own factor."""

    def inverse(self, normal: Operator, shape: tuple[int, ...]) -> Operator:
        signs = np.where(noise(shape, 1) < 0, -1.0, 1.0)
        scale = normal(signs) * signs
        inverse = np.zeros(shape)
        np.divide(1.0, scale, out=inverse, where=np.abs(scale) > SINGULAR * np.abs(scale).max(initial=0.0))
        return lambda x: inverse * x


@dataclass(frozen=True)
class Along:
    """One matrix along an axis, the same at all indices of the other axes."""

    axis: int

    def inverse(self, normal: Operator, shape: tuple[int, ...]) -> Operator:
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
        return shape[self.axis] ** 2 <= MAX_PROBES * prod(shape)


def structures(shape: tuple[int, ...]) -> Iterator[Structure]:
    """The structures that an operator on tensors of this shape may have, the cheapest first."""
    yield Diagonal()
    axes = [Along(axis) for axis in reversed(range(len(shape)))]
    yield from (along for along in axes if shape[along.axis] > 1 and along.is_cheap(shape))


def structure_of(normal: Operator, shape: tuple[int, ...]) -> Structure | None:
    """The structure of an operator; `None` if it has none of them."""
    probe = noise(shape, 2)
    image = normal(probe)
    for structure in structures(shape):
        back = structure.inverse(normal, shape)(image)
        if _norm(normal(back) - image) <= TOLERANCE * _norm(image):
            return structure
    return None


def solve(normal: Operator, right: Array, *, steps: int = MAX_STEPS, precision: float = PRECISION) -> Array:
    """Solve `normal(x) == right` by conjugate gradients; of several solutions the one with the smallest norm."""
    x, residual, direction = np.zeros_like(right), right, right
    square = first = float(np.vdot(right, right))
    for _ in range(min(steps, right.size)):
        if square <= precision**2 * first:
            break
        image = normal(direction)
        curvature = float(np.vdot(direction, image))
        if curvature <= 0:
            break
        x = x + square / curvature * direction
        residual = residual - square / curvature * image
        before, square = square, float(np.vdot(residual, residual))
        direction = residual + square / before * direction
    return x


def low_rank(matrix: Array, rank: int) -> tuple[Array, Array]:
    """The factors, [rows, rank] and [rank, columns], of the best approximation of this rank, of equal norm. Columns and
    rows beyond the matrix's own rank are 0."""
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
    """Factors with the same product, of equal norm; columns of the left and rows of the right are orthogonal."""
    base, turned = np.linalg.qr(right.T)
    left, middle = low_rank(left @ turned.T, right.shape[0])
    return left, middle @ base.T


class LowRank:
    """Low-rank approximations of matrices that change little from one to the next: each takes one step of subspace
    iteration from the last singular vectors, with oversampling (Halko, Martinsson and Tropp 2011)."""

    def __init__(self, rank: int) -> None:
        self._rank = rank
        self._basis: Array | None = None  # [columns, width], orthonormal

    def of(self, matrix: Array) -> tuple[Array, Array]:
        """The factors, [rows, rank] and [rank, columns], of the approximation of a matrix."""
        if matrix.shape[0] < matrix.shape[1]:
            left, right = self._of_tall(matrix.T)
            return right.T, left.T
        return self._of_tall(matrix)

    def _of_tall(self, matrix: Array) -> tuple[Array, Array]:
        columns = matrix.shape[1]
        width = min(self._rank + self._rank // 2 + OVERSAMPLING, columns)
        if width == columns:
            self._basis = None  # an exact decomposition is cheaper than iterating with all vectors
        is_wide = 4 * width > columns  # then one product with the Gram matrix is cheaper than two with the matrix
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
        missing = self._rank - left.shape[1]
        if missing > 0:
            left, right = np.pad(left, ((0, 0), (0, missing))), np.pad(right, ((0, missing), (0, 0)))
        return left, right


def noise(shape: Sequence[int], key: int) -> Array:
    """Random numbers from -1 to 1, the same for a key in every version of NumPy."""
    return np.random.Generator(np.random.Philox(key=key)).random(tuple(shape)) * 2.0 - 1.0


def _norm(array: Array) -> float:
    return float(np.linalg.norm(array))
