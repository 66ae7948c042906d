"""Tensors that repeated layers have alike, as families: `encoder.layer.*.attn.query.weight`, six times.

A part of a name counts repeated layers where its layers are alike: the parameters that several of them have, have one
shape. Other numbers, as those of the layers of a `Sequential`, stay in the names and give an order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from wsdl.matching.conventions import EMPTY
from wsdl.matching.names import canonical, leaf_of, numbered, words_of

Parts = tuple[str, ...]
Shape = tuple[int, ...]
REPEATED = "*"


@dataclass(frozen=True)
class Entry:
    """A tensor of the file or a parameter of the program: its name, its shape, its place in the order of its side.
    `dtype` is `float` for each of these. Parameters with the same `tensor` are stored as one."""

    name: str
    shape: Shape
    order: int
    dtype: str = "float"
    tensor: str = ""


@dataclass(eq=False)
class Family:
    """Entries that differ in the numbers of repeated layers alone, in the order of these numbers.

    `parts` is their name with `*` for such numbers. One that stands for several layers has a family for each in
    `pieces`, and its shape is that of their rows together.
    """

    parts: Parts
    entries: Sequence[Entry]
    words: frozenset[str] = frozenset()  # of its name; `2 of 3` for the second of several
    pieces: Sequence[Family] = ()
    shape: Shape = field(default=(), init=False)

    def __post_init__(self) -> None:
        self.shape = self.entries[0].shape
        if self.pieces:
            self.shape = (sum(piece.shape[0] for piece in self.pieces), *self.shape[1:])

    @property
    def leaf(self) -> str:
        return leaf_of(self.parts)[0]

    @property
    def kind(self) -> tuple[str, str]:
        """What two families have in common that can be paired at all, besides shapes that fit."""
        return self.leaf, self.entries[0].dtype

    @property
    def layer(self) -> Parts:
        """The parts of the name of the layer."""
        return leaf_of(self.parts)[1]

    def ancestors(self) -> list[Parts]:
        """The names of the layers around it, and of the repeated ones."""
        return [self.parts[:i] for i in range(1, len(self.parts))]


def families(entries: Sequence[Entry], *, repeated: bool = True) -> list[Family]:
    """The families of some entries, in the order of their first entries; with `repeated=False` each of its own."""
    by_parts: dict[Parts, Entry] = {}
    for entry in entries:
        parts = canonical(entry.name)
        by_parts[parts if parts not in by_parts else (*parts[:-1], entry.name, parts[-1])] = entry
    grouped: dict[Parts, list[Entry]] = {parts: [entry] for parts, entry in by_parts.items()}
    if repeated:
        grouped = _grouped(by_parts)
    found = [Family(parts, members) for parts, members in grouped.items()]
    _name(found)
    return sorted(found, key=lambda family: family.entries[0].order)


def _group(below: Mapping[Parts, Entry], prefix: Parts, grouped: dict[Parts, list[Entry]]) -> None:
    """Sort entries, by what follows `prefix` in their names, into families."""
    children: dict[str, dict[Parts, Entry]] = {}
    for rest, entry in below.items():
        if len(rest) == 1:
            grouped.setdefault((*prefix, *rest), []).append(entry)
        else:
            children.setdefault(rest[0], {})[rest[1:]] = entry
    numbers = sorted((key for key in children if key.isdecimal()), key=int)
    if len(numbers) > 1 and _alike([children[number] for number in numbers]):
        inner = [_grouped(children.pop(number)) for number in numbers]
        for template in dict.fromkeys(parts for members in inner for parts in members):
            found = [entry for members in inner for entry in members.get(template, ())]
            grouped.setdefault((*prefix, REPEATED, *template), []).extend(found)
    for key, rest_of in children.items():
        _group(rest_of, (*prefix, key), grouped)


def _grouped(below: Mapping[Parts, Entry]) -> dict[Parts, list[Entry]]:
    grouped: dict[Parts, list[Entry]] = {}
    _group(below, (), grouped)
    return grouped


def _alike(layers: Sequence[Mapping[Parts, Entry]]) -> bool:
    """Whether layers are repetitions of one: what they have in common has one shape, and that is most of it."""
    shapes: dict[Parts, set[Shape]] = {}
    for layer in layers:
        for rest, entry in layer.items():
            shapes.setdefault(rest, set()).add(entry.shape)
    filled = sum(len(layer) for layer in layers)
    return all(len(s) == 1 for s in shapes.values()) and 2 * filled > len(shapes) * len(layers)


# -- words -------------------------------------------------------------------------------------------------------------


def _name(found: Sequence[Family]) -> None:
    """Give each family the words of its name. Numbers become places in an order: the norms 1 and 3 of a layer are its
    first and second."""
    ranks = _ranks(family.parts for family in found)
    for family in found:
        words: set[str] = set()
        for i, part in enumerate(family.layer):
            own = words_of(numbered(part)[0]) if part != REPEATED else []
            words.update(word for word in own if word not in EMPTY)
            if (family.parts[:i], part) in ranks:
                words.add(ranks[family.parts[:i], part])
        family.words = frozenset(words)


def _ranks(names: Iterable[Parts]) -> dict[tuple[Parts, str], str]:
    """By what is before a numbered part, and the part: its place among those of the same stem, as `2 of 3`."""
    numbers: dict[tuple[Parts, str], dict[int, str]] = {}
    for parts in names:
        for i, part in enumerate(parts):
            stem, number = numbered(part)
            numbers.setdefault((parts[:i], stem), {})[-1 if number is None else number] = part
    return {
        (before, part): f"{rank} of {len(siblings)}"
        for (before, _), siblings in numbers.items()
        if len(siblings) > 1
        for rank, (_, part) in enumerate(sorted(siblings.items()), 1)
    }


def joined(layers: Mapping[str, Family], fused: str) -> Family:
    """The family of layers whose matrices another layer has in one, under the name of that."""
    first = next(iter(layers.values()))
    words = first.words - {*layers} | {fused}
    return Family((*first.layer[:-1], fused, first.parts[-1]), first.entries, words, pieces=tuple(layers.values()))
