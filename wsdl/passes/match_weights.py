"""Decides which tensor of a file fills which parameter: the mappings of `load`, or one name on both sides.

    "encoder.layer.{i}.output.LayerNorm.{p}" -> blocks[i].norm2.{p}

A placeholder that the target uses as an index stands for digits, one that it uses as `{p}` for names with dots between
them, any other for one name. Only listings are looked at, no numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from wsdl.diagnostics import Label, Problems
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.binding import dim_of_text
from wsdl.ir.graph import Program, Slot, file_path
from wsdl.ir.loading import Fill, Listing
from wsdl.ir.requests import LoadMapping, LoadRequest
from wsdl.ir.types import FLOATS, shape_text
from wsdl.passes.paths import NotFound, find, root_of

MOST_LISTED = 20
MOST_PARTS = 3  # placeholders that take in dots: each multiplies the ways to read a name by its length
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_INDEX = re.compile(r"\[([^\]]*)\]")
_COUNTERS = "num_batches_tracked"  # PyTorch's, which nothing reads


@dataclass
class _Load:
    """One `load`: its file, the slots below its target by their path in files, and what has been used so far."""

    request: LoadRequest
    listing: Listing
    slots: dict[str, Slot]
    prefix: str
    used: set[str] = field(default_factory=set)


def match_weights(program: Program, loads: Iterable[tuple[LoadRequest, Listing]], problems: Problems) -> list[Fill]:
    """What fills what, for all `load`s of a program after `share`. All that doesn't fit goes to `problems`."""
    fills: list[Fill] = []
    opened: list[_Load] = []
    for request, listing in loads:
        try:
            slots, prefix = _targets(program, request, problems)
        except NotFound:
            continue
        load = _Load(request, listing, slots, prefix)
        opened.append(load)
        before = len(problems.errors)
        mapped = [_mapped(m, load, program, problems) for m in request.mappings] or [_by_name(load, program, problems)]
        fills += [fill for group in mapped for fill in group]
        if len(problems.errors) > before:
            return fills  # what is missing now is missing for these reasons
    _report_unfilled(program, opened, fills, problems)
    for load in opened:
        _note_unused(load, problems)
    return fills


def _targets(program: Program, request: LoadRequest, problems: Problems) -> tuple[dict[str, Slot], str]:
    """The slots that a `load` is to fill, by their path in files, and the path of the target."""
    written = request.target.span.text
    name = f"{request.base}.{written}" if request.base else written
    for stored in program.stored.values():
        if stored.group in (name, written) and stored.group:
            return {file_path(stored.group): stored.root}, file_path(stored.group)
    [found, *others] = find(request.target, root_of(program, request.base), problems)
    if others:
        problems.error("E0505", request.target.span, "a file is loaded into one layer, and these are several")
        raise NotFound
    if isinstance(found.thing, Slot):
        return {found.thing.file_path: found.thing}, found.thing.file_path
    return {slot.file_path: slot for slot in found.thing.all_slots()}, file_path(found.thing.path)


# -- by name -----------------------------------------------------------------------------------------------------------


def _by_name(load: _Load, program: Program, problems: Problems) -> list[Fill]:
    """Without mappings a tensor has the path of its parameter, from the target on or whole, or its stored tensor's."""
    fills = []
    paths = dict(load.slots)
    for path, slot in load.slots.items():
        paths.setdefault(path.removeprefix(f"{load.prefix}."), slot)
        paths.setdefault(program.stored_of(slot.path)[0].name, slot)
    only = len(load.slots) == len(load.listing.tensors) == 1
    for name in load.listing.names:
        found = next(iter(load.slots.values())) if only else paths.get(name)
        if found is not None:
            fills += _fill(load, name, found, False, None, program, problems)
    return fills


# -- by mappings -------------------------------------------------------------------------------------------------------


def _mapped(mapping: LoadMapping, load: _Load, program: Program, problems: Problems) -> list[Fill]:
    """What one mapping fills."""
    indices = {name for index in _INDEX.findall(mapping.target) for name in dim_of_text(index.strip("{}")).names()}
    parts = set(_PLACEHOLDER.findall(_INDEX.sub("", mapping.target)))
    given = set(_PLACEHOLDER.findall(mapping.pattern))
    for name in sorted((indices | parts) - given):
        problems.error(
            "E0505",
            mapping.span,
            f"the target uses `{name}`, which the pattern doesn't have",
            help=f"write `{{{name}}}` where it stands in the names of the file",
        )
        return []
    if "}{" in mapping.pattern or len(parts) > MOST_PARTS:
        problems.error(
            "E0505",
            mapping.span,
            "there are too many ways to read this pattern",
            "two placeholders touch" if "}{" in mapping.pattern else f"{len(parts)} placeholders for several names",
            help=f"write what stands between them; at most {MOST_PARTS} may stand for several names with dots",
        )
        return []
    pattern = _regex(mapping.pattern, indices, parts)
    matches = [(name, match) for name in load.listing.names if (match := pattern.fullmatch(name))]
    if not matches:
        _report_no_match(mapping, load, problems)
    fills: list[Fill] = []
    astray = ""
    for name, match in matches:
        path = f"{load.prefix}.{_instantiated(mapping.target.removesuffix('.T'), match.groupdict())}"
        slot = load.slots.get(file_path(path))
        if slot is None:
            astray = astray or path
        else:
            fills += _fill(load, name, slot, mapping.target.endswith(".T"), mapping, program, problems)
    if astray and not fills and len(problems.errors) == 0:
        near = nearest(file_path(astray), load.slots)
        problems.error(
            "E0507",
            mapping.span,
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

    pieces = _PLACEHOLDER.split(pattern)
    return re.compile("".join(group(p) if i % 2 else re.escape(p) for i, p in enumerate(pieces)))


def _instantiated(target: str, found: dict[str, str]) -> str:
    def index(match: re.Match[str]) -> str:
        value = dim_of_text(match.group(1).strip("{}"))
        return f"[{value.evaluate({name: int(found[name]) for name in value.names()})}]"

    return _PLACEHOLDER.sub(lambda match: found[match.group(1)], _INDEX.sub(index, target))


def _report_no_match(mapping: LoadMapping, load: _Load, problems: Problems) -> None:
    near = nearest(mapping.pattern, load.listing.names)
    problems.error(
        "E0506",
        mapping.span,
        f"no tensor of {load.request.file} has a name like `{mapping.pattern}`",
        help=f"the nearest is `{near}`" if near else "`wsdl inspect` lists the names in a file",
    )


# -- one tensor, one slot ----------------------------------------------------------------------------------------------


def _fill(
    load: _Load, name: str, slot: Slot, turned: bool, mapping: LoadMapping | None, program: Program, problems: Problems
) -> list[Fill]:
    """The one fill, or none and a problem where shape or dtype don't fit."""
    load.used.add(load.listing.kept(name))
    info, span = load.listing.info(name), mapping.span if mapping else load.request.file_span
    sizes = slot.sizes[::-1] if turned else slot.sizes
    if info.shape != sizes:
        transposed = len(sizes) == 2 and info.shape == sizes[::-1]
        problems.error(
            "E0508",
            span,
            f"`{name}` is {info}, but `{slot.path}` needs {shape_text(sizes)}",
            labels=[Label(slot.layer_span, slot.story)] if slot.story else [],
            help="the shapes match transposed: write `.T` behind the target" if transposed and not turned else None,
        )
        return []
    if info.dtype != slot.type.dtype and not {info.dtype, slot.type.dtype} <= FLOATS:
        problems.error("E0510", span, f"`{name}` is {info}, but `{slot.path}` is {slot.type.dtype}")
        return []
    stored, view = program.stored_of(slot.path)
    return [Fill(stored.name, view.transposed if turned else view, slot.path, load.listing.path, name, span)]


# -- what is left over -------------------------------------------------------------------------------------------------


def _report_unfilled(program: Program, loads: Sequence[_Load], fills: Sequence[Fill], problems: Problems) -> None:
    filled = {fill.stored for fill in fills if fill.view.inverse() is not None} | {fill.slot for fill in fills}
    reported: set[str] = set()
    for load in loads:
        missing = [
            slot
            for slot in load.slots.values()
            if not {slot.path, program.stored_of(slot.path)[0].name} & (filled | reported)
        ]
        reported |= {program.stored_of(slot.path)[0].name for slot in missing}
        if missing:
            what = f"{_count(missing, 'parameter')} of `{load.prefix}` {_are(missing)}"
            unused = [name for name in load.listing.tensors if name not in load.used]
            problems.error(
                "E0503",
                load.request.target.span,
                f"{what} not filled from {load.request.file}",
                details=_listed([f"{slot.path}: {slot.type}{_nearest_to(slot, unused)}" for slot in missing]),
                help="map them, load a smaller layer, or remove what the file doesn't have",
            )


def _nearest_to(slot: Slot, names: Sequence[str]) -> str:
    near = nearest(slot.file_path, names)
    return f" (is it `{near}`?)" if near else ""


def _note_unused(load: _Load, problems: Problems) -> None:
    unused = [n for n in load.listing.tensors if n not in load.used and not n.endswith(_COUNTERS)]
    if unused:
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
