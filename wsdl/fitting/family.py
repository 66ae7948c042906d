"""Slots that are fitted together, and the current values of the tensors that they read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.fitting.slot_formula import SlotFormula
from wsdl.ir.graph import Graph

Array = NDArray[Any]


class TargetSlot:
    """A slot: its analyzed formula, and its target values."""

    def __init__(self, formula: Graph, values: Array) -> None:
        self.formula = SlotFormula(formula)
        self.values = values.astype(np.float64)


class Family:
    """`stored` has the current values of the tensors that the slots read, `readers` the slots that read each of them;
    `not_linear` names those in which some slot isn't linear."""

    def __init__(self, slots: Sequence[TargetSlot], stored: dict[str, Array]) -> None:
        self.slots, self.stored = slots, stored
        self._squares = sum(float(np.vdot(slot.values, slot.values)) for slot in slots) or 1.0
        self._residuals: dict[TargetSlot, Array] = {}  # for the current values
        self.readers: dict[str, list[TargetSlot]] = {}
        for slot in slots:
            for name in slot.formula.reads:
                self.readers.setdefault(name, []).append(slot)
        self.not_linear = {
            n for n, readers in self.readers.items() if not all(s.formula.is_linear_in(n) for s in readers)
        }

    def relative_error(self) -> float:
        """The norm of the residuals of all slots together, divided by that of their targets."""
        return float(np.sqrt(sum(float(np.vdot(r, r)) for r in map(self.residual, self.slots)) / self._squares))

    def residual(self, slot: TargetSlot) -> Array:
        """The target of a slot minus its value."""
        if slot not in self._residuals:
            self._residuals[slot] = slot.values - slot.formula.value(self.stored)
        return self._residuals[slot]

    def set(self, values: Mapping[str, Array], changes: Mapping[TargetSlot, Array] = MappingProxyType({})) -> None:
        """Set the values of some tensors. `changes` are the resulting changes of slots, where they are known."""
        self.stored |= values
        for slot in dict.fromkeys(slot for name in values for slot in self.readers[name]):
            if slot in changes and slot in self._residuals:
                self._residuals[slot] = self._residuals[slot] - changes[slot]
            else:
                self._residuals.pop(slot, None)
