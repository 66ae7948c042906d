"""What a body that is being drawn can see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, TypeVar

from tests.programs.description import Block, Expr, Meaning, Param, Size, Statement, Table, Type, variable

T = TypeVar("T")


@dataclass
class Applicable:
    """A layer that can be applied (again): how it is written, how the frame has it, from what to what."""

    text: str
    get: Callable[[Any], Any]
    takes: tuple[Type, ...]
    gives: tuple[Type, ...]
    has_state: bool = False  # its statistics follow each use, so it is used once


@dataclass
class Scope:
    """The names of a body, with their types. `static` are the names of sizes that are known when compiling."""

    random: Random
    dtype: str
    blocks: Sequence[Block] = ()
    static: frozenset[str] = frozenset()
    numbers: tuple[str, ...] = ()  # settings, which are whole numbers from 1 on
    counters: tuple[str, ...] = ()  # of the `for`s around
    values: dict[str, Type] = field(default_factory=dict)
    layers: list[Applicable] = field(default_factory=list)
    body: list[Statement] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    declares: bool = True  # layers and parameters may be declared here
    is_model: bool = False
    has_state: bool = False
    depth: int = 0
    taken: set[str] = field(default_factory=set)
    off: frozenset[str] = frozenset()  # what is not to be drawn

    # -- chance --------------------------------------------------------------------------------------------------------

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def choice(self, items: Sequence[T]) -> T:
        return self.random.choice(items)

    def form(self, table: Table) -> tuple[str, Meaning]:
        """A text with its meaning."""
        return self.choice([*table.items()])

    # -- names ---------------------------------------------------------------------------------------------------------

    def fresh(self, stem: str) -> str:
        """A name that nothing in this body has."""
        number = 1
        while (name := f"{stem}{number}") in self.taken:
            number += 1
        self.taken.add(name)
        return name

    def bind(self, type: Type, stem: str = "v") -> str:
        name = self.fresh(stem)
        self.values[name] = type
        self.unread.append(name)
        return name

    def read(self, name: str) -> Expr:
        if name in self.unread:
            self.unread.remove(name)
        return variable(name, self.values[name])

    def pick(self, fits: Callable[[Type], bool] = lambda _: True) -> Expr | None:
        """A tensor of a kind: often one that nothing has read so far."""
        names = [name for name, type in self.values.items() if fits(type)]
        fresh = [name for name in names if name in self.unread]
        if not names:
            return None
        return self.read(self.choice(fresh if fresh and self.chance(0.6) else names))

    def float(self, least: int = 0) -> Expr | None:
        return self.pick(lambda type: type.dtype == self.dtype and type.rank >= least)

    def like(self, type: Type) -> Expr | None:
        return self.pick(lambda other: other == type)

    def is_static(self, size: Size) -> bool:
        return not size.name or size.name in self.static

    def param(self, *shape: Size) -> Expr | None:
        """A parameter of a shape: one that is there, or where it can be declared a new one."""
        type = Type(self.dtype, shape)
        there = [s.name for s in self.body if isinstance(s, Param) and s.type == type]
        if there and self.chance(0.4):
            return self.read(self.choice(there))
        if not self.declares or not all(map(self.is_static, shape)):
            return None
        name = self.fresh("w")
        self.body.append(Param(name, type, self.is_model and self.dtype != "f32"))
        self.values[name] = type
        return variable(name, type)

    def within(self) -> Scope:
        """The scope of a body inside this one."""
        inner = replace(self, values=dict(self.values), layers=list(self.layers), body=[], unread=[], declares=False)
        inner.depth, inner.has_state = self.depth + 1, False
        return inner
