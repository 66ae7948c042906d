"""Use and definition: for each name in a source the locations that define it, for editors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from wsdl.diagnostics.span import Span


@dataclass(frozen=True, eq=False)
class Either:
    """Where a name is bound in one of two ways, such as in the branches of an `if`.

    It is a tree, since behind thousands of branches a name has a location in each of them: check doesn't list them.
    """

    first: Places
    second: Places


Places: TypeAlias = tuple[Span, ...] | Either


def listed(places: Places) -> tuple[Span, ...]:
    """The locations, each once, from the first to the last."""
    if not isinstance(places, Either):
        return places
    found, left, seen = dict[Span, None](), [places.second, places.first], set[Either]()
    while left:
        part = left.pop()
        if not isinstance(part, Either):
            found.update(dict.fromkeys(part))
        elif part not in seen:
            seen.add(part)
            left += [part.second, part.first]
    return tuple(found)


@dataclass(eq=False)
class References:
    """`definitions` has for each use of a name the locations of its definitions, which may be in another file or in the
    standard library.

    A name that a body binds several times is defined by the last binding above the use; behind the branches of an `if`
    by the last one of each, and in a `for` also by that of the step before. An argument given by name, a part of a
    layer behind a dot, and a name in the file that imports it, are uses too; those in paths are added by
    `wsdl.sharing.path_references`.

    `slots` has for each part of a path, for each parameter of a layer in an expression, for each `share` and for the
    name of its group the paths of the slots that it stands for: those of a layer are the slots of all layers in it.
    """

    slots: dict[Span, tuple[str, ...]] = field(default_factory=dict)
    _listed: dict[Span, tuple[Span, ...]] = field(default_factory=dict)
    _added: dict[tuple[Span, Places], None] = field(default_factory=dict)  # that aren't listed yet

    def add(self, use: Span, *definitions: Span | None) -> None:
        """Record a use in a user's file, if a definition has a location."""
        self.add_places(use, tuple(place for place in definitions if place is not None))

    def add_places(self, use: Span, places: Places) -> None:
        """Record a use in a user's file of what is bound at some places."""
        if places and not use.source.is_standard:
            self._added[use, places] = None

    @property
    def definitions(self) -> dict[Span, tuple[Span, ...]]:
        for use, places in self._added:
            if found := listed(places):
                self._listed[use] = tuple(dict.fromkeys((*self._listed.get(use, ()), *found)))
        self._added.clear()
        return self._listed

    def copy(self) -> References:
        return References(dict(self.slots), dict(self._listed), dict(self._added))

    def add_slots(self, place: Span | None, paths: Iterable[str]) -> None:
        """Record what a place stands for, beside what is known: in a `for` it stands for something else each time."""
        if place is not None and not place.source.is_standard:
            self.slots[place] = tuple(dict.fromkeys((*self.slots.get(place, ()), *paths)))

    def uses(self, definition: Span) -> Iterable[Span]:
        """All uses of a definition, in the order in which they were met."""
        return (use for use, places in self.definitions.items() if definition in places)
