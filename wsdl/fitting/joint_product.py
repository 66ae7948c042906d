"""A step of a round: solves for both factors of a product while the other tensors are fixed.

    basis @ coefficients[i]       for slots i

is one product, of `basis` and all coefficients side by side, and so are its targets. A singular value decomposition
gives their best approximation of the product's rank (Eckart and Young 1936), and with it all factors. A product that
only one slot reads, as in `base + up[i] @ down[i]`, is the case of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wsdl.fitting.family import Family, TargetSlot
from wsdl.fitting.least_squares import TOLERANCE, LowRank, Operator, balanced, noise, solve
from wsdl.fitting.products import Factor, Product
from wsdl.fitting.slot_formula import LinearMap

Array = NDArray[Any]
Side: TypeAlias = Literal["left", "right"]


def joint_products(family: Family) -> Iterator[JointProduct]:
    """The products of a family whose factors nothing else reads: one factor is common to all slots of a product, the
    others are each slot's own."""
    shared: dict[tuple[Side, Factor], list[_Part]] = {}
    for slot in family.slots:
        for product in slot.formula.products:
            names = {product.left.stored, product.right.stored}
            if len(names) < 2 or names & family.not_linear:
                continue
            if all(len(family.readers[name]) == 1 for name in names):
                yield JointProduct("left", [_Part(slot, product)])
                continue
            shared.setdefault(("left", product.left), []).append(_Part(slot, product))
            shared.setdefault(("right", product.right), []).append(_Part(slot, product))
    for (side, factor), parts in shared.items():
        slots, joint = {part.slot for part in parts}, JointProduct(side, parts)
        are_all = len(slots) == len(parts) == len(family.readers[factor.stored])
        if are_all and all(slots.issuperset(family.readers[name]) for name in joint.names) and joint.is_disjoint():
            yield joint


@dataclass(frozen=True)
class _Part:
    """The product in the formula of one slot."""

    slot: TargetSlot
    product: Product

    def factor(self, side: Side) -> Factor:
        return self.product.left if side == "left" else self.product.right

    def map(self, family: Family) -> LinearMap:
        """From the value of the product to the slot."""
        return self.slot.formula.by_values([self.product.value]).at(family.stored)

    def scale(self, map: LinearMap) -> float | None:
        """By how much the slot scales the squares of the product; `None` where not all alike."""
        probe = noise(map.derivative.views[0].source, 3)
        image = map.transposed(map.apply(probe))
        scale = float(np.vdot(probe, image) / np.vdot(probe, probe))
        return scale if np.allclose(image, scale * probe, rtol=TOLERANCE, atol=TOLERANCE * abs(scale)) else None


class JointProduct:
    """A product in several slots, with one factor in common, at the left or at the right.

    The step is exact where the slots keep the squares of the product, up to a scale; where they don't, it is a start.
    """

    def __init__(self, side: Side, parts: Sequence[_Part]) -> None:
        self._is_left, self._parts = side == "left", parts
        self._shared = parts[0].factor(side)
        self._own = [part.factor("right" if self._is_left else "left") for part in parts]
        self.names = tuple(dict.fromkeys([self._shared.stored, *(own.stored for own in self._own)]))
        self._axis = 1 if self._is_left else 0  # along which the products lie side by side
        self._low_rank = LowRank(parts[0].product.rank)
        self._scales: list[float | None] = []
        self._ratio = 1.0  # of the norm of the shared factor to that of the others
        self._last: tuple[list[Array], list[Array]] | None = None  # the tensors of `names`, and the products

    @property
    def is_of_one_slot(self) -> bool:
        return len(self._parts) == 1

    @property
    def slots(self) -> list[TargetSlot]:
        return [part.slot for part in self._parts]

    @property
    def unreached(self) -> int:
        """The number of equations under which a matrix is such a product, for products of one slot."""
        product = self._parts[0].product
        return prod(max(size - product.rank, 0) for size in product.shape)

    def is_disjoint(self) -> bool:
        """Do the slots read different elements of their own factors?"""
        reads: dict[str, Array] = {}
        for own in self._own:
            read = own.view.put(np.zeros(own.view.source, np.int64), np.ones(own.view.shape, np.int64))
            reads[own.stored] = reads[own.stored] + read if own.stored in reads else read
        return all(read.max(initial=0) <= 1 for read in reads.values())

    def clear(self, family: Family) -> None:
        """Make the product 0."""
        shared, own = self._factors(family)
        norms = float(np.linalg.norm(shared)), float(np.linalg.norm(own))
        self._ratio = norms[0] / norms[1] if all(norms) else 1.0
        self._set(family, np.zeros_like(shared), np.zeros_like(own), {})

    def is_exact(self, family: Family) -> bool:
        """Is the nearest product the one with which the slots are nearest?"""
        first, *others = self._all_scales([part.map(family) for part in self._parts])
        return first is not None and all(s is not None and np.isclose(s, first, TOLERANCE, 0.0) for s in others)

    def run(self, family: Family) -> None:
        maps = [part.map(family) for part in self._parts]
        before = self._products(family)
        wanted = [
            value + self._change(part, map, scale, family).reshape(value.shape)
            for part, map, scale, value in zip(self._parts, maps, self._all_scales(maps), before, strict=True)
        ]
        left, right = self._low_rank.of(np.concatenate(wanted, self._axis))
        after = self._apart(left @ right)
        changes = {
            part.slot: map.apply((new - old).reshape(part.product.value.type.sizes))
            for part, map, new, old in zip(self._parts, maps, after, before, strict=True)
        }
        self._set(family, *((left, right) if self._is_left else (right, left)), changes)
        self._last = [family.stored[name] for name in self.names], after

    def rest(self, family: Family) -> Operator:
        """For a product of one slot, and changes of this slot: what remains of them if the product follows, to first
        order. Orthogonal, since the slot keeps the squares of the product."""
        [part] = self._parts
        map, product = part.map(family), part.product
        [scale] = self._all_scales([map])
        assert scale is not None
        columns = np.linalg.qr(product.left.of(family.stored))[0]
        rows = np.linalg.qr(product.right.of(family.stored).T)[0]

        def rest(change: Array) -> Array:
            wanted = map.transposed(change).reshape(product.shape) / scale
            outside = wanted - columns @ (columns.T @ wanted)
            outside -= (outside @ rows) @ rows.T
            return np.asarray(change - map.apply((wanted - outside).reshape(product.value.type.sizes)))

        return rest

    def balance(self, family: Family) -> None:
        """Give the factors orthogonal columns and rows, and the ratio of norms that they began with; the same one where
        a factor began at 0."""
        shared, own = self._factors(family)
        left, right = balanced(shared, own) if self._is_left else balanced(own, shared)
        shared, own = (left, right) if self._is_left else (right, left)
        scale = np.sqrt(self._ratio)
        unchanged = {part.slot: np.zeros(part.slot.values.shape) for part in self._parts}
        self._set(family, shared * scale, own / scale, unchanged)

    def _change(self, part: _Part, map: LinearMap, scale: float | None, family: Family) -> Array:
        """What is to be added to a product for its slot to have what it misses."""
        right = map.transposed(family.residual(part.slot))
        if scale is None:
            return solve(lambda x: map.transposed(map.apply(x)), right)
        return right / scale if scale else right

    def _all_scales(self, maps: Sequence[LinearMap]) -> list[float | None]:
        if not self._scales or any(map.derivative.factors for map in maps):
            self._scales = [part.scale(map) for part, map in zip(self._parts, maps, strict=True)]
        return self._scales

    def _factors(self, family: Family) -> tuple[Array, Array]:
        """The shared one, and the others side by side."""
        own = [factor.of(family.stored) for factor in self._own]
        return self._shared.of(family.stored), np.concatenate(own, self._axis)

    def _products(self, family: Family) -> list[Array]:
        if self._last is not None and all(
            family.stored[n] is a for n, a in zip(self.names, self._last[0], strict=True)
        ):
            return self._last[1]
        shared, own = self._factors(family)
        return self._apart(shared @ own if self._is_left else own @ shared)

    def _apart(self, side_by_side: Array) -> list[Array]:
        """What belongs to each slot."""
        sizes = [own.view.shape[self._axis] for own in self._own]
        return np.split(side_by_side, np.cumsum(sizes)[:-1], self._axis)

    def _set(self, family: Family, shared: Array, own: Array, changes: dict[TargetSlot, Array]) -> None:
        values: dict[str, Array] = {}
        for factor, array in zip([self._shared, *self._own], [shared, *self._apart(own)], strict=True):
            tensor = values[factor.stored] if factor.stored in values else family.stored[factor.stored].copy()
            values[factor.stored] = factor.view.put(tensor, array)
        family.set(values, changes)
