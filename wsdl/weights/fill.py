"""From the tensors of files to stored tensors: exactly where possible, fitted where `fit` allows it.

All tensors loaded into views of one stored tensor must agree. A slot that a formula computes is loaded by setting the
tensors that the formula reads: to the values that they have already, if the formula then gives the loaded value,
otherwise to those with the smallest difference (`wsdl.fitting`). The difference may be a rounding error or, with `fit`,
at most that share of the norm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wsdl.ir.connected import connected
from wsdl.ir.dtypes import dtype_of, numpy_dtype
from wsdl.ir.graph import Graph, Slot
from wsdl.ir.stages import Storage
from wsdl.ir.weight_files import Fill
from wsdl.ops.build import Build
from wsdl.sharing.read_stored import slot_over_stored
from wsdl.weights.lost import Loss
from wsdl.weights.misfits import Difference, Missed, losses_of, require_equal, require_near
from wsdl.weights.narrow import as_stored
from wsdl.weights.source import Source

if TYPE_CHECKING:
    from wsdl.fitting.fit import SlotTarget

Array = NDArray[Any]
ROUNDING = 8  # units in the last place: the difference between a formula and a loaded value that counts as rounding
Progress: TypeAlias = Callable[[int, int, float], None]  # of a fit: which of all groups of tensors, the error so far
STEPS = {"f16": 2.0**-10, "bf16": 2.0**-7, "f32": 2.0**-23, "f64": 2.0**-52}


@dataclass
class Filled:
    """The loaded stored tensors by name; `lost` has the differences of slots that were fitted, by path."""

    values: dict[str, Array] = field(default_factory=dict)
    lost: dict[str, Loss] = field(default_factory=dict)

    def updated(self, other: Filled) -> Filled:
        """With the entries of `other`, which take precedence."""
        return Filled({**self.values, **other.values}, {**self.lost, **other.lost})


def read_before(storage: Storage, fills: Iterable[Fill]) -> set[str]:
    """The stored tensors whose previous values `filled` reads: those loaded in part, and those behind formulas."""
    names: set[str] = set()
    for fill in fills:
        if fill.stored is None:
            names.update(storage.readings[fill.slot].tensors)
        elif not fill.view.is_whole:
            names.add(fill.stored)
    return names


def filled(
    storage: Storage,
    fills: Iterable[Fill],
    sources: Mapping[str, Source],
    before: Callable[[str], Array],
    progress: Progress = lambda *_: None,
) -> Filled:
    """The stored tensors with the loaded values. Raises `WeightsError` if the fills contradict each other or can't be
    met. Copies only where necessary; `before` returns the previous value of a stored tensor."""
    slots = {slot.path: slot for slot in storage.checked.slots()}
    values: dict[str, Array] = {}
    missed: list[Missed] = []
    differences: list[Difference] = []
    groups = list(connected(fills, lambda fill: [*tensors_of(storage, fill), *input_of(storage, fill)]))
    for number, fills_together in enumerate(groups, 1):
        family = _Family(storage, slots, fills_together, sources, before)
        exact = family.exactly()
        if family.differences:
            differences += family.differences
            continue
        values |= family.nearest(missed, partial(progress, number, len(groups))) if exact is None else exact
        values |= family.unread(values)
    require_equal(differences)
    require_near(storage, missed)
    return Filled(values, losses_of(missed))


def _read(source: Source, fill: Fill) -> Array:
    array: Array = (source.stored if fill.as_stored and source.stored else source).read(fill.tensor)
    return array if fill.seen is None else fill.seen.of(array)


def tensors_of(storage: Storage, fill: Fill) -> tuple[str, ...]:
    """The stored tensors that a fill changes."""
    return storage.readings[fill.slot].tensors if fill.stored is None else (fill.stored,)


def input_of(storage: Storage, fill: Fill) -> tuple[str, ...]:
    """The name of what plain sharing would store for the slot of a fill, where a way of sharing takes that as input; no
    formula need read it."""
    return storage.inputs[fill.slot][:1] if fill.slot in storage.inputs else ()


class _Family:
    """Fills that have stored tensors in common."""

    def __init__(
        self,
        storage: Storage,
        slots: Mapping[str, Slot],
        fills: list[Fill],
        sources: Mapping[str, Source],
        before: Callable[[str], Array],
    ) -> None:
        self._storage, self._slots, self._fills, self._before = storage, slots, fills, before
        self._arrays = [_read(sources[fill.file], fill) for fill in fills]
        self.differences: list[Difference] = []  # that `exactly` finds where fitting is not allowed

    def exactly(self) -> dict[str, Array] | None:
        """The stored tensors that meet all fills exactly; `None` if there are none and fitting is allowed."""
        names = dict.fromkeys(fill.stored for fill in self._fills)
        if None in names:
            return self._through_formulas()
        values = {str(name): self._through_views(str(name)) for name in names}
        exact = {name: value for name, value in values.items() if value is not None}
        return exact if len(exact) == len(values) else None

    # -- views of one stored tensor ------------------------------------------------------------------------------------

    def _through_views(self, name: str) -> Array | None:
        """The value on which all fills of a stored tensor agree; `None` if they differ and fitting is allowed."""
        dtype = numpy_dtype(self._storage.stored[name].type.dtype)
        fills = [fill for fill in self._fills if fill.stored == name]
        arrays = [
            as_stored(array, dtype, f"`{fill.tensor}`", fill.span, fill.file)
            for fill, array in zip(self._fills, self._arrays, strict=True)
            if fill.stored == name
        ]
        whole = next((i for i, fill in enumerate(fills) if fill.view.is_whole), None)
        if whole is None:
            value = np.array(self._before(name), dtype)
            for fill, array in zip(fills, arrays, strict=True):
                value = fill.view.put(value, array)
        else:
            back = fills[whole].view.inverse()
            assert back is not None
            value = np.asarray(back.of(arrays[whole]), order="C")
        for fill, array in zip(fills, arrays, strict=True):
            read = fill.view.of(value)
            if not _is_same_memory(read, array) and not _equal(read, array):
                is_float = self._storage.stored[name].type.is_float
                if is_float and any(each.fit is not None for each in fills):
                    return None
                missed: list[Missed] = []
                if is_float:
                    self.nearest(missed)
                share = max((m.share for m in missed), default=None)
                self.differences.append(Difference(fill, fills[whole or 0], _distance(read, array), share))
                return value
        return value

    # -- formulas ------------------------------------------------------------------------------------------------------

    def _through_formulas(self) -> dict[str, Array] | None:
        """The start values, if all slots have their loaded values with them; otherwise `None`."""
        from wsdl.fitting.fit import relative_errors

        start = self._start()
        shares = zip(self._fills, self._arrays, relative_errors(self._targets(), start), strict=True)
        return self._as_stored(start) if all(share <= _rounding(array) for _, array, share in shares) else None

    def _as_stored(self, values: Mapping[str, Array]) -> dict[str, Array]:
        stored = self._storage.stored
        fills = {name: f for f in self._fills for name in (*tensors_of(self._storage, f), *input_of(self._storage, f))}
        return {
            name: as_stored(
                array, numpy_dtype(stored[name].type.dtype), f"`{name}`", fills[name].span, fills[name].file
            )
            for name, array in values.items()
        }

    def _start(self) -> dict[str, Array]:
        """Values of all tensors of the family: loaded completely, or else the previous ones."""
        names = dict.fromkeys(name for fill in self._fills for name in tensors_of(self._storage, fill))
        start: dict[str, Array] = {}
        for fill, array in zip(self._fills, self._arrays, strict=True):
            if fill.stored is not None and (back := fill.view.inverse()) is not None:
                start.setdefault(fill.stored, np.asarray(back.of(array), order="C"))
        start = {**self._inputs, **start}
        return {name: start[name] if name in start else self._before(name) for name in names}

    def unread(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """The values of inputs of ways of sharing that no formula reads, as that of `Soft`."""
        return self._as_stored({name: array for name, array in self._inputs.items() if name not in values})

    @cached_property
    def _inputs(self) -> dict[str, Array]:
        """The values of the inputs of ways of sharing: what plain sharing would store, the mean over the slots."""
        seen: dict[str, list[Array]] = {}
        for fill, array in zip(self._fills, self._arrays, strict=True):
            value = self._slot_value(fill, array) if fill.slot in self._storage.inputs else None
            if value is not None:
                name, view = self._storage.inputs[fill.slot]
                if (back := view.inverse()) is not None:
                    seen.setdefault(name, []).append(back.of(value))
        return {name: _mean(arrays) for name, arrays in seen.items()}

    def _slot_value(self, fill: Fill, array: Array) -> Array | None:
        """The value of the whole slot of a fill; `None` if the fill sets anything else."""
        if fill.stored is None:
            back = fill.view.inverse()
            return None if back is None else np.asarray(back.of(array))
        reading = self._storage.readings[fill.slot]
        is_slot = reading.tensors == (fill.stored,) and not self._storage.is_computed(fill.slot)
        return array if is_slot and reading.view.reads_like(fill.view) else None

    def _targets(self) -> list[SlotTarget]:
        from wsdl.fitting.fit import SlotTarget

        return [SlotTarget(self._formula(f), array) for f, array in zip(self._fills, self._arrays, strict=True)]

    def _formula(self, fill: Fill) -> Graph:
        """The graph that computes the value that a fill sets."""
        if fill.stored is None:
            return slot_over_stored(self._slots[fill.slot], fill.view, self._storage)
        build = Build(Graph())
        return Graph([], build.nodes, [build.parameter(self._storage.stored[fill.stored], fill.view)])

    def nearest(self, missed: list[Missed], progress: Callable[[float], None] = lambda error: None) -> dict[str, Array]:
        """The values with the smallest differences of the slots, which are appended to `missed`."""
        from wsdl.fitting.fit import fit, relative_errors

        targets = self._targets()
        fitted = fit(targets, self._start(), progress)
        values = self._as_stored(fitted.stored)
        shares = zip(relative_errors(targets, fitted.stored), relative_errors(targets, values), strict=True)
        for fill, array, (before_rounding, share) in zip(self._fills, self._arrays, shares, strict=True):
            norm = float(np.linalg.norm(array.astype(np.float64)))
            missed.append(Missed(fill, share, norm, before_rounding <= _rounding(array), fitted.not_linear))
        return values


def _mean(arrays: Sequence[Array]) -> Array:
    """The mean; for equal arrays exactly their value."""
    first, *others = arrays
    if all(_equal(first, other) for other in others):
        return np.asarray(first, order="C")
    return np.asarray(np.mean([array.astype(np.float64) for array in arrays], axis=0))


def _rounding(array: Array) -> float:
    """The share of the norm of a loaded array that rounding can account for."""
    return ROUNDING * STEPS[dtype_of(array)]


# -- agreement ----------------------------------------------------------------------------------------


def _equal(stored: Array, loaded: Array) -> bool:
    return np.array_equal(stored, loaded, equal_nan=stored.dtype.kind == "f")


def _distance(stored: Array, loaded: Array) -> float:
    with np.errstate(all="ignore"):
        return float(np.nanmax(np.abs(stored.astype(np.float64) - loaded.astype(np.float64))))


def _is_same_memory(a: Array, b: Array) -> bool:
    """Whether both are the same array: PyTorch lists a shared tensor under each of its names."""
    return (a.ctypes.data, a.shape, a.strides, a.dtype) == (b.ctypes.data, b.shape, b.strides, b.dtype)
