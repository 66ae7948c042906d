"""Solves for a tensor while the products of its slots follow.

    base + up[i] @ down[i]        for slots i

A matrix [m, n] has rank r under (m - r) * (n - r) equations. If those of all slots together are fewer than the elements
of `base`, the slots can in general have any values, but alternating between `base` and the products takes many rounds.
The Gauss-Newton step for `base` alone, with the products as functions of it (variable projection: Golub and Pereyra
1973, in the form of Kaufman 1975), converges quadratically if the error goes to 0. To first order a product follows all
changes in the tangent space of the matrices of its rank; only the rest counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.fitting.family import Family
from wsdl.fitting.joint_product import JointProduct
from wsdl.fitting.least_squares import solve as conjugate_gradients
from wsdl.fitting.single_tensor import SingleTensor

Array = NDArray[Any]

ROUNDS = 50  # at most
REACHED = 1e-7  # a relative error that counts as 0: about the rounding of f32
STEPS, PRECISION = 20, 1e-2  # of conjugate gradients: the linear system changes from round to round
LEAST_DAMPING = 1e-2  # relative to the normal operator without products


class VariableProjection:
    """A tensor that all slots of a family read, each of which also has one of the products."""

    def __init__(self, single: SingleTensor, products: Sequence[JointProduct]) -> None:
        self._single, self._products = single, products

    @staticmethod
    def of(
        family: Family, singles: Sequence[SingleTensor], products: Sequence[JointProduct]
    ) -> VariableProjection | None:
        """That of a family; `None` if it has another form, or no fewer equations than the tensor has elements."""
        slots = [slot for product in products for slot in product.slots if len(product.slots) == 1]
        if len(singles) != 1 or len(slots) != len(products) or set(slots) != set(family.slots):
            return None
        [single], equations = singles, sum(product.unreached for product in products)
        is_read_by_all = len(slots) == len(family.slots) == len(family.readers[single.name])
        has_few = equations < family.stored[single.name].size
        return VariableProjection(single, products) if is_read_by_all and has_few else None

    def solve(self, family: Family, progress: Callable[[float], None]) -> None:
        """Take steps until the error is negligible; they are damped after one that increased it (Marquardt 1963)."""
        for product in self._products:
            product.run(family)
        best, last = dict(family.stored), family.relative_error()
        least = LEAST_DAMPING * len(self._products)
        damping = 0.0
        for _ in range(ROUNDS):
            if last <= REACHED:
                break
            self._single.move(family, self._step(family, damping))
            for product in self._products:
                product.run(family)
            error = family.relative_error()
            progress(error)
            if error < last:
                best, last = dict(family.stored), error
                damping = damping / 10 if damping > least else 0.0
            else:
                family.set(best)
                damping = max(damping * 10, least)

    def _step(self, family: Family, damping: float) -> Array:
        """The change of the tensor; the residuals are those of the nearest products."""
        rests = {product.slots[0]: product.rest(family) for product in self._products}
        maps = {slot: slot.formula.by_tensor(self._single.name).at(family.stored) for slot in rests}

        def normal(x: Array) -> Array:
            return sum((map.transposed(rests[slot](map.apply(x))) for slot, map in maps.items()), damping * x)

        zero = np.zeros_like(family.stored[self._single.name])
        right = sum((map.transposed(family.residual(slot)) for slot, map in maps.items()), zero)
        return conjugate_gradients(normal, right, steps=STEPS, precision=PRECISION)
