"""Use and definition: for each name in a source the place that defines it, as editors ask for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from wsdl.diagnostics.span import Span


@dataclass(eq=False)
class References:
    """`definitions` has for each use of a name the place of the name in its definition, which may be in another file or
    in the standard library.

    A name that a body binds several times is defined by the last binding above the use. A parameter of a block that is
    given by name, a part of a layer behind a dot, and a name in the file that imports it, are uses too.
    """

    definitions: dict[Span, Span] = field(default_factory=dict)

    def add(self, use: Span, definition: Span | None) -> None:
        """Keep a use in a file of the user's, where what it stands for has a place."""
        if definition is not None and not use.source.is_standard:
            self.definitions.setdefault(use, definition)

    def uses(self, definition: Span) -> Iterable[Span]:
        """All uses of a definition, in the order in which they were met."""
        return (use for use, place in self.definitions.items() if place == definition)
