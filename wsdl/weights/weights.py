"""Values of stored tensors: from the `load`s of a program, from files and mappings of weights, and saved to files.

Everything is loaded and saved under the names of stored tensors. A source may name any slot that reads a stored tensor;
what it holds for a slot that reads a transposed or permuted view is turned back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Container, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wsdl.diagnostics import Diagnostic
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.dtypes import dtype_of, numpy_dtype
from wsdl.ir.graph import Stored, file_path
from wsdl.ir.stages import Storage
from wsdl.ir.step import OPTIMIZER
from wsdl.ir.types import FLOATS, shape_text
from wsdl.ir.views import View
from wsdl.ir.weight_files import Fill, TensorInfo
from wsdl.weights.loads import Loads
from wsdl.weights.metadata import VARIANT, sharing_record
from wsdl.weights.narrow import as_stored
from wsdl.weights.open_source import open_source
from wsdl.weights.safetensors import save_safetensors
from wsdl.weights.source import Source, WeightsError, broken

Array = NDArray[Any]
Weights: TypeAlias = "str | os.PathLike[str] | Mapping[str, Any]"
MOST_LISTED = 20


def loaded_weights(storage: Storage, loads: Loads, initial: Mapping[str, Array]) -> dict[str, Array]:
    """The stored tensors that the `load`s of a program fill; `initial` has those that are filled in part only."""
    return _filled(storage, loads.fills, loads.sources, initial)


# -- files and mappings of weights -------------------------------------------------------------------------------------


def given_weights(
    storage: Storage,
    weights: Weights,
    *,
    needed: Container[str] | None = None,
    initial_value: Callable[[str], Array] | None = None,
) -> dict[str, Array]:
    """The stored tensors that a file or a mapping gives, by the names of stored tensors or the paths of slots, with or
    without the model's name in front. Raises `WeightsError` where some are unknown, of another shape, contradict each
    other, or are missing: of those that are `needed`, by default all. With `initial_value` none need be there; it
    returns the stored tensor of which only a part is filled."""
    source = _of_mapping(weights) if isinstance(weights, Mapping) else open_source(os.fspath(weights))
    homes = _homes(storage)
    fills, diagnostics = [], []
    unknown = []
    for name in source.names:
        if name.startswith(OPTIMIZER) or name.endswith("num_batches_tracked"):
            continue
        if name not in homes:
            unknown.append(name)
            continue
        stored, view = homes[name]
        problem = _misfit(name, source.info(name), stored, view, source.path)
        diagnostics += [problem] if problem else []
        fills.append(Fill(stored.name, view, name, source.path, name))
    full = {fill.stored for fill in fills if fill.view.is_whole}
    expected = [s for s in storage.stored.values() if s.derived is None and (needed is None or s.name in needed)]
    missing = [s for s in expected if s.name not in full] if initial_value is None else []
    diagnostics += _unknown(unknown, [s.name for s in missing] or list(homes), source.path)
    if missing:
        lines = [f"{s.name}: {s.type}" for s in missing]
        message = f"{len(missing)} of {len(expected)} stored tensors are not in the weights"
        help = "`partial=True` keeps what is stored for the others" if isinstance(weights, Mapping) else None
        diagnostics.append(Diagnostic("E0511", message, file=source.path, help=help, details=tuple(_listed(lines))))
    if diagnostics:
        raise WeightsError(diagnostics)
    partly = sorted({fill.stored for fill in fills} - full)
    initial = {} if initial_value is None else {name: initial_value(name) for name in partly}
    return _filled(
        storage, [fill for fill in fills if fill.stored in {*full, *initial}], {source.path: source}, initial
    )


def _of_mapping(weights: Mapping[str, Any]) -> Source:
    arrays = {name: np.asarray(array) for name, array in weights.items()}
    try:
        infos = {name: TensorInfo(dtype_of(a), a.shape) for name, a in arrays.items()}
    except KeyError as error:
        raise broken("<weights>", f"the language has no dtype {error.args[0]}") from None
    return Source("<weights>", infos, reader=arrays.__getitem__)


def _homes(storage: Storage) -> dict[str, tuple[Stored, View]]:
    """Each name that weights may have: of a stored tensor or a slot; of a single model also without its name."""
    homes: dict[str, tuple[Stored, View]] = {}
    for stored in storage.stored.values():
        if stored.derived is None:
            homes[stored.name] = (stored, View.identity(stored.sizes))
    for stored in storage.stored.values():
        for slot, view in stored.slots if stored.derived is None else ():
            for name in (slot.file_path, slot.path):
                homes.setdefault(name, (stored, view))
    if len(storage.models) == 1:
        [model] = storage.models
        for name, home in list(homes.items()):
            homes.setdefault(name.removeprefix(f"{file_path(model)}."), home)
    return homes


def _misfit(name: str, info: TensorInfo, stored: Stored, view: View, file: str) -> Diagnostic | None:
    if info.shape != view.shape:
        message = f"`{name}` is {info}, but {shape_text(view.shape)} is needed"
        return Diagnostic("E0508", message, file=file)
    if info.dtype != stored.type.dtype and not {info.dtype, stored.type.dtype} <= FLOATS:
        return Diagnostic("E0510", f"`{name}` is {info}, but it is stored as {stored.type.dtype}", file=file)
    return None


def _unknown(names: list[str], known: list[str], file: str) -> list[Diagnostic]:
    if not names:
        return []
    lines = [f"{name}{f' (is it `{near}`?)' if (near := nearest(name, known)) else ''}" for name in names]
    tensors = "a tensor is" if len(names) == 1 else f"{len(names)} tensors are"
    message = f"{tensors} in the weights that the program doesn't have"
    return [Diagnostic("E0512", message, file=file, details=tuple(_listed(lines)))]


def _listed(lines: list[str]) -> list[str]:
    more = len(lines) - MOST_LISTED
    return [*lines[:MOST_LISTED], *([f"and {more} more"] if more > 0 else [])]


# -- filling -----------------------------------------------------------------------------------------------------------


def _filled(
    storage: Storage, fills: Iterable[Fill], sources: Mapping[str, Source], initial: Mapping[str, Array]
) -> dict[str, Array]:
    """The tensors that are filled. Two sources of one must agree; nothing is copied that needn't be."""
    by_stored: dict[str, list[Fill]] = {}
    for fill in fills:
        by_stored.setdefault(fill.stored, []).append(fill)
    values: dict[str, Array] = {}
    for name, group in by_stored.items():
        dtype = numpy_dtype(storage.stored[name].type.dtype)
        arrays = [
            as_stored(sources[fill.file].read(fill.tensor), dtype, f"`{fill.tensor}`", fill.span, fill.file)
            for fill in group
        ]
        whole = next((i for i, fill in enumerate(group) if fill.view.is_whole), None)
        if whole is None:
            values[name] = np.array(initial[name], dtype)
            for fill, array in zip(group, arrays, strict=True):
                values[name] = fill.view.put(values[name], array)
            _require_whole(storage, group)
        else:
            back = group[whole].view.inverse()
            assert back is not None
            values[name] = np.asarray(back.of(arrays[whole]), order="C")
        for fill, array in zip(group, arrays, strict=True):
            _require_equal(fill, group[whole or 0], fill.view.of(values[name]), array)
    return values


def _require_whole(storage: Storage, fills: Iterable[Fill]) -> None:
    """Slots that parts fill must have no element that none of them does; parts may overlap."""
    parts = [fill for fill in fills if fill.part is not None]
    for slot in dict.fromkeys(fill.slot for fill in parts):
        stored, view = storage.home(slot)
        filled = np.zeros(stored.sizes, bool)
        for fill in parts:
            filled = fill.view.put(filled, np.ones(fill.view.shape, bool))
        if not view.of(filled).all():
            [*_, last] = [fill for fill in parts if fill.slot == slot]
            message = f"the parts of `{slot}` that are filled leave {int((~view.of(filled)).sum())} elements out"
            raise WeightsError([Diagnostic("E0503", message, last.span, file=None if last.span else last.file)])


def _require_equal(fill: Fill, other: Fill, stored: Array, loaded: Array) -> None:
    if _is_same_memory(stored, loaded) or np.array_equal(stored, loaded, equal_nan=stored.dtype.kind == "f"):
        return
    with np.errstate(all="ignore"):
        distance = np.nanmax(np.abs(stored.astype(np.float64) - loaded.astype(np.float64)))
    message = (
        f"`{fill.tensor}` and `{other.tensor}` fill one stored tensor, `{fill.stored}`, and differ by {distance:.3g}"
    )
    help = "load one of them only, or take their parameters out of the share group"
    raise WeightsError([Diagnostic("E0504", message, fill.span, file=None if fill.span else fill.file, help=help)])


def _is_same_memory(a: Array, b: Array) -> bool:
    """Are they the same array? Shared tensors of PyTorch occur under each of their names."""
    return (a.ctypes.data, a.shape, a.strides, a.dtype) == (b.ctypes.data, b.shape, b.strides, b.dtype)


def not_finite(values: Mapping[str, Array], finite: Collection[str]) -> list[str]:
    """The tensors that hold NaN, as lines to show, and of those that are to be `finite` the ones that hold infinity."""
    lines = []
    for name, array in values.items():
        with np.errstate(all="ignore"):
            if array.dtype.kind not in "fV" or np.isfinite(np.sum(array, dtype=np.float32)):
                continue  # a sum takes a fraction of the time that looking at each number does
        numbers = array.astype(np.float32) if array.dtype.itemsize == 2 else array
        nan, infinite = int(np.isnan(numbers).sum()), int(np.isinf(numbers).sum())
        if nan or (infinite and name in finite):
            parts = [f"{count:,} {what}" for count, what in ((nan, "NaN"), (infinite, "infinite")) if count]
            lines.append(f"{name}: {' and '.join(parts)} of {array.size:,}")
    return _listed(lines)


# -- saving ------------------------------------------------------------------------------------------------------------


def save_weights(
    path: str | os.PathLike[str],
    storage: Storage,
    values: Mapping[str, Array],
    *,
    extra: Mapping[str, Array] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write the stored tensors of a program as safetensors, with the share groups in the header. `extra` are further
    tensors (`optimizer/…`). The file is whole or not there; the same values give the same bytes."""
    arrays = {s.name: values[s.name] for s in storage.stored.values() if s.derived is None}
    save_safetensors(os.fspath(path), {**arrays, **(extra or {})}, {**header(storage), **(metadata or {})})


def header(storage: Storage) -> dict[str, str]:
    """What a file of weights says in its header: the share groups, and the variant where the program is one."""
    shared = [s for s in storage.stored.values() if s.derived is None and len(s.slots) + len(s.computed) > 1]
    groups = json.dumps([sharing_record(s) for s in shared], ensure_ascii=False)
    variant = storage.checked.variant
    return {"format": "wsdl", "wsdl.sharing": groups, **({VARIANT: variant} if variant else {})}
