"""What running the body of a layer does besides appending nodes, as a list of events.

Each event says what happened in a way that can happen again for another layer: `replay` makes the same nodes again with
other names, and lets the events happen again, moved to where these are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from wsdl.diagnostics.span import Span
from wsdl.elaborate.report import Remainder, Report
from wsdl.ir.graph import Application, Binding, Module, Slot, Value
from wsdl.ir.origins import Origin, Origins
from wsdl.ir.references import References


class Event(Protocol):
    def happen(self, context: Context) -> None:
        """Change the state of the elaboration."""

    def moved(self, move: Move) -> Event | None:
        """The same for another layer; `None` where that has it already."""


# -- what events change, and what moves them: `context.Context` and `replay.Move` --------------------------------------


class _Builder(Protocol):
    origins: Origins
    parameters: dict[str, Value]
    slots: dict[Value, Slot]
    naming: dict[str, set[Application | None]]
    updated: dict[str, Value]

    def origin(self, value: Value, size: int, near: Span) -> str: ...


class _Mode(Protocol):
    again: bool


class _Program(Protocol):
    bindings: list[Binding]


class Context(Protocol):
    references: References

    @property
    def builder(self) -> _Builder: ...
    @property
    def mode(self) -> _Mode: ...
    @property
    def program(self) -> _Program: ...
    @property
    def report(self) -> Report: ...


class Move(Protocol):
    """From the names and values of one application to those of another one."""

    @property
    def context(self) -> Context: ...
    def makes(self, slot: str) -> bool: ...
    def path(self, path: str) -> str: ...
    def value(self, value: Value) -> Value: ...
    def span(self, span: Span) -> Span: ...
    def way(self, way: tuple[Span, ...]) -> tuple[Span, ...]: ...
    def application(self, application: Application | None) -> Application | None: ...
    def module(self, module: Module) -> Module: ...
    def slot(self, slot: Slot) -> Slot: ...


# -- events ------------------------------------------------------------------------------------------------------------


class Used(NamedTuple):
    """A layer was applied: where, and by way of which calls."""

    module: Module
    span: Span
    way: tuple[Span, ...]

    def happen(self, context: Context) -> None:
        if context.mode.again:
            self.module.is_trained = True
        else:
            self.module.uses.append(self.span)
            self.module.ways.append(self.way)

    def moved(self, move: Move) -> Event:
        return Used(move.module(self.module), move.span(self.span), move.way(self.way))


class Named(NamedTuple):
    """A value is the result of a layer, or of one that was handed to the standard library (`origin` is its call)."""

    value: Value
    origin: Origin | Span

    def happen(self, context: Context) -> None:
        origins = context.builder.origins
        if isinstance(self.origin, Origin):
            origins.named.setdefault(self.value, self.origin)
        else:
            origins.handed_over.setdefault(self.value, self.origin)

    def moved(self, move: Move) -> Event:
        origin = self.origin
        there = Origin(origin.name, move.span(origin.span)) if isinstance(origin, Origin) else move.span(origin)
        return Named(move.value(self.value), there)


class Called(NamedTuple):
    """A name was bound to a value; the first one is what a value without a name is called."""

    value: Value
    name: str

    def happen(self, context: Context) -> None:
        self.value.name = self.value.name or self.name

    def moved(self, move: Move) -> Event:
        return Called(move.value(self.value), self.name)


class Bound(NamedTuple):
    """A body of a user's file bound a name to a tensor."""

    binding: Binding
    module: Module

    def happen(self, context: Context) -> None:
        if not context.mode.again:
            self.module.tensors.setdefault(self.binding.name, self.binding.span)
            context.program.bindings.append(self.binding)

    def moved(self, move: Move) -> Event:
        written = self.binding
        binding = Binding(move.path(written.path), written.name, move.value(written.value), written.span)
        return Bound(binding, move.module(self.module))


class Size(NamedTuple):
    """A dimension in the type of a parameter: its name, its size, and the input that determined it."""

    name: str
    number: int
    source: Value | None


class Declared(NamedTuple):
    """A parameter got its slot. Its `story` tells the `written` shape and the `sizes`."""

    slot: Slot
    module: Module
    written: str
    sizes: Sequence[Size]

    def happen(self, context: Context) -> None:
        self.module.slots[self.slot.path.rpartition(".")[2]] = self.slot

    def moved(self, move: Move) -> Event | None:
        if not move.makes(self.slot.path):
            return None
        sizes = [size._replace(source=size.source and move.value(size.source)) for size in self.sizes]
        call, story = move.span(self.slot.layer_span), self.slot.story
        if any(size.source for size in sizes):
            story = told(self.written, sizes, call, move.context)
        slot = replace(self.slot, path=move.path(self.slot.path), layer_span=call, story=story)
        return Declared(slot, move.module(self.module), self.written, sizes)


def told(written: str, sizes: Sequence[Size], call: Span, context: Context) -> str:
    """The story of a shape: "`weight` is [units, d]: units = 784, d = 64 from `encode` (line 5)"."""
    origin = context.builder.origin
    values = {s.name: f"{s.number}{origin(s.source, s.number, call) if s.source else ''}" for s in sizes}
    return f"{written}: {', '.join(f'{name} = {value}' for name, value in values.items())}" if values else written


class Read(NamedTuple):
    """The body of an application named a slot, whose value this is."""

    slot: Slot
    application: Application | None
    value: Value
    is_own: bool  # the node of the slot, not what an update made of it

    def happen(self, context: Context) -> None:
        context.builder.naming.setdefault(self.slot.path, set()).add(self.application)

    def moved(self, move: Move) -> Event:
        slot, value = move.slot(self.slot), move.value(self.value)
        if self.is_own:
            move.context.builder.slots[value] = slot
        return Read(slot, move.application(self.application), value, self.is_own)


class Updated(NamedTuple):
    """A state has another value from here on, in training."""

    path: str
    value: Value

    def happen(self, context: Context) -> None:
        context.builder.parameters[self.path] = context.builder.updated[self.path] = self.value

    def moved(self, move: Move) -> Event:
        return Updated(move.path(self.path), move.value(self.value))


class Placed(NamedTuple):
    """A constant says where random numbers are drawn: it depends on the path of the layer, and on how often the
    operation was applied there before."""

    value: Value
    path: str
    operation: str

    def happen(self, context: Context) -> None:
        """It is counted already: the constant is made first."""

    def moved(self, move: Move) -> Event:
        return Placed(move.value(self.value), move.path(self.path), self.operation)


class Meant(NamedTuple):
    """A name behind a dot stands for a slot, in an editor."""

    name: Span
    slot: str

    def happen(self, context: Context) -> None:
        context.references.add_slots(self.name, [self.slot])

    def moved(self, move: Move) -> Event:
        return Meant(self.name, move.path(self.slot))


class Divided(NamedTuple):
    """A division left a remainder."""

    remainder: Remainder

    def happen(self, context: Context) -> None:
        context.report.remainders.append(self.remainder)

    def moved(self, move: Move) -> Event:
        return Divided(replace(self.remainder, path=move.path(self.remainder.path)))
