"""Dropout and its mask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F

from tests.ops.case import Case, case, numbers

ROUND = 2**64


def random_bits(seed: int, step: int, place: int, start: int, count: int) -> Iterator[int]:
    """As `docs/decisions/0022-dropout.md` says it, number by number in whole numbers of any length."""
    for position in range(start, start + count):
        bits = seed * 0xD1342543DE82EF95 + step * 0xDABA0B6EB09322E3 + place + position * 0x9E3779B97F4A7C15
        bits %= ROUND
        bits = (bits ^ bits >> 32) * 0xBF58476D1CE4E5B9 % ROUND
        yield (bits ^ bits >> 29) * 0x94D049BB133111EB % ROUND


def mask(numbers: Sequence[int], rows: int, columns: int, p: float) -> list[bool]:
    seed, step, place = numbers
    odd = [bits >> 32 | 1 for bits in random_bits(seed, step, place, 0, rows + columns)]
    products = [left * right % 2**32 for left in odd[:rows] for right in odd[rows:]]
    return [(product + 2**31) % 2**32 >= p * 2**32 for product in products]  # 2**31 and more stand for negative ones


def random_mask(seed: int, step: int, place: int, shape: list[int], rows: int, columns: int, p: float = 0.5) -> Case:
    def expected(*given: torch.Tensor) -> torch.Tensor:
        return torch.tensor(mask([int(g) for g in given], rows, columns, p), dtype=torch.bool).reshape(shape)

    given = (numbers(number, "int64") for number in (seed, step, place))
    return case("random_mask", *given, shape=shape, p=p, torch=expected)


def part_of_mask(start: int, count: int, per_row: int, of: list[int]) -> Case:
    """`count` rows of a larger mask, from `start` on; `per_row` of its positions are a row of the batch."""

    def expected(*_: torch.Tensor) -> torch.Tensor:
        columns = of[0] * of[1] * of[2] // (of[0] * per_row)
        whole = torch.tensor(mask([7, 3, 1], of[0] * per_row, columns, 0.3), dtype=torch.bool).reshape(of)
        return whole[start : start + count]

    given = (numbers(number, "int64") for number in (7, 3, 1, start * per_row, of[0] * per_row))
    return case("random_mask", *given, shape=[count, *of[1:]], p=0.3, torch=expected)


def random_masks(places: list[int], shape: list[int]) -> Case:
    """One for each of several places."""

    def expected(seed: torch.Tensor, step: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        found = [mask([int(seed), int(step), at], shape[0], shape[1], 0.3) for at in places]
        return torch.tensor(found, dtype=torch.bool).reshape(len(places), *shape)

    given = (numbers(number, "int64") for number in (7, 3, places))
    return case("random_mask", *given, shape=shape, p=0.3, torch=expected)


def kept(x: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    return torch.where(keep, x / 0.75, 0)


CASES = [
    *(case("dropout", f"{d}[2, 5]", p=0.3, torch=lambda x: F.dropout(x, 0.3, training=False)) for d in ("f32", "f16")),
    random_mask(0, 0, 0, [4, 5], 4, 5),
    random_mask(7, 3, -5, [6, 7], 6, 7, 0.1),
    random_mask(2**63 - 1, 2**40, -(2**63), [3, 2, 4], 6, 4, 0.9),
    random_mask(-1, 1, 2**62, [2, 3, 2, 2], 6, 4, 0.25),
    random_mask(1, 2, 3, [9], 9, 1),
    random_mask(1, 2, 3, [], 1, 1),
    random_mask(1, 2, 3, [0, 3], 0, 3),
    random_mask(1, 2, 3, [3, 0], 3, 0),
    random_mask(1, 2, 3, [5, 5], 5, 5, 0),
    part_of_mask(2, 3, 4, [6, 4, 5]),
    part_of_mask(0, 1, 4, [6, 4, 5]),
    part_of_mask(1, 2, 1, [4, 1, 1]),
    random_masks([5, -(2**62), 9], [6, 7]),
    random_masks([1, 2], [0, 7]),
    *(
        case(op, f"{d}[4, 5]", "bool[4, 5]", p=0.25, torch=kept)
        for op in ("dropout_training", "dropout_gradient")
        for d in ("f16", "bf16", "f32", "f64")
    ),
    *(case(op, "f32[0, 3]", "bool[0, 3]", p=0.25, torch=kept) for op in ("dropout_training", "dropout_gradient")),
]
