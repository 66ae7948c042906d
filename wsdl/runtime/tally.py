"""Merges values of several parts of a batch or data set, as `Merged` defines, in NumPy.

Sums and means are kept in f64, so that thousands of parts round no worse than one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.diagnostics.run_error import fail
from wsdl.ir.binding import bind_sizes
from wsdl.ir.dims import Dim
from wsdl.ir.dtypes import numpy_dtype
from wsdl.ir.graph import Graph
from wsdl.ir.step import Merge
from wsdl.ir.types import TensorType
from wsdl.ops.interpreter import evaluate

Array = NDArray[Any]
Parts = tuple[Array, ...]
Shapes = tuple[tuple[int, ...], ...]


def _mean(a: Parts, b: Parts) -> Parts:
    """(means, counts): means weighted by their counts; the mean of no elements has no weight."""
    count = a[1] + b[1]
    (x, n), (y, m) = a, b
    total = np.where(n != 0, x * n, 0) + np.where(m != 0, y * m, 0)
    return np.where(count != 0, total / count, np.nan), count


def _moments(a: Parts, b: Parts) -> Parts:
    """(variances, means, counts), by the rule of Chan, Golub and LeVeque (1979)."""
    (v, x, n), (w, y, m) = a, b
    count, away = n + m, y - x
    spread = v * (n / count) + w * (m / count) + away * away * (n / count) * (m / count)
    mean = x + away * (m / count)
    return tuple(np.where(n == 0, right, np.where(m == 0, left, both)) for left, right, both in (
        (v, w, spread), (x, y, mean), (n, m, count)
    ))  # fmt: skip


def _same(a: Parts, b: Parts) -> Parts:
    if not np.allclose(a[0], b[0], rtol=1e-4, atol=1e-6, equal_nan=True):
        message = "an input without rows differs from batch to batch, but a loss or metric depends on it"
        raise fail(
            "E0713", message, help="it must be the same for all rows; a value for each row needs an input with rows"
        )
    return b


def _by(function: Callable[[Array, Array], Array]) -> Callable[[Parts, Parts], Parts]:
    return lambda a, b: (function(a[0], b[0]),)


MERGING: dict[str, Callable[[Parts, Parts], Parts]] = {
    "sum": _by(np.add), "prod": _by(np.multiply), "max": _by(np.maximum), "min": _by(np.minimum),
    "logsumexp": _by(np.logaddexp), "mean": _mean, "moments": _moments, "same": _same,
}  # fmt: skip


class Tally:
    """Merges in progress: the parts added so far, combined."""

    def __init__(self, merges: Iterable[Merge]) -> None:
        self.merges = [merge for merge in merges if merge.how != "size"]
        self._merged: list[Parts | None] = [None] * len(self.merges)

    def add(self, parts: Iterable[Array]) -> None:
        """Add the outputs of one part, for all `Whole`s of all merges, in order."""
        rest = iter(parts)
        with np.errstate(all="ignore"):
            for i, merge in enumerate(self.merges):
                own = tuple(_wide(next(rest)) for _ in merge.wholes)
                before = self._merged[i]
                self._merged[i] = own if before is None else MERGING[merge.how](before, _alike(before, own))

    @property
    def merged(self) -> list[Array]:
        """The merged values, for all `Whole`s of all merges, in order; none before the first part."""
        return [array for merged in self._merged for array in merged or ()]

    def wholes(self) -> dict[str, Array]:
        """The merged values, by the names of the inputs that read them."""
        return {
            whole.name: np.asarray(array).astype(numpy_dtype(whole.type.dtype))
            for merge, merged in zip(self.merges, self._merged, strict=True)
            for whole, array in zip(merge.wholes, merged or (), strict=True)
        }


def _wide(array: Array) -> Array:
    return np.asarray(array).astype(np.float64) if array.dtype.kind in "fV" else np.asarray(array)


def _alike(before: Parts, own: Parts) -> Parts:
    for a, b in zip(before, own, strict=True):
        if a.shape != b.shape:
            message = f"a loss or metric combines values of all batches that are {list(a.shape)} in one batch"
            raise fail("E0713", f"{message} and {list(b.shape)} in another", help="pad them to the same size")
    return own


class Sizes:
    """The dynamic dimensions of the whole: `rows` is added up over all parts, every other one must be the same in all.

    `known` caches the sizes of arrays by their shapes.
    """

    def __init__(
        self, signature: Mapping[str, TensorType], rows: str | None, known: dict[Shapes, dict[str, int]] | None = None
    ) -> None:
        self.signature, self.rows = signature, rows
        self._known = {} if known is None else known
        self.parts = 0
        self.sizes: dict[str, int] = {}
        self._differ: dict[str, tuple[int, int]] = {}

    @property
    def count(self) -> int:
        """The number of rows so far."""
        return 0 if self.rows is None else self.sizes.get(self.rows, 0)

    def add(self, arrays: Mapping[str, Array]) -> None:
        """Add the sizes of one part."""
        self.parts += 1
        shapes = tuple(arrays[name].shape for name in self.signature)
        if shapes not in self._known:
            self._known[shapes] = bind_sizes(list(self.signature.values()), shapes, list(self.signature))
        self._add(self._known[shapes])

    def _add(self, sizes: Mapping[str, int]) -> None:
        for name, size in sizes.items():
            before = self.sizes.get(name)
            if name == self.rows:
                self.sizes[name] = (before or 0) + size
            elif before is not None and before != size:
                self._differ[name] = before, size
            else:
                self.sizes[name] = size

    def range_of(self, name: str) -> tuple[int, int]:
        """Two sizes that a dimension has in the parts, which differ if any do; zeros where there are no parts."""
        size = self.sizes.get(name, 0)
        return self._differ.get(name, (size, size))

    def add_parts(self, parts: int, ranges: Mapping[str, tuple[int, int]]) -> None:
        """Add what another worker has added: so many parts, with the sizes of `range_of`."""
        if parts:
            self.parts += parts
            self._add({name: sizes[0] for name, sizes in ranges.items()})
            self._add({name: sizes[1] for name, sizes in ranges.items() if name != self.rows})

    def shape(self, type: TensorType) -> tuple[int, ...]:
        """The shape that a value of the whole has."""
        self._require_equal(type.shape)
        return tuple(dim.evaluate(self.sizes) for dim in type.shape)

    def wholes(self, merges: Iterable[Merge]) -> dict[str, Array]:
        """The inputs that are sizes of the whole, by name. Raises `RunError` if one differs from part to part."""
        sizes = {merge.wholes[0].name: merge.dim for merge in merges if merge.dim is not None}
        self._require_equal(sizes.values())
        return {name: np.array(dim.evaluate(self.sizes), np.int64) for name, dim in sizes.items()}

    def of(self, graph: Graph) -> dict[str, int]:
        """The sizes for a graph. Raises `RunError` if it needs one that differs from part to part."""
        self._require_equal(dim for node in graph.walk() for dim in _dims(node.attributes))
        return self.sizes

    def _require_equal(self, dims: Iterable[Dim]) -> None:
        names = {name for dim in dims for name in dim.names()} if self._differ else set()
        for name in sorted(names & self._differ.keys()):
            a, b = self._differ[name]
            message = f"`{name}` is {a} in one batch and {b} in another, but a loss or metric depends on it"
            raise fail("E0713", message, help="pad all batches to the same size")


def _dims(attribute: object) -> Iterator[Dim]:
    if isinstance(attribute, Dim):
        yield attribute
    for part in attribute if isinstance(attribute, list) else attribute.values() if isinstance(attribute, dict) else ():
        yield from _dims(part)


def results(graph: Graph, wholes: Mapping[str, Array], sizes: Sizes) -> list[Array]:
    """What a graph computes from values of the whole."""
    return [np.asarray(a) for a in evaluate(graph, [wholes[v.name] for v in graph.inputs], {}, sizes.of(graph))]
