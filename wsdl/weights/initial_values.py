"""Initial values: each stored tensor has its own random stream, keyed by the path of its root slot and the seed.

So adding a layer or naming a share group doesn't change the values of other layers. Only the raw bits of NumPy's Philox
generator are used, which are the same in every version; distributions are computed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from math import prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.ir.dtypes import numpy_dtype
from wsdl.ir.graph import Lowered, Stored
from wsdl.ir.initializers import INITIALIZERS
from wsdl.ir.stages import Storage
from wsdl.ops.interpreter import evaluate
from wsdl.weights.narrow import as_stored

Array = NDArray[Any]
CHUNK = 1 << 20  # elements drawn at a time, in float64


def initial_values(program: Lowered | Storage, seed: int = 0) -> dict[str, Array]:
    """A new initial value for each stored tensor that isn't derived from others."""
    return completed({n: s for n, s in program.stored.items() if s.derived is None}, {}, seed)


def completed(stored: Mapping[str, Stored], values: Mapping[str, Array], seed: int) -> dict[str, Array]:
    """A value for each stored tensor: from `values`, otherwise its initial value, drawn or computed from others."""
    drawn = {n: s for n, s in stored.items() if n not in values and s.initializer.graph is None}
    complete = {**values, **{name: initial_value(s, seed) for name, s in drawn.items()}}
    rest = [name for name in reversed([*stored]) if name not in complete]
    while rest:
        graph = stored[rest[-1]].initializer.graph
        assert graph is not None
        missing = [name for name in graph.stored() if name not in complete]
        rest += missing
        if not missing:
            name = rest.pop()
            [array] = evaluate(graph, [], complete)
            complete[name] = _as_stored(array, stored[name])
        while rest and rest[-1] in complete:
            rest.pop()
    return {name: complete[name] for name in stored}


class WithDerived(Mapping[str, Array]):
    """`values`, and the stored tensors that are computed from them when compiling: each on access, so that it isn't in
    memory together with the tensors that it is computed from."""

    def __init__(self, program: Lowered, values: Mapping[str, Array]) -> None:
        self._values = values
        self._derived = {s.name: s for s in program.stored.values() if s.derived is not None}

    def __getitem__(self, name: str) -> Array:
        stored = self._derived.get(name)
        if stored is None:
            return self._values[name]
        assert stored.derived is not None
        [array] = evaluate(stored.derived, [], self)
        subject = f"`{name}`, which is computed when compiling,"
        dtype = numpy_dtype(stored.type.dtype)
        return np.asarray(as_stored(array, dtype, subject, stored.root.span), order="C")

    def __contains__(self, name: object) -> bool:
        return name in self._values or name in self._derived

    def __iter__(self) -> Iterator[str]:
        yield from self._values
        yield from self._derived

    def __len__(self) -> int:
        return len(self._values) + len(self._derived)


def initial_value(stored: Stored, seed: int) -> Array:
    """The initial value of a stored tensor that isn't computed from others."""
    initializer = stored.initializer
    arguments = INITIALIZERS[initializer.name].arguments(initializer.arguments)
    key, several = initializer.key or stored.root.path, stored.sizes[: initializer.leading]
    shape = stored.sizes[initializer.leading :]
    keys = [f"{key}[{number}]" for number in range(prod(several))] if several else [key]
    arrays = [getattr(_Draw(key, seed, shape), initializer.name)(**arguments) for key in keys]
    return _as_stored((arrays[0] if len(arrays) == 1 else np.stack(arrays)).reshape(stored.sizes), stored)


def _as_stored(array: Array, stored: Stored) -> Array:
    subject = f"the initial value of `{stored.root.path}`"
    return as_stored(np.asarray(array), numpy_dtype(stored.type.dtype), subject, stored.root.span)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """`fan_in` and `fan_out` of a weight `[out, in, *kernel]`."""
    if len(shape) < 2:
        return (max(1, prod(shape)),) * 2
    kernel = prod(shape[2:])
    return max(1, shape[1] * kernel), max(1, shape[0] * kernel)


class _Draw:
    """The random stream of one tensor, with a method for each initializer; all return flat arrays."""

    def __init__(self, path: str, seed: int, shape: tuple[int, ...]) -> None:
        key = int.from_bytes(sha256(f"{path}\0{seed}".encode()).digest()[:16], "little")
        self._even = np.random.Generator(np.random.Philox(key=key))
        self._shape, self._size = shape, prod(shape)
        self._fan_in, self._fan_out = fans(shape)

    # -- random values -------------------------------------------------------------------------------------------------

    def _unit(self, out: Array) -> Array:
        """Uniform in [0, 1): the upper 53 of the next 64 bits."""
        self._even.random(out=out)
        return out

    def _standard_normal(self, out: Array) -> Array:
        """By the method of Box and Muller."""
        half = (out.size + 1) // 2
        radius, angle = np.empty(half), np.empty(half)
        np.log1p(np.negative(self._unit(radius), out=radius), out=radius)
        np.sqrt(np.multiply(radius, -2.0, out=radius), out=radius)
        np.multiply(self._unit(angle), 2.0 * np.pi, out=angle)
        np.multiply(np.cos(angle, out=out[:half]), radius, out=out[:half])
        rest = out.size - half
        np.multiply(np.sin(angle[:rest], out=out[half:]), radius[:rest], out=out[half:])
        return out

    def _within_two(self, out: Array) -> Array:
        self._standard_normal(out)
        while (beyond := np.flatnonzero(np.abs(out) > 2)).size:
            out[beyond] = self._standard_normal(np.empty(beyond.size))
        return out

    def _filled(self, distribution: Callable[[Array], Array], scale: float, offset: float, chunk: int = CHUNK) -> Array:
        array, buffer = np.empty(self._size, np.float32), np.empty(min(chunk, self._size))
        for start in range(0, self._size, chunk):
            part = array[start : start + chunk]
            values = distribution(buffer[: part.size])
            values *= scale
            np.add(values, offset, out=part, casting="same_kind")
        return array

    # -- initializers --------------------------------------------------------------------------------------------------

    def zeros(self) -> Array:
        return np.zeros(self._size, np.float32)

    def ones(self) -> Array:
        return np.ones(self._size, np.float32)

    def constant(self, value: float) -> Array:
        return np.full(self._size, value, np.float64)

    def uniform(self, low: float, high: float) -> Array:
        return self._filled(self._unit, high - low, low, CHUNK >> 5)  # small chunks are faster, with the same values

    def normal(self, mean: float, std: float) -> Array:
        return self._filled(self._standard_normal, std, mean)

    def trunc_normal(self, mean: float, std: float) -> Array:
        return self._filled(self._within_two, std, mean)

    def kaiming_uniform(self, a: float) -> Array:
        bound = sqrt(6 / ((1 + a * a) * self._fan_in))
        return self.uniform(-bound, bound)

    def kaiming_normal(self, a: float) -> Array:
        return self.normal(0.0, sqrt(2 / ((1 + a * a) * self._fan_in)))

    def xavier_uniform(self, gain: float) -> Array:
        bound = gain * sqrt(6 / (self._fan_in + self._fan_out))
        return self.uniform(-bound, bound)

    def xavier_normal(self, gain: float) -> Array:
        return self.normal(0.0, gain * sqrt(2 / (self._fan_in + self._fan_out)))

    def orthogonal(self, gain: float) -> Array:
        if not self._size:
            return np.zeros(0)
        rows = self._shape[0] if self._shape else 1
        columns = self._size // max(1, rows)
        tall = self._standard_normal(np.empty(self._size)).reshape(max(rows, columns), -1)
        q, r = np.linalg.qr(tall)
        q *= np.where(np.diag(r) < 0, -1.0, 1.0)
        del tall, r
        q *= gain
        return (q if rows >= columns else q.T).ravel()
