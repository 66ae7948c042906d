"""Matches the tensors of a file with parameters: by the mappings of `load`, or by equal names.

    "encoder.layer.{i}.output.LayerNorm.{p}" -> blocks[i].norm2.{p}

A placeholder that the target uses as an index matches digits, one used as `{p}` names joined by dots, any other one
name. Only the listings are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import prod

from wsdl.diagnostics import Label, Problems, deduplicated
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.binding import dim_of_text
from wsdl.ir.graph import Slot, file_path
from wsdl.ir.requests import INDEX, PLACEHOLDER, LoadMapping, LoadRequest, Select
from wsdl.ir.stages import Storage
from wsdl.ir.types import FLOATS, shape_text
from wsdl.ir.views import View
from wsdl.ir.weight_files import Fill, Listing
from wsdl.sharing.check_loads import placeholders
from wsdl.sharing.paths import NotFound, viewed
from wsdl.sharing.reading_texts import reading_texts
from wsdl.sharing.targets import Target, Targets

MOST_LISTED = 20
_COUNTERS = "num_batches_tracked"  # of PyTorch; never read


@dataclass
class _Load:
    """One `load`: its file, the slots below its target by their path in files, and how a target that is a parameter is
    seen. `used` are the tensors of the file that some `load` has used so far."""

    request: LoadRequest
    listing: Listing
    slots: dict[str, Slot]
    prefix: str
    used: set[str]
    view: View | None = None


def match_weights(storage: Storage, loads: Iterable[tuple[LoadRequest, Listing]], problems: Problems) -> list[Fill]:
    """The fills of all `load`s of a program; mismatches are reported to `problems`."""
    targets = Targets(storage.checked, storage.group_of, parts=storage.parts)
    fills: list[Fill] = []
    opened: list[_Load] = []
    used: dict[str, set[str]] = {}  # by the path of the file
    for request, listing in loads:
        try:
            target = targets.of(request.target, request.base, problems)
            load = _opened(storage, request, target, listing, used.setdefault(listing.path, set()))
        except NotFound:
            continue
        opened.append(load)
        before = len(problems.errors)
        if request.mappings:
            fills += _by_table(load, storage, problems)
        else:
            fills += _by_name(load, storage, problems)
        if len(problems.errors) > before:
            return fills  # parameters that are missing now are missing because of these errors
    _report_unfilled(storage, opened, fills, problems)
    for path in used:
        _note_unused([load for load in opened if load.listing.path == path], problems)
    return fills


def _opened(storage: Storage, request: LoadRequest, target: Target, listing: Listing, used: set[str]) -> _Load:
    """The slots that a `load` fills, by their path in files, and the path of the target. `check_load` has checked
    it."""
    slot, view = target.tensors[0]
    if target.groups:
        [name] = target.groups
        if not view.is_identity:
            return _Load(request, listing, {name: slot}, name, used, view)
        group = [s for s in storage.stored.values() if f"{s.group}.".startswith(f"{name}.")]
        return _Load(request, listing, {s.group: s.root for s in group}, name, used)
    if not target.layers:
        return _Load(request, listing, {slot.file_path: slot}, slot.file_path, used, view)
    slots = {slot.file_path: slot for slot in target.slots}
    first = target.layers[0].path
    return _Load(
        request, listing, slots, file_path(first if len(target.layers) == 1 else first.rpartition("[")[0]), used
    )


# -- by name -----------------------------------------------------------------------------------------------------------


def _by_name(load: _Load, storage: Storage, problems: Problems) -> list[Fill]:
    """Without mappings a tensor has the path of its parameter, from the target on or whole, or its stored tensor's.
    Where a formula reads what it read when the file was written, its tensors are filled as they are."""
    fills, filled = _as_before(load, storage)
    paths = {path: slot for path, slot in load.slots.items() if slot.path not in filled}
    for path, slot in list(paths.items()):
        paths.setdefault(path.removeprefix(f"{load.prefix}."), slot)
        if not storage.is_computed(slot.path):
            paths.setdefault(storage.home(slot.path)[0].name, slot)
    only = len(load.slots) == len(load.listing.tensors) == 1
    for name in load.listing.names:
        target_slot = next(iter(load.slots.values())) if only else paths.get(name)
        if target_slot is not None:
            fills += _fill(
                load, name, target_slot, load.view or View.identity(target_slot.sizes), None, storage, problems
            )
    return fills


def _as_before(load: _Load, storage: Storage) -> tuple[list[Fill], set[str]]:
    """What fills the tensors behind parameters that are computed as when the file was written; the paths of these."""
    texts = reading_texts(storage) if load.listing.readings else {}
    fills: dict[str, Fill] = {}
    slots: set[str] = set()
    for slot in load.slots.values():
        has_parts = storage.is_computed(slot.path) or slot.path in storage.inputs
        if has_parts and texts and load.listing.readings.get(slot.path) == texts[slot.path]:
            load.used.add(slot.file_path)
            slots.add(slot.path)
            for name in (*storage.readings[slot.path].tensors, *storage.inputs.get(slot.path, ())[:1]):
                whole = View.identity(storage.stored[name].sizes)
                span = load.request.file_span
                fills[name] = Fill(name, whole, slot.path, load.listing.path, name, span, as_stored=True)
                load.used.add(name)
    return list(fills.values()), slots


# -- by mappings -------------------------------------------------------------------------------------------------------


def _by_table(load: _Load, storage: Storage, problems: Problems) -> list[Fill]:
    """The fills of the mappings of a table."""
    fills: list[Fill] = []
    unmatched: list[LoadMapping] = []
    reported = Problems()  # an error often occurs in every line
    for mapping in load.request.mappings:
        indices, parts = placeholders(mapping)
        pattern = _regex(mapping.pattern, indices, parts)
        matches = [(name, match) for name in load.listing.names if (match := pattern.fullmatch(name))]
        unmatched += [] if matches else [mapping]
        with suppress(NotFound):  # reported
            fills += _mapped(mapping, matches, load, storage, reported)
    for problem in deduplicated(reported):
        problems.add(problem)
    if unmatched:
        _report_no_match(unmatched, load, problems)
    return fills


def _mapped(
    mapping: LoadMapping,
    matches: Sequence[tuple[str, re.Match[str]]],
    load: _Load,
    storage: Storage,
    problems: Problems,
) -> list[Fill]:
    """The fills of one mapping."""
    fills: list[Fill] = []
    astray = ""
    for name, match in matches:
        path = f"{load.prefix}.{_instantiated(mapping.path, match.groupdict())}"
        slot, views = load.slots.get(file_path(path)), mapping.views
        if slot is None and (part := re.fullmatch(r"(.*)\[(\d+)\]", path)):  # `w[2]` of a parameter
            slot, views = load.slots.get(file_path(part[1])), (Select((int(part[2]),), mapping.path_span), *views)
        if slot is None:
            astray = astray or path
        else:
            fills += _fill(load, name, slot, viewed(slot, views, problems), mapping, storage, problems)
    if astray and not fills and len(problems.errors) == 0:
        near = nearest(file_path(astray), load.slots)
        problems.error(
            "E0507",
            mapping.path_span,
            f"there is no parameter `{astray}`",
            f"did you mean `{load.slots[near].path}`?" if near else "",
        )
    return fills


def _regex(pattern: str, indices: set[str], parts: set[str]) -> re.Pattern[str]:
    seen: set[str] = set()

    def group(name: str) -> str:
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        body = r"\d+" if name in indices else r"[^.]+(?:\.[^.]+)*" if name in parts else r"[^.]+"
        return f"(?P<{name}>{body})"

    pieces = PLACEHOLDER.split(pattern)
    return re.compile("".join(group(p) if i % 2 else re.escape(p) for i, p in enumerate(pieces)))


def _instantiated(target: str, values: dict[str, str]) -> str:
    def index(match: re.Match[str]) -> str:
        value = dim_of_text(match.group(1))
        return f"[{value.evaluate({name: int(values[name]) for name in value.names()})}]"

    return PLACEHOLDER.sub(lambda match: values[match.group(1)], INDEX.sub(index, target))


def _report_no_match(unmatched: Sequence[LoadMapping], load: _Load, problems: Problems) -> None:
    """Report one error for the whole table: often a part of each name differs in the file."""
    near = {m.pattern: _alike(m, load.listing.names) for m in unmatched}
    _, *others = [f"`{pattern}`" + (f" (is it `{name}`?)" if name else "") for pattern, name in near.items()]
    problems.error(
        "E0506",
        unmatched[0].span,
        f"no tensor of {load.request.file} has a name like `{unmatched[0].pattern}`",
        details=[f"nor like {_count(others, 'more pattern')} of this table:", *_listed(others)] if others else (),
        help=f"the most similar name is `{near[unmatched[0].pattern]}`"
        if near[unmatched[0].pattern]
        else "`wsdl inspect` lists the names in a file",
    )


def _alike(mapping: LoadMapping, names: Sequence[str]) -> str | None:
    """The name that was probably meant: one with the same end, otherwise the most similar one."""
    indices, parts = placeholders(mapping)
    pieces = mapping.pattern.split(".")
    for start in range(len(pieces)):
        end = ".".join(pieces[start:])
        pattern = _regex(end, indices, parts)
        for name in names:
            if name == end or (len(pieces) - start > 1 and re.fullmatch(rf"(?:[^.]+\.)*{pattern.pattern}", name)):
                return name
    return nearest(mapping.pattern, names)


# -- one tensor, one slot ----------------------------------------------------------------------------------------------


def _fill(
    load: _Load, name: str, slot: Slot, seen: View, mapping: LoadMapping | None, storage: Storage, problems: Problems
) -> list[Fill]:
    """The fill of a view of a slot; none after reporting that shape or dtype don't fit."""
    load.used.update((load.listing.stored_name(name), *load.listing.parts.get(name, ())))
    info, span = load.listing.info(name), mapping.span if mapping else load.request.file_span
    sizes = seen.shape
    if info.shape != sizes:
        transposed = len(sizes) == 2 and info.shape == sizes[::-1]
        problems.error(
            "E0508",
            span,
            f"`{name}` is {info}, but `{slot.path}{seen}` needs {shape_text(sizes)}",
            labels=[Label(slot.layer_span, slot.story)] if slot.story else [],
            help=_how_to_turn(seen) if transposed else None,
        )
        return []
    if info.dtype != slot.type.dtype and not {info.dtype, slot.type.dtype} <= FLOATS:
        problems.error("E0510", span, f"`{name}` is {info}, but `{slot.path}` is {slot.type.dtype}")
        return []
    part = None if seen.is_whole else seen
    name_of_stored, view = None, seen
    fit = load.request.fit.share if load.request.fit is not None else None
    if not storage.is_computed(slot.path):
        stored, home = storage.home(slot.path)
        name_of_stored, view = stored.name, home.then(seen)
    return [Fill(name_of_stored, view, slot.path, load.listing.path, name, span, part, fit)]


def _how_to_turn(seen: View) -> str:
    if seen.is_transpose:
        return "the shapes match without `.T` after the target"
    return "the shapes match transposed: write `.T` after the target"


# -- missing and unused tensors ----------------------------------------------------------------------------------------


def _report_unfilled(storage: Storage, loads: Sequence[_Load], fills: Sequence[Fill], problems: Problems) -> None:
    slots = _filled_slots(storage, fills)
    filled = {name for slot in slots if _is_whole(slot, storage) for name in storage.readings[slot].tensors}
    reported: set[str] = set()
    for load in loads:
        missing = []
        for slot in load.slots.values():
            tensors = set(storage.readings[slot.path].tensors)
            if slot.path not in slots and not tensors <= filled and not tensors <= reported:
                missing.append(slot)
                reported |= tensors
        if missing:
            what = f"{_count(missing, 'parameter')} of `{load.prefix}` {_are(missing)}"
            unused = [name for name in load.listing.tensors if name not in load.used]
            problems.error(
                "E0503",
                load.request.target.span,
                f"{what} not filled from {load.request.file}",
                details=_listed([f"{slot.path}: {slot.type}{_nearest_to(slot, unused)}" for slot in missing]),
                help="map them, load a smaller layer, or remove parameters that the file doesn't have",
            )


def _is_whole(slot: str, storage: Storage) -> bool:
    """Whether filling a slot fills its tensors completely; the tensors of a formula are fitted."""
    return storage.is_computed(slot) or storage.home(slot)[1].is_whole


def _filled_slots(storage: Storage, fills: Sequence[Fill]) -> set[str]:
    """The slots that one tensor fills completely, or several by parts with as many elements in total."""
    parts: dict[str, dict[object, int]] = {}
    for fill in fills:
        if fill.part is not None:
            parts.setdefault(fill.slot, {})[fill.part.layout] = prod(fill.part.shape)
    sizes = {slot.path: prod(slot.sizes) for slot in storage.checked.slots()}
    partly = {slot for slot, filled in parts.items() if sum(filled.values()) < sizes[slot]}
    return {fill.slot for fill in fills} - partly


def _nearest_to(slot: Slot, names: Sequence[str]) -> str:
    near = nearest(slot.file_path, names)
    return f" (is it `{near}`?)" if near else ""


def _note_unused(loads: Sequence[_Load], problems: Problems) -> None:
    """Note the tensors that no `load` of their file uses."""
    for load in loads[:1]:
        parts = load.listing.parts
        unused = [
            name
            for name in load.listing.tensors
            if not {*load.used, *load.listing.inputs}.issuperset(parts.get(name, (name,)))
            and not name.endswith(_COUNTERS)
        ]
        if not unused:
            continue
        problems.error(
            "N0501",
            load.request.file_span,
            f"{_count(unused, 'tensor')} of {load.request.file} {_are(unused)} not used",
            details=_listed([f"{name}: {load.listing.tensors[name]}" for name in unused]),
            severity="note",
        )


def _count(things: Sequence[object], noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def _are(things: Sequence[object]) -> str:
    return "is" if len(things) == 1 else "are"


def _listed(lines: Sequence[str]) -> list[str]:
    more = len(lines) - MOST_LISTED
    return [*lines[:MOST_LISTED], *([f"and {more} more"] if more > 0 else [])]
