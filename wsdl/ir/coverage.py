"""Which elements of a tensor views read, together: what they leave out, and what they read twice.

A set of elements is an integer, with one bit for each run of elements that no view divides. So the answers are exact,
whatever the views are, and need no arrays: [50257, 768] by rows is a number of 50,257 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from math import gcd, prod
from operator import or_

from wsdl.ir.views import View

MOST_BITS = 1 << 33  # 1 GiB


@dataclass(frozen=True)
class Part:
    """Elements of a tensor: how many, and `text`, the smallest slice with all of them: `[50257:50304]`. `is_exact`
    says that the slice has no others."""

    text: str
    count: int
    is_exact: bool

    def __str__(self) -> str:
        return self.text if self.is_exact else f"{self.text} ({self.count:,} elements of it)"


def left_out(shape: Sequence[int], views: Sequence[View]) -> Part | None:
    """The elements of a tensor that none of the views reads."""
    bits = _Bits(shape, views)
    return bits.part(bits.all & ~bits.together(bits.masks))


def in_both(one: View, other: View) -> Part | None:
    """The elements that both views of a tensor read."""
    bits = _Bits(one.source, [one, other])
    first, second = bits.masks
    return bits.part(first & second)


def covers(views: Sequence[View], view: View) -> bool:
    """Whether the views of a tensor together read all that another one reads."""
    if any(each.is_whole for each in views):
        return True
    bits = _Bits(view.source, [view, *views])
    return not bits.masks[0] & ~bits.together(bits.masks[1:])


def overlap(views: Sequence[View]) -> tuple[int, int, Part] | None:
    """The first two views of a tensor that have some elements in common, but not all, by their position."""
    bits, before = _Bits(views[0].source, views), 0
    for number, mask in enumerate(bits.masks):
        if mask & before and mask not in bits.masks[:number]:
            first = next(i for i, each in enumerate(bits.masks) if each & mask)
            part = bits.part(mask & bits.masks[first])
            assert part is not None
            return first, number, part
        before |= mask
    return None


class _Bits:
    """The elements of a tensor in runs of `unit`, and the mask of each view."""

    def __init__(self, shape: Sequence[int], views: Sequence[View]) -> None:
        self.shape, size = tuple(shape), prod(shape)
        read = [_ascending(view) if prod(view.shape) else None for view in views]
        runs = (n for each in read if each for n in (each[0], _run(each[1]), *_strides(each[1])))
        self.unit = gcd(size, *runs) or 1
        if size // self.unit > MOST_BITS:
            raise MemoryError("the views of a tensor divide it into too many parts")
        self.all = (1 << size // self.unit) - 1
        self.masks = [self._mask(*each) if each else 0 for each in read]

    @staticmethod
    def together(masks: Iterable[int]) -> int:
        return reduce(or_, masks, 0)

    def _mask(self, offset: int, digits: Sequence[tuple[int, int]]) -> int:
        mask = 1
        for size, stride in digits:
            size, stride = (size // self.unit, 1) if stride == 1 else (size, stride // self.unit)
            count = 1
            while count < size:  # copies beside each other, twice as many each time
                more = min(count, size - count)
                mask |= mask << more * stride
                count += more
        return mask << offset // self.unit

    def part(self, mask: int) -> Part | None:
        if not mask:
            return None
        count, box, inner, full = mask.bit_count() * self.unit, [], prod(self.shape), False
        for size in self.shape:
            inner //= size
            if full:
                box.append((0, size, 1))
                continue
            first, last = (mask & -mask).bit_length() - 1, mask.bit_length() - 1
            box.append((first * self.unit // inner, ((last + 1) * self.unit - 1) // inner + 1, 1))
            full = bool(inner % self.unit) or inner == self.unit
            mask = _folded(mask, size, inner // self.unit)
        slices = View.identity(self.shape).slice(box)
        text = str(slices)
        while text.endswith(", :]"):
            text = text.removesuffix(", :]") + "]"
        return Part(text or "[:]", count, count == prod(slices.shape))


def _ascending(view: View) -> tuple[int, list[tuple[int, int]]]:
    """The first element of a view, and its digits with positive strides."""
    _, offset, digits = view.layout
    first = offset + sum((size - 1) * stride for size, stride in digits if stride < 0)
    return first, [(size, abs(stride)) for size, stride in digits]


def _run(digits: Sequence[tuple[int, int]]) -> int:
    """The number of elements of a view that are beside each other."""
    return next((size for size, stride in digits if stride == 1), 1)


def _strides(digits: Sequence[tuple[int, int]]) -> list[int]:
    return [stride for _, stride in digits if stride != 1]


def _folded(mask: int, rows: int, width: int) -> int:
    """All rows of a mask in one."""
    while rows > 1 and width:
        half = (rows + 1) // 2
        mask = (mask & ((1 << half * width) - 1)) | (mask >> half * width)
        rows = half
    return mask
