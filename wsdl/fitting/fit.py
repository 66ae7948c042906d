"""Fits stored tensors to target values of slots: alternating least squares over the slots' formulas.

    base + up[i] @ down[i]        for slots i

Tensors that some slot reads together are fitted together. A round solves for each tensor in turn while the others are
fixed (`least_squares`); two factors of a product that nothing else reads are solved together, by a singular value
decomposition. Between rounds the tensors are extrapolated in the direction of the last change (momentum with adaptive
restart: O'Donoghue and Candès 2015), since alternating alone takes many rounds if the rank is high.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wsdl.fitting.least_squares import TOLERANCE, LowRank, Operator, Structure, balanced, noise, solve, structure_of
from wsdl.fitting.slot_formula import LinearMap, Product, SlotFormula
from wsdl.ir.connected import connected
from wsdl.ir.graph import Graph

Array = NDArray[Any]

FEW_ROUNDS, MANY_ROUNDS = 50, 1000  # limits for large and for small tensors
WORK = 700_000_000  # the number of slot elements to compute in all, which sets the limit between these
NEGLIGIBLE = 1e-10  # a relative error that counts as 0
SMALL_GAIN, SMALL_RELATIVE_GAIN = 1e-6, 1e-3  # decreases of the relative error in one round: absolute, and relative
SMALL_GAIN_OF_LARGE = 1e-5  # instead of `SMALL_GAIN` if large tensors make rounds slow
STALLED_ROUNDS = 2  # the fit ends after this many rounds in a row with a small gain


@dataclass(frozen=True, eq=False)
class SlotTarget:
    """The target values of a slot, and the graph of its formula, whose `parameter` nodes read stored tensors."""

    formula: Graph
    values: Array


@dataclass(frozen=True)
class Fitted:
    """Values of the stored tensors that the formulas read, in f64. `not_linear` names those in which some formula isn't
    linear; they keep their initial values."""

    stored: Mapping[str, Array]
    not_linear: frozenset[str] = frozenset()


def fit(targets: Sequence[SlotTarget], start: Mapping[str, Array]) -> Fitted:
    """The stored tensors that minimize the sum of squared differences between slots and targets. `start` has initial
    values of all of them."""
    stored: dict[str, Array] = {}
    not_linear: set[str] = set()
    for slots in connected([_Slot(target) for target in targets], lambda slot: slot.formula.reads):
        family = _Family(slots, {n: np.asarray(start[n], np.float64) for s in slots for n in s.formula.reads})
        family.fit()
        stored |= family.stored
        not_linear |= family.not_linear
    return Fitted(stored, frozenset(not_linear))


def relative_errors(targets: Sequence[SlotTarget], stored: Mapping[str, Array]) -> list[float]:
    """For each slot the norm of the difference from its target, divided by the norm of the target; where that is 0, by
    the root mean square of all norms."""
    norms = [float(np.linalg.norm(target.values.astype(np.float64))) for target in targets]
    usual = float(np.sqrt(np.mean(np.square(norms)))) if norms else 0.0
    return [_relative_error(target, stored, norm or usual) for target, norm in zip(targets, norms, strict=True)]


def _relative_error(target: SlotTarget, stored: Mapping[str, Array], norm: float) -> float:
    error = float(np.linalg.norm(SlotFormula(target.formula).value(stored) - target.values))
    return error / (norm or 1.0) if error else 0.0


class _Slot:
    """A target with its analyzed formula."""

    def __init__(self, target: SlotTarget) -> None:
        self.formula = SlotFormula(target.formula)
        self.values = target.values.astype(np.float64)


class _Step(Protocol):
    """One step of a round: updates some tensors."""

    def run(self, family: _Family) -> None: ...


class _Family:
    """Slots that are fitted together, and the current values of the tensors that they read."""

    def __init__(self, slots: Sequence[_Slot], stored: dict[str, Array]) -> None:
        self.slots, self.stored = slots, stored
        self._squares = sum(float(np.vdot(slot.values, slot.values)) for slot in slots) or 1.0
        self._residuals: dict[_Slot, Array] = {}  # for the current values
        self.readers: dict[str, list[_Slot]] = {}
        for slot in slots:
            for name in slot.formula.reads:
                self.readers.setdefault(name, []).append(slot)
        self.not_linear = {
            n for n, readers in self.readers.items() if not all(s.formula.by_tensor(n).is_linear for s in readers)
        }

    def fit(self) -> None:
        """Run rounds over all tensors until the error no longer decreases."""
        if self.relative_error() <= NEGLIGIBLE:
            return
        pairs, singles = self._begin()
        steps: list[_Step] = [*pairs, *singles]
        best, last, momentum, stalled = dict(self.stored), float("inf"), 0, 0
        elements = sum(slot.values.size for slot in self.slots)
        rounds = min(MANY_ROUNDS, max(FEW_ROUNDS, WORK // max(elements, 1)))
        small_gain = SMALL_GAIN if rounds == MANY_ROUNDS else SMALL_GAIN_OF_LARGE
        for _ in range(rounds):
            for step in steps:
                step.run(self)
            error = self.relative_error()
            if error > last and momentum:  # the extrapolation went too far
                self.set(best)
                momentum = 0
                continue
            stalled = stalled + 1 if last - error <= min(small_gain, SMALL_RELATIVE_GAIN * error) else 0
            before, best, last = best, dict(self.stored), min(error, last)
            if stalled == STALLED_ROUNDS or error <= NEGLIGIBLE:
                break
            momentum += 1
            factor = (momentum - 1) / (momentum + 2)
            for single in singles if factor else []:
                single.move(self, factor * (best[single.name] - before[single.name]))
        self.set(best)
        for pair in pairs:
            pair.balance(self)

    def _begin(self) -> tuple[list[_Pair], list[_Single]]:
        """Set initial values (products from the residuals of the other tensors); returns the steps of a round."""
        pairs = [_Pair(slot, product) for slot, product in self._products()]
        paired = {name for pair in pairs for name in pair.names}
        shared_first = sorted(self.readers, key=lambda name: -len(self.readers[name]))
        singles = [_Single(name) for name in shared_first if name not in self.not_linear]
        for pair in pairs:
            pair.clear(self)
        # Of two slots, start at one of them: starting at their mean, the two products would stay equal up to sign.
        first = self.slots[0] if pairs and len(self.slots) == 2 else None
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

    def relative_error(self) -> float:
        """The norm of the residuals of all slots together, divided by that of their targets."""
        return float(np.sqrt(sum(float(np.vdot(r, r)) for r in map(self.residual, self.slots)) / self._squares))

    def residual(self, slot: _Slot) -> Array:
        """The target of a slot minus its value."""
        if slot not in self._residuals:
            self._residuals[slot] = slot.values - slot.formula.value(self.stored)
        return self._residuals[slot]

    def set(self, values: Mapping[str, Array], changes: Mapping[_Slot, Array] = MappingProxyType({})) -> None:
        """Set the values of some tensors. `changes` are the resulting changes of slots, where they are known."""
        self.stored |= values
        for slot in dict.fromkeys(slot for name in values for slot in self.readers[name]):
            if slot in changes and slot in self._residuals:
                self._residuals[slot] = self._residuals[slot] - changes[slot]
            else:
                self._residuals.pop(slot, None)

    def _products(self) -> Iterator[tuple[_Slot, Product]]:
        """The products whose factors nothing else reads, and in which the formula is linear."""
        for slot in self.slots:
            for product in slot.formula.products:
                names = (product.left.stored, product.right.stored)
                if all(len(self.readers[n]) == 1 and n not in self.not_linear for n in names):
                    yield slot, product


class _Single:
    """A step that solves for one tensor."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._structure: Structure | None = None
        self._is_analyzed = False
        self._inverse: Operator | None = None  # of the normal operator, if that doesn't change

    def run(self, family: _Family, only: _Slot | None = None) -> None:
        """Solve for the tensor by all slots that read it, or by the one slot `only`."""
        readers = [slot for slot in family.readers[self.name] if only is None or slot is only]
        if not readers:
            return
        maps = self._maps(family, readers)
        zero = np.zeros_like(family.stored[self.name])
        right = sum((map.transposed(family.residual(s)) for map, s in zip(maps, readers, strict=True)), zero)

        def normal(x: Array) -> Array:
            return sum((map.transposed(map.apply(x)) for map in maps), zero)

        if not np.any(right):
            return
        if self._inverse is not None and only is None:
            self._change(family, self._inverse(right), maps, readers)
            return
        if only is None and not self._is_analyzed:
            self._structure, self._is_analyzed = structure_of(normal, right.shape), True
        structure = self._structure if only is None else structure_of(normal, right.shape)
        inverse = None if structure is None else structure.inverse(normal, right.shape)
        if only is None and not any(map.derivative.factors for map in maps):
            self._inverse = inverse
        self._change(family, solve(normal, right) if inverse is None else inverse(right), maps, readers)

    def move(self, family: _Family, change: Array) -> None:
        """Add a change to the tensor."""
        readers = family.readers[self.name]
        self._change(family, change, self._maps(family, readers), readers)

    def _maps(self, family: _Family, readers: Sequence[_Slot]) -> list[LinearMap]:
        return [slot.formula.by_tensor(self.name).at(family.stored) for slot in readers]

    def _change(self, family: _Family, change: Array, maps: Sequence[LinearMap], readers: Sequence[_Slot]) -> None:
        changes = {slot: map.apply(change) for map, slot in zip(maps, readers, strict=True)}
        family.set({self.name: family.stored[self.name] + change}, changes)


class _Pair:
    """A step that solves for two factors of a product that nothing else reads, by a singular value decomposition.

    This is exact if the squared norm of a change of the slot is that of the product up to a scale; otherwise it only
    gives initial values.
    """

    def __init__(self, slot: _Slot, product: Product) -> None:
        self._slot, self._product = slot, product
        self._derivative = slot.formula.by_values([product.value])
        self._known_scale: float | None = None
        self._low_rank = LowRank(product.left.view.shape[1])
        self._last: tuple[Array, Array, Array] | None = None  # the tensors of both factors, and their product

    @property
    def names(self) -> tuple[str, str]:
        return self._product.left.stored, self._product.right.stored

    def clear(self, family: _Family) -> None:
        """Set the product to 0."""
        family.set({name: np.zeros_like(family.stored[name]) for name in self.names})

    def run(self, family: _Family) -> None:
        map = self._map(family)
        scale = self._scale(map)
        right = map.transposed(family.residual(self._slot))

        def normal(x: Array) -> Array:
            return map.transposed(map.apply(x))

        change = solve(normal, right) if scale is None else right / scale if scale else right
        before = self._value(family)
        left, right = self._low_rank.of(before + change)
        value = left @ right
        self._set(family, left, right, {self._slot: map.apply(value - before)})
        in_left, in_right = self.names
        self._last = family.stored[in_left], family.stored[in_right], value

    def balance(self, family: _Family) -> None:
        """Scale both factors to the same norm."""
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
        """Whether the best low-rank approximation of the product also minimizes the error of the slot."""
        return self._scale(self._map(family)) is not None

    def _map(self, family: _Family) -> LinearMap:
        """The linear map from the product to the slot."""
        return self._derivative.at(family.stored)

    def _scale(self, map: LinearMap) -> float | None:
        """The scale from the squares of the product to those of the slot; `None` if elements differ."""
        if self._known_scale is None or self._derivative.factors:
            probe = noise(self._derivative.views[0].source, 3)
            image = map.transposed(map.apply(probe))
            scale = float(np.vdot(probe, image) / np.vdot(probe, probe))
            if not np.allclose(image, scale * probe, rtol=TOLERANCE, atol=TOLERANCE * abs(scale)):
                return None
            self._known_scale = scale
        return self._known_scale

    def _factors(self, family: _Family) -> tuple[Array, Array]:
        left, right = (f.view.of(family.stored[f.stored]) for f in (self._product.left, self._product.right))
        return left, right
