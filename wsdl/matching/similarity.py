"""How alike the names of two families are, and how well pairs of families agree on the layers around them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import log

from wsdl.matching.families import Family, Parts

UNKNOWN = 0.3  # the weight of a word that the other side never uses, relative to others


class Similarity:
    """The similarity of names, from 0 to 1: the words that two have in common, as a share of all. A word counts the
    more the fewer families have it."""

    def __init__(self, file: Sequence[Family], program: Sequence[Family]) -> None:
        counts = [Counter(word for family in side for word in family.words) for side in (file, program)]
        self._weights: list[dict[str, float]] = []
        for own, other, side in zip(counts, counts[::-1], (file, program), strict=True):
            scale = log(1 + len(side))
            self._weights.append({
                word: log(1 + len(side) / count) / scale * (1 if word in other else UNKNOWN)
                for word, count in own.items()
            })  # fmt: skip

    def __call__(self, left: Family, right: Family) -> float:
        of_left, of_right = self._weights
        common = sum((of_left[word] + of_right[word]) / 2 for word in left.words & right.words)
        others = sum(of_left[word] for word in left.words - right.words)
        others += sum(of_right[word] for word in right.words - left.words)
        return common / (common + others / 2) if common else 0.0


class Agreement:
    """How well a pair agrees with other pairs on the layers around it: from 0 to 1, the mean over the layers around the
    left one of how much of it is paired with one layer around the right one."""

    def __init__(self, pairs: Mapping[tuple[Family, Family], float]) -> None:
        self._both: defaultdict[tuple[Parts, Parts], float] = defaultdict(float)
        self._left: defaultdict[Parts, float] = defaultdict(float)
        self._right: defaultdict[Parts, float] = defaultdict(float)
        for (left, right), score in pairs.items():
            self._add(left, right, score)

    def _add(self, left: Family, right: Family, score: float) -> None:
        around_left, around_right = left.ancestors(), right.ancestors()
        for a in around_left:
            self._left[a] += score
            for b in around_right:
                self._both[a, b] += score
        for b in around_right:
            self._right[b] += score

    def __call__(self, left: Family, right: Family) -> float:
        around_right = right.ancestors()
        shares = [max((self._share(a, b) for b in around_right), default=0.0) for a in left.ancestors()]
        return sum(shares) / len(shares) if shares else 0.0

    def _share(self, left: Parts, right: Parts) -> float:
        total = self._left.get(left, 0) + self._right.get(right, 0)
        return 2 * self._both.get((left, right), 0) / total if total else 0.0


class Layers:
    """How alike the layers of two families are by the kinds of their parameters, from 0 to 1: weight and bias, or a
    mean and a variance besides."""

    def __init__(self, file: Iterable[Family], program: Iterable[Family]) -> None:
        self._kinds: list[dict[Parts, set[tuple[str, int]]]] = []
        for side in (file, program):
            kinds: dict[Parts, set[tuple[str, int]]] = {}
            for family in side:
                kinds.setdefault(family.layer, set()).add((family.leaf, len(family.shape)))
            self._kinds.append(kinds)

    def __call__(self, left: Family, right: Family) -> float:
        ours, theirs = (kinds[f.layer] for kinds, f in zip(self._kinds, (left, right), strict=True))
        return len(ours & theirs) / len(ours | theirs)


def places(families: Iterable[Family], named: bool) -> dict[Family, float]:
    """The place of each family among those with its sizes and, where tensors are `named`, its kind; from 0 to 1."""
    alike: dict[object, list[Family]] = {}
    for family in families:
        key = (family.kind[not named :], len(family.entries), tuple(sorted(size for size in family.shape if size != 1)))
        alike.setdefault(key, []).append(family)
    return {family: (i + 0.5) / len(members) for members in alike.values() for i, family in enumerate(members)}
