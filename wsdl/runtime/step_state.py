"""The variables of one or several trainings on the device, from step to step.

A variable that a step may overwrite has one buffer. All others have two that alternate, so that a step which fails has
changed nothing before it is committed. Variables that the same steps change alternate together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wsdl.ir.training_graphs import SplitStep

Array = NDArray[Any]
Changed: TypeAlias = "frozenset[int]"  # the numbers of the steps that change a variable


class StepState:
    """The buffers of the variables of `steps`, which begin with `arrays`, by the names of the variables."""

    def __init__(self, arrays: Mapping[str, Array], steps: Sequence[SplitStep], *, device: str = "cpu") -> None:
        self.device = device
        self._memory: dict[Any, Array] = {}
        names = [{variable.name for variable in step.variables} for step in steps]
        kept = [{v.name for v in step.variables if v not in step.in_place} for step in steps]
        self._by = {name: frozenset(i for i, own in enumerate(names) if name in own) for name in arrays}
        self._turns = dict.fromkeys(self._by.values(), 0)
        alternating = set[str]().union(*kept)
        self._cells = {name: self._cell(array, name in alternating) for name, array in arrays.items()}

    def _cell(self, array: Array, alternates: bool) -> tuple[Any, Any]:
        value = self.held(np.array(array, order="C"))
        return (value, self.held(np.array(array, order="C")) if alternates else value)

    def held(self, array: Array) -> Any:
        """An array on the device, whose memory is known."""
        value = self.value(array)
        self._memory[value] = array
        return value

    def value(self, array: Array) -> Any:
        """An array on the device; on the CPU it shares the array's memory."""
        from onnxruntime import OrtValue

        return OrtValue.ortvalue_from_numpy(array, self.device, 0)

    def memory(self, value: Any) -> Array:
        """The memory of a value that is `held`."""
        return self._memory[value]

    def current(self, name: str) -> Any:
        """A variable as it is after the last step."""
        return self._cells[name][self._turns[self._by[name]]]

    def following(self, name: str) -> Any:
        """The buffer of what a variable becomes by the next step."""
        return self._cells[name][1 - self._turns[self._by[name]]]

    def groups(self, names: Iterable[str]) -> tuple[Changed, ...]:
        """Those of these variables that alternate together are one group."""
        return tuple(dict.fromkeys(self._by[name] for name in names))

    def turns(self, groups: Iterable[Changed]) -> tuple[int, ...]:
        """Which of the buffers of these groups are current."""
        return tuple(self._turns[group] for group in groups)

    def commit(self, step: int) -> None:
        """Let what a step has computed be the current state."""
        for group in self._turns:
            if step in group:
                self._turns[group] = 1 - self._turns[group]

    def arrays(self) -> dict[str, Array]:
        """A copy of everything, after the last committed step."""
        return {name: np.array(self.current(name).numpy()) for name in self._cells}

    def write(self, name: str, array: Array) -> None:
        """Replace a variable."""
        for value in self._cells[name]:
            value.update_inplace(np.array(array, value.numpy().dtype, order="C"))
