"""Values of stored tensors from files and mappings of weights, and saving them to files.

They are saved under the names of stored tensors. A source may name any slot that reads a stored tensor; the value of a
slot that reads a transposed or permuted view is transposed back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wsdl.diagnostics import Diagnostic
from wsdl.diagnostics.figures import listed
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.connected import connected
from wsdl.ir.dtypes import dtype_of
from wsdl.ir.graph import Reads, Slot, Stored, file_path
from wsdl.ir.inventory import ways, ways_of
from wsdl.ir.stages import Storage
from wsdl.ir.step import OPTIMIZER
from wsdl.ir.training import COUNTERS
from wsdl.ir.types import FLOATS, shape_text
from wsdl.ir.views import View
from wsdl.ir.weight_files import FORMULAS, INPUTS, SHARING, WAYS, Fill, TensorInfo
from wsdl.sharing.reading_texts import formula_texts, reading_texts
from wsdl.weights.fill import Filled, Progress, filled, input_of, tensors_of
from wsdl.weights.metadata import VARIANT, sharing_record
from wsdl.weights.open_source import open_source
from wsdl.weights.parts import part_at
from wsdl.weights.recorded import by_slots
from wsdl.weights.safetensors import save_safetensors
from wsdl.weights.source import Source, WeightsError, broken

Array = NDArray[Any]
Weights: TypeAlias = "str | os.PathLike[str] | Mapping[str, Any]"


# -- files and mappings of weights -------------------------------------------------------------------------------------


def given_weights(
    storage: Storage,
    weights: Weights,
    before: Callable[[str], Array],
    *,
    needed: Container[str] | None = None,
    partial: bool = False,
    fit: float | None = None,
    progress: Progress = lambda *_: None,
) -> Filled:
    """The stored tensors from a file or a mapping, by the names of stored tensors or the paths of slots, with or
    without the model's name in front.

    Raises `WeightsError` if names are unknown, shapes differ, values contradict each other or can't be represented, or
    tensors are missing: any of those in `needed`, by default all; with `partial` none is required. `before` returns the
    previous value of a stored tensor; `fit` is the share of its norm that a slot may lose where it can't be represented
    exactly.
    """
    source = _of_mapping(weights) if isinstance(weights, Mapping) else _of_file(os.fspath(weights))
    names = _Names(storage, source, partial)
    fills, diagnostics = [], []
    for name, home in names.homes():
        problem = _misfit(name, home, storage, source)
        diagnostics += [problem] if problem else []
        fills.append(Fill(home.stored, home.view, home.slot, source.path, name, fit=fit, as_stored=home.as_stored))
    full = {t for f in fills if f.view.is_whole for t in (*tensors_of(storage, f), *input_of(storage, f))}
    expected = [s for s in storage.stored.values() if s.derived is None and (needed is None or s.name in needed)]
    missing = [] if partial else [s for s in expected if s.name not in full]
    diagnostics += _unknown(names.unknown(), [s.name for s in missing] or list(names.known), source.path)
    if missing:
        lines = [f"{s.name}: {s.type}" for s in missing]
        message = f"{len(missing)} of {len(expected)} stored tensors are not in the weights"
        help = "some are enough for `partial=True`, `wsdl compile --partial` and `wsdl train --partial`"
        diagnostics.append(Diagnostic("E0511", message, file=source.path, help=help, details=tuple(listed(lines))))
    if diagnostics:
        raise WeightsError(diagnostics)
    chosen = [fill for fill in fills if partial or fill.stored is None or fill.stored in full]
    return filled(storage, chosen, {source.path: source}, before, progress)


def _of_file(path: str) -> Source:
    return part_at(by_slots(open_source(path)), None)


def _of_mapping(weights: Mapping[str, Any]) -> Source:
    arrays = {name: np.asarray(array) for name, array in weights.items()}
    try:
        infos = {name: TensorInfo(dtype_of(a), a.shape) for name, a in arrays.items()}
    except KeyError as error:
        raise broken("<weights>", f"the dtype {error.args[0]} isn't supported") from None
    return Source("<weights>", infos, reader=arrays.__getitem__)


@dataclass(frozen=True)
class _Home:
    """The place of a named tensor: a view of a stored tensor, or of a slot that is computed."""

    stored: str | None
    view: View
    slot: str
    as_stored: bool = False


class _Names:
    """The valid names of weights: of stored tensors and slots; for a single model also without its name."""

    def __init__(self, storage: Storage, source: Source, partial: bool) -> None:
        self._storage, self._source = storage, source
        self.known = self._of_slots()
        self._as_stored = self._stored_alike(partial)

    def homes(self) -> Iterator[tuple[str, _Home]]:
        """The names of the source that the program knows, with their places."""
        for name, stored in self._as_stored.items():
            yield name, _Home(stored, View.identity(self._storage.stored[stored].sizes), stored, True)
        filled = set(self._as_stored.values())
        for name in self._source.names:
            home = self.known.get(name)
            if home is not None and not self._tensors(home) & filled:
                yield name, home

    def unknown(self) -> list[str]:
        """The names of the source that the program doesn't know; neither tensors that known ones are computed from, nor
        views or other names of these, count as unknown."""
        source, parts = self._source, self._source.parts
        used = {part for name in self.known for part in parts.get(name, ())} | self._as_stored.keys()
        used |= source.inputs | {source.stored_name(name) for name in source.names if name in self.known}
        # What an exporter has named `onnx::MatMul_12` is told by the name that it had before.
        lost = {part for of in parts.values() for part in of} if source.stored is None else set()
        return [
            name
            for name in source.names
            if name not in self.known and not used.issuperset(parts.get(name, (source.stored_name(name),)))
            if name not in lost and name not in COUNTERS
            if not name.startswith(OPTIMIZER) and not name.endswith("num_batches_tracked")
        ]

    def _tensors(self, home: _Home) -> set[str]:
        return {home.stored} if home.stored is not None else set(self._storage.readings[home.slot].tensors)

    def _of_slots(self) -> dict[str, _Home]:
        storage, homes = self._storage, dict[str, _Home]()
        computed = {s.file_path: s for s in storage.checked.slots() if storage.is_computed(s.path)}
        for slot in computed.values():
            home = _Home(None, View.identity(slot.sizes), slot.path)
            homes |= {slot.file_path: home, slot.path: home}
        for stored in storage.stored.values():
            path = stored.root.path if stored.root.file_path == stored.name else stored.name
            homes.setdefault(stored.name, _Home(stored.name, View.identity(stored.sizes), path))
        for stored in storage.stored.values():
            for slot, view in stored.slots:
                for name in (slot.file_path, slot.path):
                    homes.setdefault(name, _Home(stored.name, view, slot.path))
        for name, home in list(homes.items()):
            homes.setdefault(self._short(name), home)
        return homes

    def _short(self, name: str) -> str:
        """The name without that of the model, if there is only one."""
        models = list(self._storage.models)
        return name.removeprefix(f"{file_path(models[0])}.") if len(models) == 1 else name

    def _stored_alike(self, partial: bool) -> dict[str, str]:
        """The tensors that can be copied from the file as stored: those of slots that are read in the same way as in
        the file. If the file has no record of that, those of slots of which all stored tensors are in the file."""
        storage, source = self._storage, self._source
        if source.stored is None and not storage.formulas:
            return {}
        raw = source.stored or source
        texts = reading_texts(storage)
        alike: dict[str, str] = {}
        for slots in connected(storage.checked.slots(), lambda slot: _behind(slot, storage)):
            names = dict.fromkeys(name for slot in slots for name in _behind(slot, storage))
            there = {n: name for name in names for n in (self._short(name), name) if n in raw.tensors}
            if source.stored is not None:
                same = all(source.readings.get(s.path, s.file_path) == texts[s.path] for s in slots)
            else:
                same = any(storage.is_computed(s.path) for s in slots) and (
                    len({*there.values()}) == len(names)
                    or (partial and not any(s.file_path in raw.tensors and s.file_path not in names for s in slots))
                )
            if same:
                alike |= there
        return alike


def _behind(slot: Slot, storage: Storage) -> tuple[str, ...]:
    """The stored tensors that belong to a slot: those that it reads, and the input of its way of sharing."""
    return (*storage.readings[slot.path].tensors, *storage.inputs.get(slot.path, ())[:1])


def _misfit(name: str, home: _Home, storage: Storage, source: Source) -> Diagnostic | None:
    info = (source.stored if home.as_stored and source.stored else source).info(name)
    if info.shape != home.view.shape:
        message = f"`{name}` is {info}, but the shape {shape_text(home.view.shape)} is required"
        return Diagnostic("E0508", message, file=source.path)
    stored = home.stored if home.stored is not None else storage.readings[home.slot].tensors[0]
    dtype = storage.stored[stored].type.dtype
    if info.dtype != dtype and not {info.dtype, dtype} <= FLOATS:
        return Diagnostic("E0510", f"`{name}` is {info}, but it is stored as {dtype}", file=source.path)
    return None


def _unknown(names: list[str], known: list[str], file: str) -> list[Diagnostic]:
    if not names:
        return []
    lines = [f"{name}{f' (is it `{near}`?)' if (near := nearest(name, known)) else ''}" for name in names]
    tensors = "a tensor is" if len(names) == 1 else f"{len(names)} tensors are"
    message = f"{tensors} in the weights that the program doesn't have"
    return [Diagnostic("E0512", message, file=file, details=tuple(listed(lines)))]


# -- values that are not finite ----------------------------------------------------------------------------------------


def not_finite(values: Mapping[str, Array], finite: Collection[str]) -> list[str]:
    """The tensors with NaN and, of those in `finite`, the ones with infinities, as lines to show."""
    lines = []
    for name, array in values.items():
        with np.errstate(all="ignore"):
            if array.dtype.kind not in "fV" or np.isfinite(np.sum(array, dtype=np.float32)):
                continue  # a sum is much faster than testing each value
        numbers = array.astype(np.float32) if array.dtype.itemsize == 2 else array
        nan, infinite = int(np.isnan(numbers).sum()), int(np.isinf(numbers).sum())
        if nan or (infinite and name in finite):
            parts = [f"{count:,} {what}" for count, what in ((nan, "NaN"), (infinite, "infinite")) if count]
            lines.append(f"{name}: {' and '.join(parts)} of {array.size:,}")
    return listed(lines)


# -- saving ------------------------------------------------------------------------------------------------------------


def save_weights(
    path: str | os.PathLike[str],
    storage: Storage,
    values: Mapping[str, Array],
    *,
    extra: Mapping[str, Array] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write the stored tensors of a program as safetensors, with the share groups in the header. `extra` are additional
    tensors (`optimizer/…`). The file is written atomically; equal values give equal bytes."""
    arrays = {s.name: values[s.name] for s in storage.stored.values() if s.derived is None}
    save_safetensors(os.fspath(path), {**arrays, **(extra or {})}, {**header(storage), **(metadata or {})})


def header(storage: Storage) -> dict[str, str]:
    """The metadata of a weights file: the tensors that aren't read exactly once, the ways of sharing, the formulas and,
    if there is one, the variant."""
    reads = _reads(storage)
    shared = [s for s in storage.stored.values() if s.derived is None and not _read_once(s, reads)]
    groups = json.dumps([sharing_record(s, reads) for s in shared], ensure_ascii=False)
    texts, variant = formula_texts(storage), storage.checked.variant
    formulas = {FORMULAS: json.dumps(texts, ensure_ascii=False)} if texts else {}
    inputs = [s.name for s in storage.stored.values() if s.members]
    formulas |= {INPUTS: json.dumps(inputs, ensure_ascii=False)} if inputs else {}
    if of_ways := ways_of({s.name for s in shared}, ways(storage)):
        formulas[WAYS] = json.dumps([way.as_json() for way in of_ways], ensure_ascii=False)
    return {"format": "wsdl", SHARING: groups, **formulas, **({VARIANT: variant} if variant else {})}


def _read_once(stored: Stored, reads: Mapping[str, Reads]) -> bool:
    """Whether one slot alone reads a tensor, and models read that slot once."""
    slots = [slot for slot, _ in stored.slots] + [use.slot for use in stored.computed]
    return len(slots) == 1 and reads.get(slots[0].path, Reads(0, 0)).times == 1


def _reads(storage: Storage) -> dict[str, Reads]:
    """The reads of each slot by all models together."""
    total: dict[str, Reads] = {}
    for path, reads in ((path, reads) for model in storage.models.values() for path, reads in model.reads.items()):
        before = total.get(path, Reads(0, 0))
        total[path] = Reads(before.times + reads.times, before.elements + reads.elements)
    return total
