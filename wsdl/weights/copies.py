"""Finds tensors of a file that are stored more than once: with equal bytes, or as transposed copies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from math import prod
from typing import Any, TypeAlias

import numpy as np

from wsdl.ir.inventory import Copies
from wsdl.ir.types import BYTES
from wsdl.weights.source import Source, WeightsError

Array: TypeAlias = np.ndarray[Any, Any]
SMALLEST = 64  # elements; smaller tensors are often equal by chance
_SAMPLES = 16  # elements of each tensor that are compared before all are read


def copies_in(source: Source, names: Iterable[str]) -> tuple[Copies, ...]:
    """The groups of equal tensors among those with these names, the first of each as it is. Tensors whose elements are
    all equal, such as biases that were never trained, are none. Tensors that can't be read are left out."""
    groups: list[Copies] = []
    for candidates in _alike(_readable(source, names)):
        by_content: dict[bytes, list[str]] = {}
        for name in candidates:
            content = _digest(source.read(name))
            turned = _digest(source.read(name).T) if len(source.info(name).shape) == 2 else content
            key = content if content in by_content or turned not in by_content else turned
            by_content.setdefault(key, []).append(name if key == content else f"{name}.T")
        for equal in by_content.values():
            if len(equal) > 1:
                array = source.read(equal[0])
                groups.append(Copies(tuple(equal), array.nbytes))
    return tuple(groups)


def _readable(source: Source, names: Iterable[str]) -> Iterator[tuple[str, Array]]:
    for name in names:
        info = source.info(name)
        if prod(info.shape) >= SMALLEST and info.dtype in BYTES:
            try:
                yield name, source.read(name)
            except WeightsError:
                continue


def _alike(arrays: Iterable[tuple[str, Array]]) -> list[list[str]]:
    """The names of several tensors that have a dtype, a shape or the transposed one, and some elements in common."""
    groups: dict[object, list[str]] = {}
    for name, array in arrays:
        sample = _sample(array)
        if sample.min() != sample.max() or not _is_constant(array):
            shape = tuple(sorted(array.shape)) if array.ndim == 2 else array.shape
            groups.setdefault((array.dtype.name, shape, sample.tobytes()), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def _sample(array: Array) -> Array:
    """Some elements, the same of a matrix and of its transposed."""
    line = array.diagonal() if array.ndim == 2 else array.reshape(-1)
    return np.ascontiguousarray(line[:: max(1, len(line) // _SAMPLES)])


def _is_constant(array: Array) -> bool:
    return bool((array == array.flat[0]).all())


def _digest(array: Array) -> bytes:
    return str(array.shape).encode() + blake2b(np.ascontiguousarray(array).view(np.uint8).data).digest()
