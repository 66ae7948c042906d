"""A series of values over steps in bounded memory, and a smoothed line through them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, inf, isfinite, nan
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]  # step, value; NaN for a gap

MOST = 300  # buckets; each gives up to two points of a drawn line


@dataclass
class Bucket:
    """A summary of consecutive values."""

    first: int  # step
    last: int
    total: float = 0.0
    count: int = 0  # of finite values
    low: float = inf
    high: float = -inf
    low_first: bool = True  # the lowest came before the highest
    not_finite: int = 0

    @property
    def middle(self) -> float:
        return (self.first + self.last) / 2

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else nan

    def add(self, step: int, value: float) -> None:
        self.last = step
        if not isfinite(value):
            self.not_finite += 1
            return
        self.total += value
        self.count += 1
        if value < self.low:
            self.low, self.low_first = value, False
        if value > self.high:
            self.high, self.low_first = value, True

    def join(self, other: Bucket) -> None:
        """Merge the bucket after this one into it."""
        if other.high > self.high:
            low_first = True if other.low >= self.low else other.low_first
        else:
            low_first = False if other.low < self.low else self.low_first
        self.last, self.low_first = other.last, low_first
        self.total, self.count = self.total + other.total, self.count + other.count
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.not_finite += other.not_finite


class Series:
    """Values that arrive one by one, in at most `2 * most` buckets: when these are full, neighbors are merged."""

    def __init__(self, most: int = MOST) -> None:
        self.buckets: list[Bucket] = []
        self.last: Point = (0, nan)  # the last value, finite or not
        self._most = most
        self._stride = 1  # numbers in a full bucket

    def __bool__(self) -> bool:
        return bool(self.buckets)

    def add(self, step: int, value: float) -> None:
        self.last = (step, value)
        buckets = self.buckets
        if not buckets or (bucket := buckets[-1]).count + bucket.not_finite >= self._stride:
            if len(buckets) >= 2 * self._most:
                self._halve()
            bucket = Bucket(step, step)
            self.buckets.append(bucket)
        bucket.add(step, value)

    def _halve(self) -> None:
        for kept, gone in zip(self.buckets[::2], self.buckets[1::2], strict=True):
            kept.join(gone)
        self.buckets = self.buckets[::2]
        self._stride *= 2

    @property
    def not_finite(self) -> int:
        return sum(bucket.not_finite for bucket in self.buckets)

    def finite(self) -> Iterator[Bucket]:
        return (bucket for bucket in self.buckets if bucket.count)

    def raw(self) -> list[Point]:
        """A line that shows the variation: through the lowest and the highest value of each bucket."""
        points: list[Point] = []
        for bucket in self.buckets:
            if bucket.not_finite:
                points.append((bucket.middle, nan))
            if bucket.count == 1 or (bucket.count and bucket.low == bucket.high):
                points.append((bucket.middle, bucket.low))
            elif bucket.count:
                ends = (bucket.low, bucket.high) if bucket.low_first else (bucket.high, bucket.low)
                points += [(bucket.first, ends[0]), (bucket.last, ends[1])]
        return points

    def means(self) -> list[Point]:
        return [(bucket.middle, bucket.mean) for bucket in self.buckets]

    def smooth(self, width: float = 0.02) -> list[Point]:
        """The values smoothed by a Gaussian kernel, with a standard deviation of `width` times the number of steps.
        Unlike an exponential moving average it doesn't lag."""
        buckets = list(self.finite())
        if not buckets:
            return []
        sigma = max(width * (buckets[-1].last - buckets[0].first), 1e-9)
        points: list[Point] = []
        begin = 0
        for point in buckets:
            while buckets[begin].middle < point.middle - 3 * sigma:
                begin += 1
            total = weight = 0.0
            for other in buckets[begin:]:
                distance = (other.middle - point.middle) / sigma
                if distance > 3:
                    break
                near = exp(-0.5 * distance * distance)
                total += near * other.total
                weight += near * other.count
            points.append((point.middle, total / weight))
        return points
