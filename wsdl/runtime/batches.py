"""Batches of rows, in an order that depends on the seed and the number of the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.diagnostics.run_error import fail
from wsdl.ir.types import TensorType
from wsdl.runtime.arrays import check_inputs, rows_of
from wsdl.runtime.fingerprint import fingerprint

Array = NDArray[Any]


class Batches:
    """The rows of some arrays in batches: `for batch in Batches({"image": x, "label": y}, 64).epoch(0)`.

    All arrays have the same number of rows; those in `whole` have none, and are part of each batch unchanged. The last
    batch of an epoch may be smaller. Arrays that are memory-mapped are read batch by batch. With the rank of a `worker`
    and the number of workers, each batch has that worker's rows only, which may be none.
    """

    def __init__(
        self,
        arrays: Mapping[str, Array],
        size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        whole: frozenset[str] = frozenset(),
        worker: tuple[int, int] = (0, 1),
    ) -> None:
        self.worker = worker
        self.arrays, self.size, self.seed, self.shuffle, self.whole = dict(arrays), size, seed, shuffle, whole
        self.rows = next(len(array) for name, array in self.arrays.items() if name not in whole)

    @cached_property
    def fingerprint(self) -> str:
        """A digest that identifies these data."""
        return fingerprint(self.arrays)

    @property
    def steps(self) -> int:
        """The number of batches of an epoch, including a smaller last one."""
        return -(-self.rows // self.size)

    def epoch(self, number: int, start: int = 0) -> Epoch:
        """The batches of an epoch, counted from 0, from batch `start` on."""
        return Epoch(self, number, start)

    def batch(self, rows: Array) -> dict[str, Array]:
        """Some rows, by their indices."""
        return {name: a if name in self.whole else self._rows(a, rows) for name, a in self.arrays.items()}

    def order(self, number: int) -> Array:
        """The indices of rows in the order of an epoch."""
        if not self.shuffle:
            return np.arange(self.rows)
        return np.random.Generator(np.random.Philox(key=[self.seed, number])).permutation(self.rows)

    def _rows(self, array: Array, rows: Array) -> Array:
        if not self.shuffle and len(rows):
            return np.ascontiguousarray(array[rows[0] : rows[-1] + 1])
        if isinstance(array, np.memmap):  # in the order of the file, which reads the disk sequentially
            back = np.argsort(rows)
            selected = np.empty((len(rows), *array.shape[1:]), array.dtype)
            selected[back] = array[rows[back]]
            return selected
        return np.ascontiguousarray(array[rows])


@dataclass(frozen=True)
class Epoch:
    """The batches of one epoch; can be iterated any number of times."""

    of: Batches
    number: int
    start: int

    def __iter__(self) -> Iterator[dict[str, Array]]:
        order, size = self.of.order(self.number), self.of.size
        for at in range(self.start * size, self.of.rows, size):
            rows = order[at : at + size]
            yield self.of.batch(rows[share(len(rows), *self.of.worker)])


def share(rows: int, rank: int, workers: int) -> slice:
    """The rows of one of several workers: consecutive ones, as many as the others have, or one less."""
    return slice(rows * rank // workers, rows * (rank + 1) // workers)


def batches_of(
    arrays: Mapping[str, Any],
    signature: Mapping[str, TensorType],
    size: int,
    *,
    seed: int = 0,
    shuffle: bool = True,
    worker: tuple[int, int] = (0, 1),
) -> Batches:
    """Arrays of many rows in batches for a model. Raises `RunError` if they don't match it."""
    checked, rows = check_inputs(signature, arrays), rows_of(signature)
    whole = frozenset(name for name in checked if not has_rows(signature[name], rows))
    batches = Batches(checked, size, seed=seed, shuffle=shuffle, whole=whole, worker=worker)
    if not batches.rows:
        raise fail("E0718", "the data has no rows")
    return batches


def has_rows(type: TensorType, rows: str) -> bool:
    """Does an input have a row for each row of the batch?"""
    return type.rank > 0 and type.shape[0].name == rows
