"""Stored tensors from the values that slots are to have: alternating least squares over their formulas.

    base + up[i] @ down[i]        for slots i

Tensors that some slot reads together are fitted together. In turn each gets the values that are best while the others
stay (`least_squares`); two factors of a product that nothing else reads are taken together, from a singular value
decomposition. Between rounds the tensors move on in the direction of the last one, as long as that helps (an adaptive
restart: O'Donoghue and Candès 2015), since alternating alone takes many rounds where the rank is high.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wsdl.fitting.least_squares import ALIKE, Nearest, Operator, Structure, balanced, noise, solve, structure_of
from wsdl.fitting.slot_formula import LinearMap, Product, SlotFormula
from wsdl.ir.connected import connected
from wsdl.ir.graph import Graph

Array = NDArray[Any]

FEW_ROUNDS, MANY_ROUNDS = 50, 1000  # the most, for large and for small tensors
WORK = 700_000_000  # elements of slots that are computed in all, from the few to the many
NOTHING = 1e-10  # a share that is as good as 0
LITTLE, LITTLE_OF_IT = 1e-6, 1e-3  # what a round gains of the share that is lost: less of the whole, and of that share
LITTLE_OF_LARGE = 1e-5  # instead of `LITTLE`, where large tensors make rounds slow
QUIET = 2  # so many rounds in turn that gain little end it


@dataclass(frozen=True, eq=False)
class Wanted:
    """What a slot is to hold: the graph of its formula, whose `parameter` nodes read stored tensors, and the values."""

    formula: Graph
    values: Array


@dataclass(frozen=True)
class Fitted:
    """Values of the stored tensors that the formulas read, in f64, and those of them that no rule for linear formulas
    can change."""

    stored: Mapping[str, Array]
    not_linear: frozenset[str] = frozenset()


def fit(wanted: Sequence[Wanted], start: Mapping[str, Array]) -> Fitted:
    """The stored tensors with which the slots come nearest to what is wanted, by the sum of squares. They begin at
    `start`, which has all of them."""
    stored: dict[str, Array] = {}
    not_linear: set[str] = set()
    for slots in connected([_Slot(each) for each in wanted], lambda slot: slot.formula.reads):
        family = _Family(slots, {n: np.asarray(start[n], np.float64) for s in slots for n in s.formula.reads})
        family.fit()
        stored |= family.stored
        not_linear |= family.not_linear
    return Fitted(stored, frozenset(not_linear))


def lost(wanted: Sequence[Wanted], stored: Mapping[str, Array]) -> list[float]:
    """For each slot the share of the norm of what is wanted that the formula misses. Where that norm is 0, it is the
    root of the mean square over all slots that counts."""
    norms = [float(np.linalg.norm(w.values.astype(np.float64))) for w in wanted]
    usual = float(np.sqrt(np.mean(np.square(norms)))) if norms else 0.0
    return [_share(w, stored, norm or usual) for w, norm in zip(wanted, norms, strict=True)]


def _share(wanted: Wanted, stored: Mapping[str, Array], norm: float) -> float:
    missed = float(np.linalg.norm(SlotFormula(wanted.formula).value(stored) - wanted.values))
    return missed / (norm or 1.0) if missed else 0.0


class _Slot:
    """A slot with its formula, taken apart once."""

    def __init__(self, wanted: Wanted) -> None:
        self.formula = SlotFormula(wanted.formula)
        self.values = wanted.values.astype(np.float64)


class _Step(Protocol):
    """One step of a round: better values for some tensors."""

    def run(self, family: _Family) -> None: ...


class _Family:
    """Slots that are fitted together, and the tensors that they read, as they are so far."""

    def __init__(self, slots: Sequence[_Slot], stored: dict[str, Array]) -> None:
        self.slots, self.stored = slots, stored
        self._squares = sum(float(np.vdot(slot.values, slot.values)) for slot in slots) or 1.0
        self._missed: dict[_Slot, Array] = {}  # for the tensors as they are
        self.readers: dict[str, list[_Slot]] = {}
        for slot in slots:
            for name in slot.formula.reads:
                self.readers.setdefault(name, []).append(slot)
        self.not_linear = {
            n for n, readers in self.readers.items() if not all(s.formula.by_tensor(n).is_linear for s in readers)
        }

    def fit(self) -> None:
        """Go in rounds over all tensors until the loss stays as it is."""
        if self.lost() <= NOTHING:
            return
        pairs, singles = self._begin()
        steps: list[_Step] = [*pairs, *singles]
        best, last, momentum, quiet = dict(self.stored), float("inf"), 0, 0
        elements = sum(slot.values.size for slot in self.slots)
        rounds = min(MANY_ROUNDS, max(FEW_ROUNDS, WORK // max(elements, 1)))
        little = LITTLE if rounds == MANY_ROUNDS else LITTLE_OF_LARGE
        for _ in range(rounds):
            for step in steps:
                step.run(self)
            lost = self.lost()
            if lost > last and momentum:  # it went on too far
                self.set(best)
                momentum = 0
                continue
            quiet = quiet + 1 if last - lost <= min(little, LITTLE_OF_IT * lost) else 0
            before, best, last = best, dict(self.stored), min(lost, last)
            if quiet == QUIET or lost <= NOTHING:
                break
            momentum += 1
            further = (momentum - 1) / (momentum + 2)
            for single in singles if further else []:
                single.move(self, further * (best[single.name] - before[single.name]))
        self.set(best)
        for pair in pairs:
            pair.balance(self)

    def _begin(self) -> tuple[list[_Pair], list[_Single]]:
        """The steps of a round, after the first values: all products from what the other tensors leave."""
        pairs = [_Pair(slot, product) for slot, product in self._products()]
        paired = {name for pair in pairs for name in pair.names}
        shared_first = sorted(self.readers, key=lambda name: -len(self.readers[name]))
        singles = [_Single(name) for name in shared_first if name not in self.not_linear]
        for pair in pairs:
            pair.clear(self)
        first = (
            self.slots[0] if pairs and len(self.slots) == 2 else None
        )  # from the mean, the products of two stay alike
        for single in singles:
            if single.name not in paired:
                single.run(self, first)
        exact = [pair for pair in pairs if pair.is_exact(self)]
        for pair in pairs:
            if pair not in exact:
                pair.run(self)
                pair.balance(self)
        together = {name for pair in exact for name in pair.names}
        return exact, [single for single in singles if single.name not in together]

    def lost(self) -> float:
        """The share of the norm of all slots together that is missed."""
        return float(np.sqrt(sum(float(np.vdot(r, r)) for r in map(self.missed, self.slots)) / self._squares))

    def missed(self, slot: _Slot) -> Array:
        """What a slot is to hold, less what it holds."""
        if slot not in self._missed:
            self._missed[slot] = slot.values - slot.formula.value(self.stored)
        return self._missed[slot]

    def set(self, values: Mapping[str, Array], changes: Mapping[_Slot, Array] = MappingProxyType({})) -> None:
        """Give some tensors other values. `changes` are those of slots, where they are known."""
        self.stored |= values
        for slot in dict.fromkeys(slot for name in values for slot in self.readers[name]):
            if slot in changes and slot in self._missed:
                self._missed[slot] = self._missed[slot] - changes[slot]
            else:
                self._missed.pop(slot, None)

    def _products(self) -> Iterator[tuple[_Slot, Product]]:
        """The products whose factors nothing else reads, and behind which the slot keeps all squares alike."""
        for slot in self.slots:
            for product in slot.formula.products:
                names = (product.left.stored, product.right.stored)
                if all(len(self.readers[n]) == 1 and n not in self.not_linear for n in names):
                    yield slot, product


class _Single:
    """A tensor by itself."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._structure: Structure | None = None
        self._is_known = False
        self._inverse: Operator | None = None  # where it stays the same

    def run(self, family: _Family, only: _Slot | None = None) -> None:
        """By all slots that read it, or `only` by one."""
        readers = [slot for slot in family.readers[self.name] if only is None or slot is only]
        if not readers:
            return
        maps = self._maps(family, readers)
        zero = np.zeros_like(family.stored[self.name])
        right = sum((map.transposed(family.missed(s)) for map, s in zip(maps, readers, strict=True)), zero)

        def normal(x: Array) -> Array:
            return sum((map.transposed(map.apply(x)) for map in maps), zero)

        if not np.any(right):
            return
        if self._inverse is not None and only is None:
            self._change(family, self._inverse(right), maps, readers)
            return
        if only is None and not self._is_known:
            self._structure, self._is_known = structure_of(normal, right.shape), True
        known = self._structure if only is None else structure_of(normal, right.shape)
        inverse = None if known is None else known.read(normal, right.shape)
        if only is None and not any(map.derivative.factors for map in maps):
            self._inverse = inverse
        self._change(family, solve(normal, right) if inverse is None else inverse(right), maps, readers)

    def move(self, family: _Family, change: Array) -> None:
        """Add a change."""
        readers = family.readers[self.name]
        self._change(family, change, self._maps(family, readers), readers)

    def _maps(self, family: _Family, readers: Sequence[_Slot]) -> list[LinearMap]:
        return [slot.formula.by_tensor(self.name).at(family.stored) for slot in readers]

    def _change(self, family: _Family, change: Array, maps: Sequence[LinearMap], readers: Sequence[_Slot]) -> None:
        changes = {slot: map.apply(change) for map, slot in zip(maps, readers, strict=True)}
        family.set({self.name: family.stored[self.name] + change}, changes)


class _Pair:
    """Two factors of a product that nothing else reads: together, by a singular value decomposition.

    That is exact where the slot keeps the squares of the product, up to a scale; where it doesn't, it is a start.
    """

    def __init__(self, slot: _Slot, product: Product) -> None:
        self._slot, self._product = slot, product
        self._derivative = slot.formula.by_values([product.value])
        self._known: float | None = None
        self._nearest = Nearest(product.left.view.shape[1])
        self._last: tuple[Array, Array, Array] | None = None  # the tensors of both factors, and their product

    @property
    def names(self) -> tuple[str, str]:
        return self._product.left.stored, self._product.right.stored

    def clear(self, family: _Family) -> None:
        """Make the product 0."""
        family.set({name: np.zeros_like(family.stored[name]) for name in self.names})

    def run(self, family: _Family) -> None:
        map = self._map(family)
        scale = self._scale(map)
        right = map.transposed(family.missed(self._slot))

        def normal(x: Array) -> Array:
            return map.transposed(map.apply(x))

        change = solve(normal, right) if scale is None else right / scale if scale else right
        before = self._value(family)
        left, right = self._nearest.of(before + change)
        value = left @ right
        self._set(family, left, right, {self._slot: map.apply(value - before)})
        in_left, in_right = self.names
        self._last = family.stored[in_left], family.stored[in_right], value

    def balance(self, family: _Family) -> None:
        """Give both factors the same norm."""
        left, right = self._factors(family)
        self._set(family, *balanced(left, right), {self._slot: np.zeros(self._slot.values.shape)})

    def _set(self, family: _Family, left: Array, right: Array, changes: Mapping[_Slot, Array]) -> None:
        factors = {self._product.left: left, self._product.right: right}
        family.set({f.stored: f.view.put(np.zeros(f.view.source), array) for f, array in factors.items()}, changes)

    def _value(self, family: _Family) -> Array:
        """The product."""
        if self._last is not None and all(family.stored[n] is a for n, a in zip(self.names, self._last, strict=False)):
            return self._last[2]
        left, right = self._factors(family)
        return left @ right

    def is_exact(self, family: _Family) -> bool:
        """Is the nearest product the one with which the slot is nearest?"""
        return self._scale(self._map(family)) is not None

    def _map(self, family: _Family) -> LinearMap:
        """From the product to the slot."""
        return self._derivative.at(family.stored)

    def _scale(self, map: LinearMap) -> float | None:
        """By how much the slot scales the squares of the product; `None` where not all alike."""
        if self._known is None or self._derivative.factors:
            probe = noise(self._derivative.views[0].source, 3)
            image = map.transposed(map.apply(probe))
            scale = float(np.vdot(probe, image) / np.vdot(probe, probe))
            if not np.allclose(image, scale * probe, rtol=ALIKE, atol=ALIKE * abs(scale)):
                return None
            self._known = scale
        return self._known

    def _factors(self, family: _Family) -> tuple[Array, Array]:
        left, right = (f.view.of(family.stored[f.stored]) for f in (self._product.left, self._product.right))
        return left, right
