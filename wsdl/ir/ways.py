"""Ways of sharing: what `share as BLOCK` asks for, and what its block makes of the members.

A way maps the matrix that the members share to the matrix of each member. Its block is run by `elaborate`; which
tensors there are, and so what it is run for, is known once `share` has united the plain groups. `Way` stands between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol

from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Span
from wsdl.ir.graph import Graph, Slot
from wsdl.ir.requests import GroupRequest
from wsdl.ir.types import DType


def as_matrix(sizes: Sequence[int]) -> tuple[int, int]:
    """A shape as ways of sharing see it: the first axis, and all others."""
    return sizes[0] if sizes else 1, prod(sizes[1:])


@dataclass(frozen=True, eq=False)
class Seat:
    """One member of a family, the parameters that share, as the block of a way sees it: number `member` of `members`.

    Its parts lie below `path`; those that are one for all parameters of a member below `layer`, those that the members
    share below `family`, and those that all families share below `group`. `sizes` are those of the parameter; `input`
    is the matrix that the members share, where the block takes it.
    """

    path: str
    layer: str
    family: str
    group: str
    member: int
    members: int
    sizes: tuple[int, ...]
    dtype: DType
    input: Slot | None

    @property
    def matrix(self) -> tuple[int, int]:
        """`[rows, columns]`."""
        return as_matrix(self.sizes)


@dataclass(frozen=True, eq=False)
class Part:
    """A parameter that the block of a way declares; the slot has the type that is declared.

    `leading` counts the axes in front of `[rows, columns]`, if it ends in these: it is stored as so many tensors of the
    shape of the parameter whose way it is. If it has no initializer of its own, `inherits`, each is drawn like that.
    `seat` is the first that declares it.
    """

    slot: Slot
    seat: Seat
    leading: int | None
    shared: bool
    inherits: bool
    decays: bool

    @property
    def of_vector(self) -> bool:
        """Is it of vectors alone, as biases and scales of norms are? What is `per member` or `per group` isn't."""
        return len(self.seat.sizes) <= 1 and self.slot.path.rpartition(".")[0] in (self.seat.path, self.seat.family)


@dataclass(frozen=True, eq=False)
class Shares:
    """What a way makes of its members: a graph for each seat, and the parts by their paths.

    A graph has no inputs, and its `parameter` nodes read slots. Its first output is `[rows, columns]`, the others are
    its `losses`, by name and place.
    """

    graphs: Sequence[Graph]
    losses: Sequence[tuple[tuple[str, Span], ...]]
    parts: Mapping[str, Part]


class Way(Protocol):
    """A block that was configured: `Delta(rank=8)`."""

    @property
    def name(self) -> str:
        """Of the block."""

    @property
    def span(self) -> Span:
        """Of the call."""

    @property
    def configuration(self) -> Mapping[str, object]:
        """The values of its configuration, by name."""

    @property
    def input(self) -> str | None:
        """The name of what the block takes; `None` where it makes its matrix of its own parameters alone."""

    @property
    def losses(self) -> Sequence[str]:
        """The names of the losses in the block."""

    def run(self, seats: Sequence[Seat], problems: Problems) -> Shares | None:
        """Run the block for each seat; `None` where that was reported."""


@dataclass(frozen=True, eq=False)
class WayRequest:
    """`share [NAME] as Delta(rank=8) { … }`."""

    group: GroupRequest
    way: Way
