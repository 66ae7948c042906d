"""Ways of sharing: a request `share as BLOCK`, and the graphs that its block computes for the members.

A way maps the matrix that the members share to the matrix of each member. `elaborate` can run its block, but only
`sharing` knows the members, once plain groups are united. `Way` is the interface between the two.
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
    """A shape as `[rows, columns]` of a way of sharing: the first axis, and all others."""
    return sizes[0] if sizes else 1, prod(sizes[1:])


@dataclass(frozen=True, eq=False)
class WayMember:
    """One member of a family (the parameters that share), as input of the block of a way: number `index` of `count`.

    The paths of its parts begin with `path`; of parts `per member` with `layer`, of parts that the members share with
    `family`, and of parts `per group` with `group`. `sizes` is the shape of the parameter; `input` reads the matrix
    that the members share, if the block takes it.
    """

    path: str
    layer: str
    family: str
    group: str
    index: int
    count: int
    sizes: tuple[int, ...]
    dtype: DType
    input: Slot | None

    @property
    def matrix(self) -> tuple[int, int]:
        """`[rows, columns]`."""
        return as_matrix(self.sizes)


@dataclass(frozen=True, eq=False)
class Part:
    """A parameter that the block of a way declares; the slot has the declared type.

    `leading` is the number of axes before `[rows, columns]`, if the shape ends in these: the part is then stored as
    that many tensors of the member's shape, and, if it `inherits`, each is initialized like the member's parameter.
    `member` is the first that declares it.
    """

    slot: Slot
    member: WayMember
    leading: int | None
    shared: bool
    inherits: bool
    decays: bool

    @property
    def of_vector(self) -> bool:
        """Whether it is for vectors only, such as biases and scales of norms; not if `per member` or `per group`."""
        member = self.member
        return len(member.sizes) <= 1 and self.slot.path.rpartition(".")[0] in (member.path, member.family)


@dataclass(frozen=True, eq=False)
class ExpandedWay:
    """The result of running the block of a way: a graph for each member, and the parts by their paths.

    A graph has no inputs; its `parameter` nodes read slots. Its first output is `[rows, columns]`, the others are its
    `losses`, whose names and locations are listed here.
    """

    graphs: Sequence[Graph]
    losses: Sequence[tuple[tuple[str, Span], ...]]
    parts: Mapping[str, Part]


class Way(Protocol):
    """A block with its configuration: `Delta(rank=8)`."""

    @property
    def name(self) -> str:
        """The name of the block."""

    @property
    def span(self) -> Span:
        """The location of the call."""

    @property
    def configuration(self) -> Mapping[str, object]:
        """The values of its configuration, by name."""

    @property
    def input(self) -> str | None:
        """The name of the block's input; `None` if it computes its matrix from its own parameters only."""

    @property
    def losses(self) -> Sequence[str]:
        """The names of the losses in the block."""

    def places_of(self, parameter: str) -> Sequence[Span]:
        """Where the block declares a parameter of this name."""

    def run(self, members: Sequence[WayMember], problems: Problems) -> ExpandedWay | None:
        """Run the block for each member; `None` after reporting an error."""


@dataclass(frozen=True, eq=False)
class WayRequest:
    """`share [NAME] as Delta(rank=8) { … }`."""

    group: GroupRequest
    way: Way
