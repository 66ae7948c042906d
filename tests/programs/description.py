"""What a random program is made of: data, of which its text and its evaluation in PyTorch are two readings.

Nothing here knows the compiler. An expression carries the text that it is written as and, beside it, what that means in
PyTorch; statements, blocks and models are lists of those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

    from tests.programs.twin import Frame

Run: TypeAlias = Callable[..., Any]  # of a module and what it is applied to; gives tensors
Meaning: TypeAlias = Callable[..., Any]  # what a text means, of tensors
Table: TypeAlias = dict[str, Meaning]  # by the text, with `{0}` for the first operand

FLOATS = ("f32", "f64", "f16")


# -- types -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Size:
    """`factor * name + offset`, or the number `offset` where there is no name."""

    offset: int = 0
    name: str = ""
    factor: int = 1

    def __str__(self) -> str:
        if not self.name:
            return str(self.offset)
        text = self.name if self.factor == 1 else f"{self.factor} * {self.name}"
        return text if not self.offset else f"{text} {'+' if self.offset > 0 else '-'} {abs(self.offset)}"

    @property
    def number(self) -> int | None:
        return None if self.name else self.offset

    def value(self, dims: Mapping[str, int]) -> int:
        return self.offset + (self.factor * dims[self.name] if self.name else 0)

    def within(self, sizes: Mapping[str, Size]) -> Size:
        """The size with other sizes in the place of names."""
        if self.name not in sizes:
            return self
        inner = sizes[self.name]
        return Size(self.offset + self.factor * inner.offset, inner.name, self.factor * inner.factor)

    def plus(self, other: Size) -> Size | None:
        """The sum, where it is such a size too."""
        if self.name and other.name and self.name != other.name:
            return None
        factor = sum(size.factor for size in (self, other) if size.name)
        return Size(self.offset + other.offset, self.name or other.name, factor or 1)


@dataclass(frozen=True)
class Type:
    dtype: str
    shape: tuple[Size, ...] = ()

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]" if self.shape else self.dtype

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def is_float(self) -> bool:
        return self.dtype in FLOATS

    def of(self, *shape: Size) -> Type:
        return Type(self.dtype, shape)

    def within(self, sizes: Mapping[str, Size]) -> Type:
        return Type(self.dtype, tuple(size.within(sizes) for size in self.shape))


# -- expressions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Expr:
    """`text` has `{0}`, `{1}` for the operands; `torch` takes the frame and their values. An operation with several
    results has several `types`. `reads` are the names that the text itself has."""

    types: tuple[Type, ...]
    text: str
    torch: Callable[..., Any] = field(repr=False)
    args: tuple[Expr, ...] = ()
    reads: frozenset[str] = frozenset()

    @property
    def type(self) -> Type:
        return self.types[0]

    def __str__(self) -> str:
        return self.text.format(*map(str, self.args))

    @property
    def all_reads(self) -> frozenset[str]:
        return self.reads.union(*(arg.all_reads for arg in self.args))


def expr(type: Type | Sequence[Type], text: str, torch: Callable[..., Any], *args: Expr, reads: str = "") -> Expr:
    types = (type,) if isinstance(type, Type) else tuple(type)
    return Expr(types, text, torch, args, frozenset(reads.split()))


def variable(name: str, type: Type) -> Expr:
    """A tensor or a parameter by its name."""
    return expr(type, name, lambda frame: frame.values[name], reads=name)


# -- statements --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Made:
    """What is written behind `layer f =`: in a frame it gives a function of a module and of what it is applied to."""

    text: str
    start: Callable[[Frame], Run]
    reads: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class Assign:
    names: tuple[str, ...]
    value: Expr


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer, an array of so many, or a list of unlike ones."""

    name: str
    made: tuple[Made, ...]
    count: int | None = None

    @property
    def is_array(self) -> bool:
        return self.count is not None or len(self.made) > 1


@dataclass(frozen=True, eq=False)
class Param:
    """In a block its text has no dtype: it has that of what the block is applied to."""

    name: str
    type: Type
    has_dtype: bool = False


@dataclass(frozen=True, eq=False)
class For:
    """`items` are what the name stands for: numbers, or layers of the frame."""

    name: str
    over: str
    items: Callable[[Frame], Sequence[Any]]
    body: tuple[Statement, ...]
    reads: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class If:
    condition: str
    holds: Callable[[Frame], bool]
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...] = ()


@dataclass(frozen=True, eq=False)
class Scan:
    """`sequences` are names with what they go through, `carried` names with what they start as."""

    targets: tuple[str, ...]
    sequences: tuple[tuple[str, Expr], ...]
    axis: int
    along: Size
    carried: tuple[tuple[str, Expr], ...]
    body: tuple[Statement, ...]
    emits: tuple[Expr, ...]
    is_reverse: bool = False


@dataclass(frozen=True, eq=False)
class Count:
    """A `scan` over the numbers from 0 up to what `limit` is, which makes `steps` of them: fewer with `ends`, the last
    number."""

    targets: tuple[str, ...]
    name: str
    limit: str
    steps: int
    carried: tuple[tuple[str, Expr], ...]
    body: tuple[Statement, ...]
    emits: tuple[Expr, ...]
    ends: int | None = None


Statement: TypeAlias = Assign | Layer | Param | For | If | Scan | Count


# -- the whole ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Block:
    """A kind of layer: `settings` are whole numbers with defaults, `inputs` have types without a dtype."""

    name: str
    settings: tuple[tuple[str, int], ...]
    inputs: tuple[tuple[str, Type], ...]
    body: tuple[Statement, ...]
    results: tuple[Expr, ...]
    has_state: bool = False  # statistics may be in it


@dataclass(frozen=True, eq=False)
class Model:
    name: str
    inputs: tuple[tuple[str, Type], ...]
    body: tuple[Statement, ...]
    outputs: tuple[tuple[str, Expr], ...]


@dataclass(frozen=True)
class View:
    """One step of a view of a slot: what is written, the same in PyTorch, and back again (`None` of a slice)."""

    text: str
    there: Callable[[Tensor], Tensor] = field(compare=False)
    back: Callable[[Tensor], Tensor] | None = field(compare=False)


@dataclass(frozen=True)
class Slot:
    """A parameter or a state: `kind` says what numbers suit it."""

    path: str
    shape: tuple[int, ...]
    kind: str  # weight, gain, statistic (a state), variance (a state)

    @property
    def is_state(self) -> bool:
        return self.kind in ("statistic", "variance")


@dataclass(frozen=True)
class Group:
    """Members of a share group: slots with their views. The first one is as large as any."""

    members: tuple[tuple[Slot, tuple[View, ...]], ...]
    text: str  # what is written between the braces
    name: str = ""


@dataclass(frozen=True)
class Formula:
    """A slot that is computed from others: `text` of their paths, the same in PyTorch, and the parameters of the file
    that it brings."""

    target: Slot
    text: str
    sources: tuple[Slot, ...]
    there: Callable[..., Tensor] = field(compare=False)
    brings: tuple[Slot, ...] = ()


@dataclass(frozen=True, eq=False)
class Update:
    """`value` reads parameters by their paths, and tensors of the model."""

    path: str
    value: Expr
    every: int = 1


@dataclass(frozen=True, eq=False)
class Carry:
    """An input of the model, what it is in the first step on a batch, and the tensor that it is in the next."""

    name: str
    first: Expr
    following: str


@dataclass(frozen=True, eq=False)
class Train:
    model: str
    targets: tuple[tuple[str, Type], ...]
    losses: tuple[Expr, ...]
    metrics: tuple[tuple[str, Expr], ...]
    optimizer: str
    settings: Mapping[str, Any]
    freezes: tuple[str, ...] = ()  # paths, each of a whole slot
    rates: tuple[tuple[str, float], ...] = ()  # learning rates of such paths
    modes: tuple[tuple[str, str], ...] = ()  # layers with statistics that are frozen, `eval` or `train`
    updates: tuple[Update, ...] = ()
    carries: tuple[Carry, ...] = ()
    called: str = ""  # where there are several

    @property
    def name(self) -> str:
        return self.called or self.model


@dataclass(frozen=True, eq=False)
class Description:
    """A program, and the values of the dynamic dimensions with which it is run."""

    blocks: tuple[Block, ...]
    layers: tuple[Layer, ...]  # those of the file
    models: tuple[Model, ...]
    groups: tuple[Group, ...] = ()
    formulas: tuple[Formula, ...] = ()
    trains: tuple[Train, ...] = ()
    turns: str = ""  # how they take turns
    sizes: tuple[Mapping[str, int], ...] = ()
    has_gradients: bool = False  # among the values of its models

    @property
    def dtype(self) -> str:
        """That of its floats."""
        return self.models[0].inputs[0][1].dtype

    def model(self, name: str) -> Model:
        return next(model for model in self.models if model.name == name)
