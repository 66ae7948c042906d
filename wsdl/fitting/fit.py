"""Fits stored tensors to target values of slots: alternating least squares over the slots' formulas.

    base + up[i] @ down[i]        for slots i

Tensors that some slot reads together are fitted together. A round solves for each tensor in turn while the others are
fixed (`least_squares`); the factors of a product that nothing else reads are solved together, by a singular value
decomposition, also where slots have one factor in common (`joint_product`). Between rounds the tensors are extrapolated
in the direction of the last change (momentum with adaptive restart: O'Donoghue and Candès 2015), since alternating
alone takes many rounds if the rank is high. Where the ranks are so high that the slots can in general have any values,
Gauss-Newton steps are taken first (`variable_projection`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wsdl.fitting.family import Family, TargetSlot
from wsdl.fitting.joint_product import JointProduct, joint_products
from wsdl.fitting.single_tensor import SingleTensor
from wsdl.fitting.slot_formula import SlotFormula
from wsdl.fitting.variable_projection import REACHED, VariableProjection
from wsdl.ir.connected import connected
from wsdl.ir.graph import Graph

Array = NDArray[Any]

FEW_ROUNDS, MANY_ROUNDS = 50, 1000  # limits for large and for small tensors
WORK = 300_000_000  # the number of slot elements to compute in all, which sets the limit between these
NEGLIGIBLE = 1e-10  # a relative error that counts as 0
SMALL_GAIN, SMALL_RELATIVE_GAIN = 1e-6, 1e-3  # decreases of the relative error in one round: absolute, and relative
SMALL_GAIN_OF_LARGE = 1e-5  # instead of `SMALL_GAIN` if large tensors make rounds slow
FAST_GAIN = 1e-2  # a relative decrease in one round with which large tensors may take more rounds than their limit
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


def fit(
    targets: Sequence[SlotTarget], start: Mapping[str, Array], progress: Callable[[float], None] = lambda error: None
) -> Fitted:
    """The stored tensors that minimize the sum of squared differences between slots and targets. `start` has initial
    values of all of them. `progress` receives the relative error after each round."""
    stored: dict[str, Array] = {}
    not_linear: set[str] = set()
    analyzed = [TargetSlot(target.formula, target.values) for target in targets]
    for slots in connected(analyzed, lambda slot: slot.formula.reads):
        family = Family(slots, {n: np.asarray(start[n], np.float64) for s in slots for n in s.formula.reads})
        _fit_family(family, progress)
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


class _Step(Protocol):
    """One step of a round: updates some tensors."""

    def run(self, family: Family) -> None: ...


def _fit_family(family: Family, progress: Callable[[float], None]) -> None:
    """Run rounds over all tensors until the error no longer decreases."""
    if family.relative_error() <= NEGLIGIBLE:
        return
    products, singles = _begin(family)
    if (projection := VariableProjection.of(family, singles, products)) is not None:
        projection.solve(family, progress)
    steps: list[_Step] = [*products, *singles]
    best, last, momentum, stalled = dict(family.stored), float("inf"), 0, 0
    elements = sum(slot.values.size for slot in family.slots)
    rounds = min(MANY_ROUNDS, max(FEW_ROUNDS, WORK // max(elements, 1)))
    small_gain = SMALL_GAIN if rounds == MANY_ROUNDS else SMALL_GAIN_OF_LARGE
    most = MANY_ROUNDS
    if steps == products[:1]:
        most = 1  # nothing changes after one exact step
    elif projection is not None and family.relative_error() <= REACHED:
        most = 0
    for number in range(1, most + 1):
        for step in steps:
            step.run(family)
        error = family.relative_error()
        progress(error)
        if error > last and momentum:  # the extrapolation went too far
            family.set(best)
            momentum = 0
            continue
        is_late = number >= rounds and last - error < FAST_GAIN * error
        stalled = stalled + 1 if last - error <= min(small_gain, SMALL_RELATIVE_GAIN * error) else 0
        before, best, last = best, dict(family.stored), min(error, last)
        if stalled == STALLED_ROUNDS or is_late or error <= NEGLIGIBLE:
            break
        momentum += 1
        factor = (momentum - 1) / (momentum + 2)
        for single in singles if factor else []:
            single.move(family, factor * (best[single.name] - before[single.name]))
    family.set(best)
    for product in products:
        product.balance(family)


def _begin(family: Family) -> tuple[list[JointProduct], list[SingleTensor]]:
    """Set initial values (products from the residuals of the other tensors); returns the steps of a round."""
    products = list(joint_products(family))
    factors = {name for product in products for name in product.names}
    shared_first = sorted(family.readers, key=lambda name: -len(family.readers[name]))
    singles = [SingleTensor(name) for name in shared_first if name not in family.not_linear]
    for product in products:
        product.clear(family)
    # Of two slots, start at one of them: starting at their mean, the two products would stay equal up to sign.
    is_of_two = len(family.slots) == 2 and any(product.is_of_one_slot for product in products)
    for single in singles:
        if single.name not in factors:
            single.run(family, family.slots[0] if is_of_two else None)
    exact = [product for product in products if product.is_exact(family)]
    for product in products:
        if product not in exact:
            product.run(family)
            product.balance(family)
    together = {name for product in exact for name in product.names}
    return exact, [single for single in singles if single.name not in together]
