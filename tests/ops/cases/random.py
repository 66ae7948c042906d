"""Random numbers, against whole numbers of any length and `math`."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, log, pi, sqrt
from typing import Any

import torch

from tests.ops.case import Case, case, numbers
from tests.ops.cases.dropout import random_bits

DIGITS = {"f16": 11, "bf16": 8, "f32": 24, "f64": 53}


def uniform(bits: int, dtype: str) -> float:
    return (bits >> 64 - DIGITS[dtype]) / 2 ** DIGITS[dtype]


def normal(bits: int, dtype: str) -> float:
    upper, lower = bits >> 32, bits % 2**32
    return sqrt(-2 * log((upper + 0.5) / 2**32)) * cos(2 * pi * (upper ^ lower) / 2**32)


COMPUTED: dict[str, Callable[[int, str], float]] = {"uniform_numbers": uniform, "normal_numbers": normal}


def drawn(op: str, seed: int, step: int, places: int | list[int], shape: list[int], dtype: str, start: int = 0) -> Case:
    def expected(*given: torch.Tensor) -> torch.Tensor:
        count = torch.Size(shape).numel()
        found = [
            [COMPUTED[op](bits, dtype) for bits in random_bits(seed, step, int(place), start, count)]
            for place in given[2].reshape(-1)
        ]
        return torch.tensor(found, dtype=torch.float64).reshape([*given[2].shape, *shape])

    given = [numbers(number, "int64") for number in (seed, step, places)]
    given += [numbers(start, "int64")] if start else []
    return case(op, *given, shape=shape, dtype=dtype, torch=expected)


def called(op: str, **attributes: Any) -> Case:
    """As programs call it: at the first step, in place 0."""

    def expected(*given: torch.Tensor) -> torch.Tensor:
        bits = random_bits(int(given[0]) if given else 0, 0, 0, 0, 6)
        if op == "random_bernoulli":
            return torch.tensor([uniform(b, "f32") < attributes["p"] for b in bits]).reshape(2, 3)
        compute = uniform if op == "random_uniform" else normal
        return torch.tensor([compute(b, attributes.get("dtype", "f32")) for b in bits]).reshape(2, 3)

    return case(op, numbers(7, "int64"), shape=[2, 3], torch=expected, **attributes)


CASES = [
    *(drawn(op, 7, 3, -5, [6, 7], dtype) for op in COMPUTED for dtype in DIGITS),
    *(drawn(op, -1, 2**40, 2**62, [5], "f32", start=2**33 + 1) for op in COMPUTED),
    *(drawn(op, 2**63 - 1, 0, [5, -(2**63)], [2, 2, 2], "f32") for op in COMPUTED),
    *(drawn(op, 1, 2, 3, [3, 0], "f32") for op in COMPUTED),
    *(drawn(op, 1, 2, 3, [], "f32", start=4) for op in COMPUTED),
    *(called(op) for op in ("random_uniform", "random_normal")),
    *(called(op, dtype="f16") for op in ("random_uniform", "random_normal")),
    *(called("random_bernoulli", p=p) for p in (0.0, 0.3, 1.0)),
]
