"""A block of the standard library with its counterpart in PyTorch: what it is applied to, in which sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from references.weights import shake

Shapes: TypeAlias = tuple[tuple[int, ...], ...]  # of the inputs of one run


@dataclass(frozen=True, eq=False)
class Case:
    """`layer` applied to inputs of these types computes what `twin` does; `rename` turns its weights' names into ours.
    `training` is a line for its training.

    Inputs are drawn as their dtype asks: numbers, ids below `ids`, truth values with the first of each row true.
    """

    layer: str
    twin: Callable[[], nn.Module]
    types: tuple[str, ...]
    runs: tuple[Shapes, ...]
    rename: Callable[[str], str] = str
    call: Callable[..., Any] = lambda module, *inputs: module(*inputs)
    ids: int = 11
    training: str = ""

    @property
    def block(self) -> str:
        return self.layer.partition("(")[0]

    @property
    def every_run(self) -> tuple[Shapes, ...]:
        """The runs, and the first of them with an empty batch."""
        axes = [type_.partition("[")[2].rstrip("]").split(", ") for type_ in self.types]
        empty = tuple(
            tuple(0 if name == "n" else size for name, size in zip(names, shape, strict=True))
            for names, shape in zip(axes, self.runs[0], strict=True)
        )
        return (*self.runs, empty) if empty != self.runs[0] else self.runs


def one(*shapes: tuple[int, ...]) -> tuple[Shapes, ...]:
    """Runs on one input each."""
    return tuple((shape,) for shape in shapes)


def twin_of(case: Case) -> nn.Module:
    """The counterpart with random weights."""
    torch.manual_seed(0)
    twin = case.twin().eval()
    shake(twin)
    return twin


def results_of(case: Case, twin: nn.Module, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """What the counterpart gives. Some of PyTorch's refuse an empty batch: there it is cut from a batch of one."""
    try:
        results = case.call(twin, *inputs)
    except (RuntimeError, IndexError):
        if len(inputs[0]):
            raise
        ones = [torch.cat([x, x.new_ones(1, *x.shape[1:])]) if not len(x) else x for x in inputs]
        results = case.call(twin, *ones)[:0]
    return results if isinstance(results, tuple) else (results,)


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


# inputs that many have
ROWS = one((1, 3), (4, 3), (32, 3))
SEQUENCE = one((1, 1, 6), (3, 5, 6), (2, 17, 6))
IMAGE = one((1, 6, 9, 9), (2, 6, 8, 11), (3, 6, 16, 7))
SIGNAL = one((1, 6, 7), (4, 6, 20))
VOLUME = one((1, 2, 5, 6, 7), (2, 2, 8, 5, 5))
TOKENS = one((1, 1, 12), (2, 7, 12), (3, 10, 12))
MASKED = (((1, 1, 12), (1, 1)), ((2, 7, 12), (2, 7)), ((3, 10, 12), (3, 10)))
