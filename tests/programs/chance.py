"""Random numbers: a hash of a seed, the step of the training, and the place in the program.

The hash and the place are computed a second time here, in whole numbers of Python.
"""

from __future__ import annotations

import math
from hashlib import sha256

import torch
from torch import Tensor

from tests.programs.description import Expr, Size, Type, expr
from tests.programs.operations import draws
from tests.programs.scope import Scope
from tests.programs.twin import Frame

ALL = 2**64 - 1
DIGITS = {"f16": 11, "f32": 24, "f64": 53}


def _bits(seed: int, step: int, place: int, position: int) -> int:
    bits = seed * 0xD1342543DE82EF95 + step * 0xDABA0B6EB09322E3 + place + position * 0x9E3779B97F4A7C15
    for shift, factor in ((32, 0xBF58476D1CE4E5B9), (29, 0x94D049BB133111EB)):
        bits = ((bits & ALL) ^ ((bits & ALL) >> shift)) * factor
    return bits & ALL


def _uniform(bits: int, dtype: str) -> float:
    return (bits >> 64 - DIGITS[dtype]) * 2.0 ** -DIGITS[dtype]


def _normal(bits: int, dtype: str) -> float:
    upper, lower = bits >> 32, (bits ^ bits >> 32) & 2**32 - 1
    radius = math.sqrt(-2 * math.log((upper + 0.5) / 2**32))
    return radius * math.cos(2 * math.pi * lower / 2**32)


def _place(frame: Frame, operation: str) -> int:
    """Of the layer whose body runs, this operation, how often it was applied, and the steps of the scans around."""
    machine, path = frame.machine, frame.module.path
    machine.drawn[path, operation] += 1
    parts = [path, operation, *filter(None, [machine.training]), str(machine.drawn[path, operation])]
    place = int.from_bytes(sha256("\0".join(parts).encode()).digest()[:8], "little")
    for step in machine.scans:
        place = (place + step) * 0x5851F42D4C957F2D
    return place


def random_numbers(operation: str, shape: tuple[Size, ...], dtype: str, seed: int | None = None) -> Expr:
    """A call; without a seed that of the run, which a `train` has."""

    def run(frame: Frame) -> Tensor:
        place, sizes = _place(frame, operation), [size.value(frame.sizes) for size in shape]
        at = frame.machine.run_seed if seed is None else seed
        of = _normal if operation == "random_normal" else _uniform
        kind = "f32" if operation == "random_bernoulli" else dtype
        numbers = [of(_bits(at, frame.machine.step, place, i), kind) for i in range(math.prod(sizes))]
        found = torch.tensor(numbers, dtype=torch.float64).reshape(sizes)
        return found < 0.5 if operation == "random_bernoulli" else frame.machine.read(found)

    arguments = [f"[{', '.join(map(str, shape))}]", *([] if seed is None else [f"seed={seed}"])]
    if operation == "random_bernoulli":
        arguments.insert(0, "0.5")
    elif dtype != "f32":
        arguments.append(f"dtype={dtype}")
    names = " ".join(size.name for size in shape)
    type = Type("bool" if operation == "random_bernoulli" else dtype, shape)
    return expr(type, f"{operation}({', '.join(arguments)})", run, reads=names)


NOISY = {
    "random_uniform": ("{0} * {1}", lambda x, r: x * r),
    "random_normal": ("({0} + 0.3 * {1})", lambda x, r: x + 0.3 * r),
    "random_bernoulli": ("where({1}, {0}, -{0})", lambda x, r: torch.where(r, x, -x)),
}


@draws(3)
def noise(s: Scope) -> Expr | None:
    """A tensor with noise of a seed."""
    x = s.float()
    if not x:
        return None
    operation = s.choice([*NOISY])
    text, meaning = NOISY[operation]
    numbers = random_numbers(operation, x.type.shape, s.dtype, s.choice([0, 1, 7, 2**40]))
    return expr(x.type, text, lambda _, v, r: meaning(v, r), x, numbers)
