"""A step of a round: solves for one tensor while the others are fixed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.fitting.family import Family, TargetSlot
from wsdl.fitting.least_squares import Operator, Structure, solve, structure_of
from wsdl.fitting.slot_formula import LinearMap

Array = NDArray[Any]


class SingleTensor:
    """A step that solves for one tensor."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._structure: Structure | None = None
        self._is_analyzed = False
        self._inverse: Operator | None = None  # of the normal operator, if that doesn't change

    def run(self, family: Family, only: TargetSlot | None = None) -> None:
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

    def move(self, family: Family, change: Array) -> None:
        """Add a change to the tensor."""
        readers = family.readers[self.name]
        self._change(family, change, self._maps(family, readers), readers)

    def _maps(self, family: Family, readers: Sequence[TargetSlot]) -> list[LinearMap]:
        return [slot.formula.by_tensor(self.name).at(family.stored) for slot in readers]

    def _change(self, family: Family, change: Array, maps: Sequence[LinearMap], readers: Sequence[TargetSlot]) -> None:
        changes = {slot: map.apply(change) for map, slot in zip(maps, readers, strict=True)}
        family.set({self.name: family.stored[self.name] + change}, changes)
