"""The proposal of `wsdl match`: `load` statements, how sure each of their lines is, and what is left on both sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from wsdl.ir.graph import Slot
from wsdl.ir.stages import Storage
from wsdl.ir.weight_files import Listing
from wsdl.matching.entries import ignored, is_below, needed, parameters_of, tensors_of
from wsdl.matching.families import Entry, families
from wsdl.matching.lines import Line, Table
from wsdl.matching.matches import Match, matches, unmatched
from wsdl.matching.pairing import CLEAR, SURE, Sure
from wsdl.matching.similarity import Similarity

MOST_COMPARED = 3  # tensors whose values are read


@dataclass(frozen=True)
class Load:
    """`load FILE into target except … { … }`. A table without lines means that all names are those of the program."""

    target: str
    lines: tuple[Line, ...]
    exceptions: tuple[str, ...]  # paths below the target that the file doesn't have
    ignored: tuple[str, ...]  # patterns of names
    by_name: bool

    def text(self, file: str) -> str:
        """The statement; a comment behind each line that is not certain."""
        head = f"load {file} into {self.target}"
        if self.exceptions:
            head += f" except {', '.join(self.exceptions)}"
        body = [] if self.by_name else [f"{line}{_remark(line)}" for line in self.lines]
        if self.ignored:
            body.append("ignore " + ", ".join(f'"{name}"' for name in self.ignored))
        return "\n".join([f"{head} {{", *(f"    {line}" for line in body), "}"]) if body else head


def _remark(line: Line) -> str:
    return {"certain": "", "likely": "    # likely", "guess": "    # a guess by shape and order"}[line.sure]


@dataclass(frozen=True)
class Left:
    """A parameter that the file doesn't have, with its type, and the tensor with the most similar name, whose shape
    doesn't fit."""

    path: str
    type: str
    near: str

    def __str__(self) -> str:
        return f"{self.path}: {self.type}" + (f" ({self.near})" if self.near else "")


@dataclass(frozen=True)
class Unused:
    """A tensor of the file that fills nothing, with its type, and what it is, where that is known."""

    name: str
    type: str
    what: str

    def __str__(self) -> str:
        return f"{self.name}: {self.type}" + (f" ({self.what})" if self.what else "")


@dataclass(frozen=True)
class Proposal:
    """How a file of weights fills a program.

    `file` is what stands behind `load`. `loads` are statements to put at the end of the program; `text` is all of them.
    `parameters` counts what the program stores or computes, `left` what of it the file doesn't have. `unused` are the
    tensors of the file that fill nothing.
    """

    file: str
    loads: tuple[Load, ...]
    parameters: int
    left: tuple[Left, ...]
    unused: tuple[Unused, ...]

    @property
    def text(self) -> str:
        return "\n".join(f"{load.text(self.file)}\n" for load in self.loads)

    @property
    def lines(self) -> tuple[Line, ...]:
        return tuple(line for load in self.loads for line in load.lines)

    @property
    def filled(self) -> dict[str, Match]:
        """The matches by the paths of parameters; of a parameter that is filled by parts the last."""
        return {match.parameter: match for line in self.lines for match in line.matches}

    def counts(self) -> dict[Sure, int]:
        """How many parameters are filled how surely. Those that share a tensor count each."""
        counted = Counter(match.sure for match in self.filled.values())
        return {sure: counted[sure] for sure in reversed(SURE)}

    def as_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "loads": [
                {
                    "target": load.target,
                    "except": list(load.exceptions),
                    "ignore": list(load.ignored),
                    "lines": [_line_as_json(line) for line in load.lines],
                }
                for load in self.loads
            ],
            "counts": self.counts(),
            "left": [{"path": left.path, "type": left.type, "near": left.near} for left in self.left],
            "unused": [{"name": tensor.name, "type": tensor.type, "is": tensor.what} for tensor in self.unused],
            "text": self.text,
        }


def _line_as_json(line: Line) -> dict[str, Any]:
    return {
        "line": str(line),
        "sure": line.sure,
        "tensors": [{"name": m.tensor, "parameter": m.parameter} for m in line.matches],
    }


def propose(
    storage: Storage,
    listing: Listing,
    file: str,
    root: str = "",
    equal: Callable[[str, str], bool] = lambda one, other: False,
) -> Proposal:
    """The proposal for the parameters of a program, or for those below the path `root`. `file` is the name of the file
    as statements write it; `equal` says whether two tensors of the file have the same values."""
    tensors, in_order = tensors_of(listing)
    parameters = parameters_of(storage, root)
    found = [match for match in matches(tensors, parameters, in_order) if _is_loadable(match)]
    slots = [slot for slot in storage.checked.slots() if is_below(slot.path, root)]
    filled = _filled(storage, found)
    loads = tuple(
        _load(target, inside, listing, [slot for slot in slots if is_below(slot.path, target)], filled)
        for target, inside in _by_target(found, root).items()
    )
    tensors_left, parameters_left = unmatched(tensors, parameters, found)
    near = _nearest(tensors_left, parameters_left, listing)
    types = {slot.path: str(slot.type) for slot in slots}
    used = {listing.stored_name(match.tensor) for match in found}
    return Proposal(
        file,
        loads,
        len({entry.tensor for entry in parameters}),
        tuple(Left(entry.name, types[entry.name], near.get(entry.name, "")) for entry in parameters_left),
        tuple(
            Unused(name, str(listing.tensors[name]), _second_name(name, used, listing, equal))
            for name in needed(listing)
            if name not in used and not ignored(name)
        ),
    )


def _is_loadable(match: Match) -> bool:
    """Whether a statement can say it: a parameter of the file is in no layer's table, and is loaded by its name."""
    return "." in match.parameter or (match.tensor == match.parameter and match.seen.is_identity)


def _nearest(tensors: Sequence[Entry], parameters: Sequence[Entry], listing: Listing) -> dict[str, str]:
    """By parameters that have no match the tensors with the most similar names, with their types."""
    file, program = families(tensors, repeated=False), families(parameters, repeated=False)
    names = Similarity(file, program)
    near: dict[str, str] = {}
    for family in program if file else ():
        alike = max((f for f in file if f.leaf == family.leaf), key=lambda f: names(f, family), default=None)
        if alike is not None and names(alike, family) > CLEAR:
            name = alike.entries[0].name
            near[family.entries[0].name] = f"`{name}` is {listing.info(name)}"
    return near


def _filled(storage: Storage, found: Iterable[Match]) -> set[str]:
    """The paths of all parameters that have values then, those that share with a filled one too."""
    direct = {match.parameter for match in found}
    tensors = {n for path in direct if not storage.is_computed(path) for n in storage.readings[path].tensors}
    return direct | {
        slot.path
        for slot in storage.checked.slots()
        if not storage.is_computed(slot.path) and tensors.issuperset(storage.readings[slot.path].tensors)
    }


def _by_target(found: Sequence[Match], root: str) -> dict[str, list[Match]]:
    """The matches by the layer whose table they are in: `root`, where it is one, else for each model and each layer of
    the file the innermost layer that has the parameters of all of them. A parameter of the file is by itself."""
    if found and all(match.parameter.startswith(f"{root}.") for match in found):
        return {root: [*found]}
    by_root: dict[str, list[Match]] = {}
    for match in found:
        by_root.setdefault(match.parameter.split(".")[0], []).append(match)
    targets = {}
    for name, inside in by_root.items():
        if inside[0].parameter == name:
            targets[name] = inside
            continue
        layers = [match.parameter.split(".")[:-1] for match in inside]
        common = takewhile(lambda parts: len({*parts}) == 1, zip(*layers, strict=False))
        targets[".".join(parts[0] for parts in common)] = inside
    return targets


def _load(target: str, found: list[Match], listing: Listing, slots: list[Slot], filled: set[str]) -> Load:
    if found[0].parameter == target:
        line = Line(target, "", target, "", found[0].sure, tuple(found))
        return Load(target, (line,), (), (), by_name=True)
    lines = Table(target, listing.names, [slot.path for slot in slots]).lines(found)
    return Load(
        target,
        tuple(lines),
        tuple(path[len(target) + 1 :] for path in _whole_layers(slots, filled)),
        tuple(_ignored(listing)),
        len(lines) == 1 and lines[0].pattern == lines[0].path == "{path...}",
    )


def _whole_layers(slots: Sequence[Slot], filled: set[str]) -> list[str]:
    """The paths of the slots that are not filled; of a layer none of whose slots is filled the layer's."""
    has_some = {path for slot in slots if slot.path in filled for path in _around(slot.path)}
    outermost = (next(p for p in (*_around(slot.path), slot.path) if p not in has_some) for slot in slots
                 if slot.path not in filled)  # fmt: skip
    return list(dict.fromkeys(outermost))


def _around(path: str) -> list[str]:
    """The layers around a parameter, outermost first; an array of layers before its members."""
    parts = path.split(".")
    found: list[str] = []
    for i in range(1, len(parts)):
        layer = ".".join(parts[:i])
        found += [layer[: layer.rindex("[")], layer] if layer.endswith("]") else [layer]
    return found


def _ignored(listing: Listing) -> list[str]:
    """Patterns of the tensors that no program needs, without the counters that `load` never reads."""
    ends = {name: end for name in listing.tensors if (end := ignored(name)) and end != "num_batches_tracked"}
    return list(dict.fromkeys(end if name == end else f"*.{end}" for name, end in ends.items()))


def _second_name(name: str, used: Iterable[str], listing: Listing, equal: Callable[[str, str], bool]) -> str:
    """Which of the tensors in use an unused one is equal to. Few have its shape, or it is not looked for."""
    info = listing.tensors[name]
    alike = [other for other in used if listing.tensors[other] == info] if len(info.shape) > 1 else []
    return next((f"equal to `{n}`" for n in alike if len(alike) <= MOST_COMPARED and equal(name, n)), "")
