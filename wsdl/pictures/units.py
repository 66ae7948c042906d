"""The parts of a picture: boxes for layers, operations, ports, data flow, stored tensors, and formulas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from wsdl.ir.graph import Stored
from wsdl.ir.ranges import compact
from wsdl.ir.types import TensorType

Unit: TypeAlias = "Box | Ops | Port"


@dataclass(eq=False)
class Box:
    """One application of a layer, or `count` equal ones; drawn open if it has `parts`.

    It represents `copies` layers, since the boxes around it may represent several too; `own_bytes` is the size of the
    tensors that only these layers read.
    """

    path: str
    kind: str
    count: int = 1
    copies: int = 1
    parts: list[Unit] = field(default_factory=list)
    own_bytes: int = 0
    role: str = ""  # of its tensors in training, where it isn't that they are trained


@dataclass(eq=False)
class Ops:
    """Consecutive operations that no closed box contains."""

    names: list[str]


@dataclass(eq=False)
class Port:
    """An input or output of a model."""

    name: str
    type: TensorType
    is_input: bool
    is_carried: bool = False


@dataclass(frozen=True)
class Flow:
    """Data flow from one unit to another."""

    source: Unit
    target: Unit
    type: TensorType


@dataclass(eq=False)
class Computed:
    """A way of sharing, or a formula, which computes weights of `members` members from stored tensors.

    Of the tensors that nothing else reads, `own` are those of one member each, `shared` all others.
    """

    text: str
    name: str
    members: int
    is_way: bool
    shared: list[Stored] = field(default_factory=list)
    own: list[Stored] = field(default_factory=list)
    readers: dict[Unit, str] = field(default_factory=dict)  # each with the view, or ""
    uses: int = 0
    saved: int = 0  # bytes


@dataclass(eq=False)
class Shared:
    """Stored tensors that the same units, or formulas, read more than once, or that only operations read and `update`
    lines write."""

    tensors: list[Stored]
    readers: dict[Unit | Computed, str]  # each with the view, or ""
    uses: int
    saved: int  # bytes
    role: str = ""

    @property
    def bytes(self) -> int:
        return sum(stored.bytes for stored in self.tensors)

    @property
    def name(self) -> str:
        """The group's name, or the common part of the slots' paths, without the model."""
        if self.tensors[0].group:
            return self.tensors[0].group.rsplit(".", 1)[-1]
        paths = compact(dict.fromkeys(path for stored in self.tensors for path in _pattern(stored)))
        parts = [path.split(".") for path in paths]
        common = [part for part, *others in zip(*parts, strict=False) if all(part == other for other in others)]
        return ".".join(common[1:] or common)


def _pattern(stored: Stored) -> list[str]:
    """The paths of the slots as one path with a range of indices; if they have no such pattern, that of the stored
    tensor."""
    paths = compact(slot.path for slot, _ in stored.slots)
    return paths if len(paths) == 1 else [stored.root.path]


@dataclass
class Picture:
    models: dict[str, list[Unit]] = field(default_factory=dict)
    flows: list[Flow] = field(default_factory=list)
    shared: list[Shared] = field(default_factory=list)
    computed: list[Computed] = field(default_factory=list)
