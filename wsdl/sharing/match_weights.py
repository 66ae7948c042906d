"""Matches the tensors of files with parameters: by the tables of `load`s, or by equal names. Only the listings are
read."""

from __future__ import annotations

from collections.abc import Iterable

from wsdl.diagnostics import Problems
from wsdl.ir.requests import LoadRequest
from wsdl.ir.stages import Storage
from wsdl.ir.views import View
from wsdl.ir.weight_files import Fill, Listing
from wsdl.sharing.match_table import by_table
from wsdl.sharing.open_load import OpenLoad, opened
from wsdl.sharing.paths import NotFound
from wsdl.sharing.reading_texts import reading_texts
from wsdl.sharing.targets import Targets
from wsdl.sharing.unfilled import note_unused, report_overlaps, report_unfilled


def match_weights(storage: Storage, loads: Iterable[tuple[LoadRequest, Listing]], problems: Problems) -> list[Fill]:
    """The fills of all `load`s of a program; mismatches are reported to `problems`."""
    targets = Targets(storage.checked, storage.group_of, parts=storage.parts)
    fills: list[Fill] = []
    open_loads: list[OpenLoad] = []
    used: dict[str, dict[str, list[View]]] = {}  # by the path of the file
    before = len(problems.errors)
    for request, listing in loads:
        try:
            load = opened(storage, request, targets, listing, used.setdefault(listing.path, {}))
        except NotFound:
            continue
        open_loads.append(load)
        fills += by_table(load, targets, storage, problems) if request.mappings else _by_name(load, storage, problems)
    if len(problems.errors) > before:
        return fills  # parameters that are missing now are missing because of these errors
    report_overlaps(storage, fills, problems)
    if len(problems.errors) > before:
        return fills
    report_unfilled(storage, open_loads, fills, problems)
    for load in {load.listing.path: load for load in reversed(open_loads)}.values():
        note_unused(load, problems)
    return fills


def _by_name(load: OpenLoad, storage: Storage, problems: Problems) -> list[Fill]:
    """Without mappings a tensor has the path of its parameter, from the target on or whole, or its stored tensor's.
    Where a formula reads what it read when the file was written, its tensors are filled as they are."""
    fills, filled = _as_before(load, storage)
    paths = {path: slot for path, slot in load.slots.items() if slot.path not in filled}
    for path, slot in list(paths.items()):
        paths.setdefault(path.removeprefix(f"{load.prefix}."), slot)
        if not storage.is_computed(slot.path):
            paths.setdefault(storage.home(slot.path)[0].name, slot)
    only = len(load.slots) == len(load.listing.tensors) == 1
    for name in load.names:
        slot_of_name = next(iter(load.slots.values())) if only else paths.get(name)
        if slot_of_name is not None:
            whole = View.identity(load.listing.info(name).shape)
            part = load.view or View.identity(slot_of_name.sizes)
            fills += load.fill(name, whole, slot_of_name, part, storage, problems)
    return fills


def _as_before(load: OpenLoad, storage: Storage) -> tuple[list[Fill], set[str]]:
    """What fills the tensors behind parameters that are computed as when the file was written; the paths of these."""
    texts = reading_texts(storage) if load.listing.readings else {}
    fills: dict[str, Fill] = {}
    slots: set[str] = set()
    for slot in load.slots.values():
        has_parts = storage.is_computed(slot.path) or slot.path in storage.inputs
        if load.is_excepted(slot):
            continue
        if has_parts and texts and load.listing.readings.get(slot.path) == texts[slot.path]:
            load.use(slot.file_path)
            slots.add(slot.path)
            for name in (*storage.readings[slot.path].tensors, *storage.inputs.get(slot.path, ())[:1]):
                whole = View.identity(storage.stored[name].sizes)
                span = load.request.file_span
                fills[name] = Fill(name, whole, slot.path, load.listing.path, name, span, as_stored=True)
                load.use(name)
    return list(fills.values()), slots
