"""One block of the standard library and its counterpart in PyTorch: what both are applied to, and in which sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from tests.compiling import shake

Shapes: TypeAlias = tuple[tuple[int, ...], ...]  # of the inputs of one run


@dataclass(frozen=True, eq=False)
class Case:
    """`layer` applied to inputs of these types computes what `twin` does; `rename` turns its weights' names into ours.

    Inputs are drawn as their dtype asks: numbers, ids below `ids`, truth values with the first of each row true.
    """

    layer: str
    twin: Callable[[], nn.Module]
    types: tuple[str, ...]
    runs: tuple[Shapes, ...]
    rename: Callable[[str], str] = str
    call: Callable[..., Any] = lambda module, *inputs: module(*inputs)
    ids: int = 11

    @property
    def block(self) -> str:
        return self.layer.partition("(")[0]


def edges(case: Case) -> dict[str, Shapes]:
    """The last run of a case again: with no rows, with one, and with sequences of one step, where it has such sizes."""
    sizes: dict[str, int] = {}
    dims = [type_.partition("[")[2].rstrip("]").split(", ") for type_ in case.types]
    for names, shape in zip(dims, case.runs[-1], strict=True):
        sizes |= dict(zip(names, shape, strict=True))
    wanted = {"no rows": {"n": 0}, "one row": {"n": 1}, "one step": {"t": 1}, "one step to look at": {"s": 1}}
    return {
        name: tuple(tuple(change.get(d, sizes[d]) for d in names) for names in dims)
        for name, change in wanted.items()
        if change.keys() <= sizes.keys() and case.block not in WITHOUT.get(name, ())
    }


# Kernels are longer than a step, a norm over one number is 0 but for rounding, and this bias doesn't depend on rows.
WITHOUT = {"one step": ("Conv1d", "InstanceNorm", "GroupNorm"), "no rows": ("RelativeBias",)}


def with_a_row(arrays: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    """Inputs without rows get one; of nothing many of PyTorch's modules don't know the shape."""
    return [a if len(a) else np.zeros((1, *a.shape[1:]), a.dtype) for a in arrays]


def one(*shapes: tuple[int, ...]) -> tuple[Shapes, ...]:
    """Runs on one input each."""
    return tuple((shape,) for shape in shapes)


def twin_of(case: Case) -> nn.Module:
    """The counterpart with random weights."""
    torch.manual_seed(0)
    twin = case.twin().eval()
    shake(twin)
    return twin


def program_of(case: Case, scaled: str = "") -> str:
    """A model `m` that is the layer; with `scaled` its inputs are first multiplied with a weight of that name."""
    names = [f"input{i}" for i in range(len(case.types))]
    weight = f"    param {scaled}: [1] = ones\n" if scaled else ""
    sent = [f"{n} * {scaled}" if scaled and t.startswith("f") else n for n, t in zip(names, case.types, strict=True)]
    inputs = ", ".join(f"{name}: {type_}" for name, type_ in zip(names, case.types, strict=True))
    return f"""
model m({inputs}) {{
{weight}    layer f = {case.layer}
    return f({", ".join(sent)})
}}
"""


def draw(case: Case, shapes: Shapes) -> list[np.ndarray[Any, Any]]:
    """Inputs of these shapes."""
    rng = np.random.default_rng(1)
    arrays: list[np.ndarray[Any, Any]] = []
    for type_, shape in zip(case.types, shapes, strict=True):
        if type_.startswith("i64"):
            arrays.append(rng.integers(0, case.ids, shape))
        elif type_.startswith("bool"):
            arrays.append(np.arange(shape[-1]) < rng.integers(1, shape[-1] + 1, (*shape[:-1], 1)))
        else:
            arrays.append(rng.standard_normal(shape).astype(np.float32))
    return arrays
