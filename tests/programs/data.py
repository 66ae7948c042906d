"""The arrays that a program is run with, and its evaluation on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tests.programs.description import Description, Type
from tests.programs.storage import Storage
from tests.programs.twin import Machine, Twin, arrays_of

Array = NDArray[Any]
NUMPY = {"f32": "f4", "f64": "f8", "f16": "f2", "i64": "i8", "bool": "?"}


def arrays(types: Mapping[str, Type], dims: Mapping[str, int], seed: int) -> dict[str, Array]:
    """Random arrays: floats around 0, integers below 5, bools."""
    found = {}
    for name, type in types.items():
        rng = np.random.default_rng([seed, crc32(name.encode()), *dims.values()])
        shape = [size.value(dims) for size in type.shape]
        limit = 5 if type.dtype == "i64" else 2
        numbers: Array = rng.normal(0, 1, shape) if type.is_float else rng.integers(0, limit, shape)
        found[name] = numbers.astype(NUMPY[type.dtype])
    return found


def inputs(program: Description, model: str, dims: Mapping[str, int], seed: int) -> dict[str, Array]:
    return arrays(dict(program.model(model).inputs), dims, seed)


def evaluated(program: Description, seed: int, dims: Mapping[str, int] | None = None, **machine: Any) -> Machine:
    """The machine after all models of a program were run once: with its slots, and `outputs` by model."""
    ran = Machine(Storage(program.groups, program.formulas, seed), **machine)
    twin = Twin(program, ran)
    dims = program.sizes[0] if dims is None else dims
    for model in program.models:
        twin.outputs(model.name, as_tensors(inputs(program, model.name, dims, seed)), dims)
    return ran


def as_tensors(given: Mapping[str, Array]) -> dict[str, Tensor]:
    return dict(arrays_of(given))
