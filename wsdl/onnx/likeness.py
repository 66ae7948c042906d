"""Recognizes stored tensors after graph rewriting, by their content.

A tensor counts as a copy of a stored one if it has the same values, in any order and shape (transposed, in the CPU's
blocked layout), also padded with zeros, which don't count, multiplied by a factor per channel, sliced, or concatenated
with others. Sums and products of several stored tensors can't be recognized: their bytes are compared with those of the
tensors that they are computed from, if these are known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import permutations
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.ir.connected import connected
from wsdl.onnx.folding import GUARD, SMALL

Array = NDArray[Any]
DISTINCT = 16  # the number of distinct values that makes a tensor recognizable
BLOCKS = (4, 8, 16, 32)  # channels in a block of the CPU's layouts


@dataclass
class Comparison:
    """The number of copies of each stored tensor, in units of its bytes. `strangers` are unrecognized tensors,
    `constants` those that are computed from no stored tensor, with their bytes; `total` is the sum of all bytes."""

    copies: dict[str, float] = field(default_factory=dict)
    total: int = 0
    strangers: dict[str, int] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)


def count_copies(
    stored: Mapping[str, Array],
    tensors: Iterable[tuple[str, Array]],
    origins: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> Comparison:
    """Count the copies of each stored tensor among `tensors`, pairs of name and values. Arrays that are objects of
    `stored` aren't read. `origins` has the stored tensors that a tensor is computed from, if known."""
    comparison = Comparison(dict.fromkeys(stored, 0.0))
    known = [_Candidate(name, array) for name, array in stored.items() if array.nbytes >= SMALL]
    strangers: list[tuple[str, Array]] = []
    values: list[_Value] = []
    for name, array in tensors:
        comparison.total += array.nbytes
        same_name = stored.get(name)
        if same_name is not None and (same_name is array or _equal(same_name, array)):
            comparison.copies[name] += 1
        elif array.nbytes >= SMALL:
            shares = _shares(array, known)
            made_of = origins.get(name, ())
            if len(made_of) > 1:
                values.append(_Value(name, array.nbytes, made_of, dict(shares)))
            elif not shares:
                strangers.append((name, array))
            else:
                for other, share in shares:
                    comparison.copies[other] += share
    _by_size(comparison, known, strangers, origins)
    _by_parts(comparison, {name: array.nbytes for name, array in stored.items()}, values)
    return comparison


def is_recognizable(array: Array) -> bool:
    """Whether an array has enough distinct values to be distinguished from other tensors."""
    flat = array.ravel()
    spread = flat[:: max(1, flat.size // 4096)]
    return any(np.unique(_bits(part)).size >= DISTINCT for part in (flat[:4096], spread) if part.size)


class _Candidate:
    """A stored tensor, with features that don't depend on the order of its elements, computed on first use."""

    def __init__(self, name: str, array: Array) -> None:
        self.name, self.array = name, array

    @cached_property
    def numbers(self) -> Array:
        return _bits(self.array.ravel())

    @cached_property
    def fingerprint(self) -> tuple[int, int, int]:
        return _fingerprint(self.numbers)


@dataclass(frozen=True)
class _Value:
    """A tensor that is computed from several stored ones, and the copies of stored tensors that its values contain."""

    name: str
    bytes: int
    made_of: Collection[str]
    shares: Mapping[str, float]


def _shares(array: Array, known: Iterable[_Candidate]) -> list[tuple[str, float]]:
    """The stored tensors that an array contains, and the number of copies of each, by the elements that are not 0.
    Cheap checks come first."""
    alike = [k for k in known if k.array.dtype == array.dtype]
    bits = _bits(array.ravel())
    fingerprint = _fingerprint(bits)
    whole = [k for k in alike if k.fingerprint == fingerprint]
    whole = whole or [k for k in alike if bits.size < k.numbers.size and _is_within(bits, k.numbers)]
    if not whole:
        parts = [k for k in alike if k.numbers.size < bits.size and _is_within(k.numbers, bits)]
        if parts:
            return [(k.name, 1.0) for k in parts]
        whole = [k for k in alike if _is_scaled(array, k.array)]
    return [(k.name, fingerprint[0] / max(1, k.fingerprint[0])) for k in whole[:1]]


def _by_size(
    comparison: Comparison,
    known: Sequence[_Candidate],
    strangers: list[tuple[str, Array]],
    origins: Mapping[str, Collection[str]],
) -> None:
    """Count an unknown tensor as a copy of a stored one of its size that has disappeared; the others stay unknown."""
    for k in known:
        if not comparison.copies[k.name]:
            for i, (name, array) in enumerate(strangers):
                if array.size == k.array.size and k.name in (origins.get(name) or [k.name]):
                    comparison.copies[k.name] += array.nbytes / k.array.nbytes
                    del strangers[i]
                    break
    comparison.strangers = {name: array.nbytes for name, array in strangers}


def _by_parts(comparison: Comparison, sizes: Mapping[str, int], values: Iterable[_Value]) -> None:
    """Count tensors that are computed from several stored ones; those that have some origins in common are counted
    together. They are no copies if they and the remaining stored tensors take no more bytes than all stored tensors,
    each with a guard. Their values don't matter: a sum is equal to one of its terms while the others are 0."""
    copies = comparison.copies
    for group in connected(values, lambda value: value.made_of):
        parts = sorted({name for value in group for name in value.made_of})
        total = sum(sizes[name] for name in parts)
        created = sum(value.bytes for value in group)
        holds = created + sum(copies[name] * sizes[name] for name in parts) <= total + GUARD * len(parts)
        for name in parts:
            share = max(created / total, sum(value.shares.get(name, 0) for value in group))
            copies[name] = max(copies[name], min(share, 1)) if holds else copies[name] + share
        comparison.strangers |= {value.name: value.bytes for value in group if not value.shares}


# -- comparing values --------------------------------------------------------------------------------------------------


def _bits(array: Array) -> Array:
    unsigned = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}[array.dtype.itemsize]
    return np.ascontiguousarray(array).view(unsigned)


def _equal(a: Array, b: Array) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and bool(np.array_equal(_bits(a), _bits(b)))


def _fingerprint(bits: Array) -> tuple[int, int, int]:
    """A digest of the values in any order, without zeros, since blocked layouts are padded with them."""
    return int(np.count_nonzero(bits)), int(bits.sum(dtype=np.uint64)), int(np.bitwise_xor.reduce(bits))


def _is_within(few: Array, many: Array) -> bool:
    """Whether every value of `few` except 0 occurs in `many`. A sample is searched first, without sorting `many`."""
    few = few[few != 0]
    sample = np.unique(few[:: max(1, few.size // DISTINCT)])
    if few.itemsize == 1 or sample.size < DISTINCT:
        return False
    return all((many == number).any() for number in sample) and bool(np.isin(few, many).all())


def _is_scaled(array: Array, stored: Array) -> bool:
    """Whether an array is the stored tensor times one factor for each index of one axis, permuted or blocked."""
    if array.dtype.kind not in "fV" or stored.ndim < 2:
        return False
    original = stored.astype(np.float32)
    return any(_has_channel_factors(candidate, original) for candidate in _arrangements(array, stored.shape))


def _arrangements(array: Array, shape: tuple[int, ...]) -> Iterator[Array]:
    """The array with the axes of `shape`, for each way in which it may have been rearranged."""
    values = array.astype(np.float32)
    if sorted(array.shape) == sorted(shape):
        for axes in permutations(range(array.ndim)):
            if tuple(array.shape[a] for a in axes) == shape:
                yield values.transpose(axes)
    if array.ndim == len(shape) == 4:
        yield from _unblocked(values, shape)


def _unblocked(values: Array, shape: tuple[int, ...]) -> Iterator[Array]:
    """A convolution's weight, converted from the layouts `OIHWBiBo` and `OIHWBo`, without their padding."""
    out, inner, height, width = values.shape
    for block in BLOCKS:
        if out % block == 0 and inner % block == 0:
            blocked = values.reshape(out // block, inner // block, height, width, block, block)
            yield blocked.transpose(0, 5, 1, 4, 2, 3).reshape(values.shape)[: shape[0], : shape[1]]
        if out % block == 0:
            blocked = values.reshape(out // block, inner, height, width, block)
            yield blocked.transpose(0, 4, 1, 2, 3).reshape(values.shape)[: shape[0], : shape[1]]


def _has_channel_factors(array: Array, stored: Array) -> bool:
    if array.shape != stored.shape:
        return False
    for axis in range(stored.ndim):
        rows, originals = (np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1) for x in (array, stored))
        squares = np.einsum("ij,ij->i", originals, originals)
        factors = np.einsum("ij,ij->i", rows, originals) / np.where(squares == 0, 1, squares)
        error = np.abs(rows - factors[:, None] * originals).max(initial=0.0)
        if originals.shape[1] > 1 and error <= 1e-4 * np.abs(rows).max(initial=0.0) and np.any(factors):
            return True
    return False
