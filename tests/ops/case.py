"""One row of a table: an operation on arrays, and what PyTorch calls it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from tests.ops.build import Array, Operand, evaluated, random_array, typed
from wsdl.ops import Operation

Made = Callable[[str], Array]
Given = str | Made | list["Given"] | None


@dataclass
class Case:
    """`torch` gets the operands as tensors. `runs=False` where ONNX Runtime has none on the CPU."""

    op: str
    given: Sequence[Given]
    torch: Callable[..., Any]
    attributes: dict[str, Any] = field(default_factory=dict)
    runs: bool = True
    slack: float = 1

    @property
    def name(self) -> str:
        operands = ", ".join(map(_text, self.given))
        attributes = ", ".join(f"{k}={v}" for k, v in self.attributes.items())
        return f"{self.op}({', '.join(filter(None, (operands, attributes)))})"

    @property
    def in_reach(self) -> bool:
        """Can ONNX Runtime run it here? Its Python interface has no `bf16`."""
        return self.runs and "bf16" not in self.name

    @cached_property
    def arrays(self) -> list[Operand]:
        """The operands, drawn once for all tests, which can't write to them."""
        return [_made(given, f"{self.op} {i}") for i, given in enumerate(self.given)]


def case(
    op: str, *given: Given, torch: Callable[..., Any], runs: bool = True, slack: float = 1, **attributes: Any
) -> Case:
    return Case(op, given, torch, attributes, runs, slack)


# -- elementwise operations without a row ------------------------------------------------------------------------------

SIZES = {"n": 2, "t": 3}
STEP = 1e-3  # of differences, in f64: with five points right to 1e-9, a second time too


def from_example(operation: Operation) -> list[Case]:
    """The example of an elementwise operation's docstring on arrays, in f32 and f16. In the place of PyTorch stands the
    reference, with gradients by differences."""
    _, types, _ = example(operation)
    given = [re.sub(r"[nt]", lambda size: str(SIZES[size[0]]), text) for text in types]
    halves = [text.replace("f32", "f16") for text in given]
    rows = [given] if halves == given else [given, halves]
    return [Case(operation.name, row, lambda *x: Differences.apply(operation.name, *x)) for row in rows]


def example(operation: Operation) -> tuple[str, list[str], str]:
    """Of `f(x: f32[n, t]) -> f32[n, t]` the name, the types of the operands, and that of the result."""
    call, _, result = operation.examples[0].partition(" -> ")
    return operation.name, re.findall(r": (\w+\[[^\]]*\])", call), result


class Differences(torch.autograd.Function):
    """An elementwise operation by its reference, with gradients by differences."""

    @staticmethod
    def forward(ctx: Any, op: str, *operands: torch.Tensor) -> torch.Tensor:
        ctx.op = op
        ctx.save_for_backward(*operands)
        return torch.from_numpy(evaluated(op, [x.detach().numpy() for x in operands], {})[0])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        operands, slopes = ctx.saved_tensors, []
        for i, x in enumerate(operands):
            slope: Any = sum(
                weight * Differences.apply(ctx.op, *operands[:i], x + by * STEP, *operands[i + 1 :])
                for by, weight in ((-2, 1), (-1, -8), (1, 8), (2, -1))
            )
            slopes.append((gradients[0] * slope / (12 * STEP)).sum_to_size(x.shape))
        return None, *slopes


def _made(given: Given, key: str) -> Any:
    if isinstance(given, list):
        return [_made(g, f"{key} {i}") for i, g in enumerate(given)]
    if given is None:
        return None
    array = random_array(typed(given), key) if isinstance(given, str) else given(key)
    array.flags.writeable = False
    return array


def _text(given: Given) -> str:
    if isinstance(given, list):
        return f"[{', '.join(map(_text, given))}]"
    return given if isinstance(given, str) else str(getattr(given, "text", None))  # the same in each process


def _maker(text: str, make: Callable[[str], Array]) -> Made:
    make.text = text  # type: ignore[attr-defined] # for the name of the test
    return make


def positive(type: str, least: float = 0.1) -> Made:
    """Random numbers from `least` on."""

    def make(key: str) -> Array:
        array = random_array(typed(type), key)
        return np.asarray(np.abs(array) + least, array.dtype)

    return _maker(f"positive {type}", make)


def nonzero(type: str) -> Made:
    """Random numbers without 0."""

    def make(key: str) -> Array:
        array = random_array(typed(type), key)
        return np.asarray(np.where(array == 0, 3, array), array.dtype)

    return _maker(f"nonzero {type}", make)


def below(limit: int, type: str, least: int = 0) -> Made:
    """Integers from `least` up to but without `limit`."""

    def make(key: str) -> Array:
        array = random_array(typed(type), key)
        return (np.arange(array.size) * 7 % (limit - least) + least).reshape(array.shape).astype(array.dtype)

    return _maker(f"{least}..{limit} {type}", make)


def numbers(values: Any, dtype: str = "float32") -> Made:
    """These numbers."""
    return _maker(f"{dtype} {values}", lambda key: np.array(values, dtype))


def special(dtype: str = "float32") -> Made:
    """Zeros, infinities, NaN, large and small numbers."""
    return numbers([0.0, -0.0, np.inf, -np.inf, np.nan, 1e4, -1e4, 1e-4, 88.0, -88.0, 0.5, 1.5, 2.5, -0.5, -1.5], dtype)


FLOATS = ("f16", "bf16", "f32", "f64")
INTEGERS = ("i8", "i16", "i32", "i64", "u8")
SIGNED = ("i8", "i16", "i32", "i64")
