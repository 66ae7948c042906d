"""What the `load`s of a program leave out or fill twice: parameters, parts of these, tensors of their files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from wsdl.diagnostics import Edit, Label, Problems
from wsdl.diagnostics.figures import MOST_LISTED, count, listed
from wsdl.ir.coverage import covers, left_out, overlap
from wsdl.ir.graph import Slot, file_path, with_indices
from wsdl.ir.requests import IgnoredNames, LoadMapping, LoadRequest
from wsdl.ir.stages import Storage
from wsdl.ir.views import View
from wsdl.ir.weight_files import Fill
from wsdl.sharing.load_patterns import counted, numbers_of, of_several, path_of, path_text, regex
from wsdl.sharing.open_load import OpenLoad
from wsdl.sharing.similar_names import beginning, similar

_MOST_EXCEPTED = 3  # paths that a help recommends
_MOST_IGNORED = 5  # names likewise
_COUNTERS = "num_batches_tracked"  # of PyTorch; never read


# -- filled twice ------------------------------------------------------------------------------------------------------


def report_overlaps(storage: Storage, fills: Iterable[Fill], problems: Problems) -> None:
    """Report parts of a parameter that two tensors fill, once for each two lines: the bounds in one of them are wrong.
    Tensors that fill exactly the same elements may be equal, which is known when they are read."""
    by_slot: dict[str, list[Fill]] = {}
    for fill in fills:
        by_slot.setdefault(fill.slot, []).append(fill)
    sizes = {slot.path: slot.sizes for slot in storage.checked.slots()} if by_slot else {}
    lines = set()
    for path, together in by_slot.items():
        if all(fill.part is None for fill in together):
            continue
        twice = overlap([_part(fill, sizes[path]) for fill in together])
        if twice is None:
            continue
        first, second, part = together[twice[0]], together[twice[1]], twice[2]
        if (first.span, second.span) in lines:
            continue
        lines.add((first.span, second.span))
        problems.error(
            "E0523",
            second.span,
            f"`{path}{part.text}` is filled twice",
            f"from `{second.tensor}{second.seen or ''}`",
            labels=[Label(first.span, f"from `{first.tensor}{first.seen or ''}`")] if first.span else [],
            help="the bounds of one of the two are wrong",
        )


def _part(fill: Fill, sizes: Sequence[int]) -> View:
    return fill.part or View.identity(sizes)


# -- not filled --------------------------------------------------------------------------------------------------------


def report_unfilled(storage: Storage, loads: Sequence[OpenLoad], fills: Sequence[Fill], problems: Problems) -> None:
    """Report the parameters that no `load` fills: for each `load`, those below its target that are no exceptions."""
    filled = _Filled(storage)
    for fill in fills:
        filled.add(fill)
    reported: set[str] = set()
    for load in loads:
        with_exceptions = filled.with_exceptions(load)
        missing = []
        for slot in load.slots.values():
            tensors = set(storage.readings[slot.path].tensors)
            if not tensors <= reported and not with_exceptions.has(slot):
                missing.append(slot)
                reported |= tensors
        if missing:
            _report_missing(missing, with_exceptions, load, problems)


def _report_missing(missing: Sequence[Slot], filled: _Filled, load: OpenLoad, problems: Problems) -> None:
    target = load.request.target.span
    what = f"{count(len(missing), 'parameter')} of `{with_indices(load.prefix)}` {'is' if len(missing) == 1 else 'are'}"
    unused = [name for name in load.listing.tensors if name not in load.used]
    parts = {slot.path: filled.missing_part(slot) for slot in missing}
    lines = []
    for number, slot in enumerate(missing):
        near = similar(slot.file_path, unused) if number < MOST_LISTED and not parts[slot.path] else None
        part = f"{parts[slot.path]} of" if parts[slot.path] else ":"
        lines.append(f"{slot.path}{part} {slot.type}" + (f" (is it `{near}`?)" if near else ""))
    excepted = _as_exceptions(parts, load)
    behind = f"`into {target.text} except {', '.join(excepted)}`" if excepted else "name them after `except`"
    problems.error(
        "E0503",
        target,
        f"{what} not filled from {load.request.file}",
        details=listed(lines),
        help=_several_parts(missing, unused, load)
        or _other_names(missing, unused, load)
        or f"map them, or let them keep their initial values: {behind}",
    )


def _several_parts(missing: Sequence[Slot], unused: Sequence[str], load: OpenLoad) -> str | None:
    """What to write where `{p}` stands for one part of a name, and names of several would fill what is missing."""
    paths = {slot.file_path for slot in missing}
    for mapping in load.request.mappings:
        line = of_several(mapping)
        if line.pattern == mapping.pattern or counted(line) is not None:
            continue
        pattern = regex(line.pattern, numbers_of(line))
        for name, match in ((name, pattern.fullmatch(name)) for name in unused):
            if match and f"{load.prefix}.{file_path(path_text(path_of(line, match.groupdict()).steps))}" in paths:
                return f"`{name}` has several parts where `{mapping.pattern}` has one: write `{line.pattern}`"
    return None


def _other_names(missing: Sequence[Slot], unused: Sequence[str], load: OpenLoad) -> str | None:
    """What to write where the names in the file differ from the paths only in front."""
    start = f"{load.prefix}."
    if load.request.mappings or not all(slot.file_path.startswith(start) for slot in missing):
        return None
    in_front = beginning([slot.file_path.removeprefix(start) for slot in missing], unused)
    if in_front is None:
        return None
    of_names, of_paths = in_front
    if of_names:
        return f'the names in the file begin with `{of_names}`: add `{{ "{of_names}{{path...}}" -> {{path...}} }}`'
    layer = with_indices(f"{start}{of_paths}".rstrip("."))
    return f"the names in the file are those below `{layer}`: load it into that"


def _as_exceptions(missing: Mapping[str, str], load: OpenLoad) -> list[str]:
    """The paths of an `except` with all that is missing, by the path of the slot: whole layers where possible. None if
    they would be many."""
    start = f"{with_indices(load.prefix)}."
    if not all(path.startswith(start) for path in missing):
        return []
    kept = {name for s in load.slots.values() if s.path not in missing for name in _layers(s.path, start)}
    kept |= {name for path, part in missing.items() if part for name in _layers(path, start)[:-1]}
    names = dict.fromkeys(
        next(name for name in _layers(path, start) if name not in kept) + part for path, part in missing.items()
    )
    return list(names) if len(names) <= _MOST_EXCEPTED else []


def _layers(path: str, start: str) -> list[str]:
    """The layers that a slot is in, outermost first, then the slot itself; as they are written below a target."""
    names = path.removeprefix(start).split(".")
    return [".".join(names[:end]) for end in range(1, len(names) + 1)]


class _Filled:
    """The views of slots and of stored tensors that are filled."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._sizes = {slot.path: slot.sizes for slot in storage.checked.slots()}
        self._slots: dict[str, list[View]] = {}
        self._stored: dict[str, list[View]] = {}

    def add(self, fill: Fill) -> None:
        self._slots.setdefault(fill.slot, []).append(fill.part or View.identity(self._sizes[fill.slot]))
        if fill.stored is not None:
            self._stored.setdefault(fill.stored, []).append(fill.view)
        elif fill.part is None:  # all tensors of the formula are fitted
            for name in self._storage.readings[fill.slot].tensors:
                self._stored.setdefault(name, []).append(View.identity(self._storage.stored[name].sizes))

    def with_exceptions(self, load: OpenLoad) -> _Filled:
        """The same with what keeps its initial values by the `except` of a `load`."""
        filled = _Filled(self._storage)
        filled._slots = {path: [*views] for path, views in self._slots.items()}
        filled._stored = {name: [*views] for name, views in self._stored.items()}
        for path, excepted in load.excepted.items():
            views = [view for view, _ in excepted]
            filled._slots.setdefault(path, []).extend(views)
            if not self._storage.is_computed(path):
                stored, home = self._storage.home(path)
                filled._stored.setdefault(stored.name, []).extend(home.then(view) for view in views)
        return filled

    def has(self, slot: Slot) -> bool:
        """Whether a slot is filled, by itself or by others that read the same tensor."""
        if covers(self._slots.get(slot.path, []), View.identity(slot.sizes)):
            return True
        if not self._storage.is_computed(slot.path):
            stored, home = self._storage.home(slot.path)
            return covers(self._stored.get(stored.name, []), home)
        names = self._storage.readings[slot.path].tensors
        return all(
            covers(self._stored.get(name, []), View.identity(self._storage.stored[name].sizes)) for name in names
        )

    def missing_part(self, slot: Slot) -> str:
        """The part of a slot that is missing, as a slice; empty if all of it is."""
        own = self._slots.get(slot.path, [])
        return getattr(left_out(slot.sizes, own), "text", "") if own else ""


# -- not used ----------------------------------------------------------------------------------------------------------


def note_unused(load: OpenLoad, problems: Problems) -> None:
    """Note the tensors of the file of a `load`, and parts of them, that no `load` uses."""
    listing = load.listing
    unused: list[str] = []
    names: list[str] = []
    partly: list[str] = []
    made_of = {part: name for name, parts in listing.parts.items() if len(parts) == 1 for part in parts}
    for name, info in listing.tensors.items():
        if name.endswith(_COUNTERS):
            continue
        parts_of = listing.parts.get(name, (name,))
        if not {*load.used, *listing.inputs}.issuperset(parts_of):
            if name in parts_of or not listing.tensors.keys() >= {*parts_of}:  # otherwise these are listed
                better = f", as `{made_of[name]}`" if name in made_of and not listing.readings else ""
                unused.append(f"{name}: {info}{better}")
                names.append(name)
        elif name in load.used and (part := left_out(info.shape, load.used[name])):
            partly.append(f"{name}{part} of {info}")
    if unused or partly:
        what = f"{count(len(unused), 'tensor')} of {load.request.file} {'is' if len(unused) == 1 else 'are'} not used"
        parts = f"{count(len(partly), 'tensor')} of {load.request.file} {'is' if len(partly) == 1 else 'are'}"
        only = f"{len(partly)} only in part" if unused else f"{parts} used only in part"
        ignore = _ignore(load.request, names)
        problems.error(
            "N0501",
            load.request.file_span,
            ", ".join([*([what] if unused else []), *([only] if partly else [])]),
            details=listed([*unused, *partly]),
            severity="note",
            help=f"if not needed, write `{ignore.text.strip()}` into the table" if ignore else None,
            fix=[ignore] if ignore else (),
        )


def _ignore(request: LoadRequest, names: Sequence[str]) -> Edit | None:
    """The line of a table for a few tensors that aren't needed."""
    lines: list[LoadMapping | IgnoredNames] = [*request.mappings, *request.ignored]
    if not lines or not 0 < len(names) <= _MOST_IGNORED or any(set(name) & {*'*"\\'} for name in names):
        return None
    text, last = request.span.source.text, max(line.span.end for line in lines)
    end = text.find("\n", last)
    end -= text[end - 1] == "\r"
    if "}" in text[last:end]:
        return None  # a table on one line
    start = lines[0].span.start
    indentation = text[text.rfind("\n", 0, start) + 1 : start]
    quoted = ", ".join(f'"{name}"' for name in names)
    return Edit(request.span.source.span(end, end), f"\n{indentation}ignore {quoted}")
