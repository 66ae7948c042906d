"""Use and definition: for each name in a source the locations that define it, for editors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from wsdl.diagnostics.span import Span


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

    definitions: dict[Span, tuple[Span, ...]] = field(default_factory=dict)
    slots: dict[Span, tuple[str, ...]] = field(default_factory=dict)

    def add(self, use: Span, *definitions: Span | None) -> None:
        """Record a use in a user's file, if its definition has a location."""
        if use.source.is_standard:
            return
        known = self.definitions.get(use, ())
        new = tuple(place for place in dict.fromkeys(definitions) if place is not None and place not in known)
        if new:
            self.definitions[use] = known + new

    def add_slots(self, place: Span | None, paths: Iterable[str]) -> None:
        """Record what a place stands for, beside what is known: in a `for` it stands for something else each time."""
        if place is not None and not place.source.is_standard:
            self.slots[place] = tuple(dict.fromkeys((*self.slots.get(place, ()), *paths)))

    def uses(self, definition: Span) -> Iterable[Span]:
        """All uses of a definition, in the order in which they were met."""
        return (use for use, places in self.definitions.items() if definition in places)
