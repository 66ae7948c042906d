"""The contract of a training step: what each of its graphs takes and gives, and what feeds what.

A step is one graph (`<model>.train.onnx`) or, for the trainer, several *phases*: rounds that reduce over all rows,
gradients, the update. Each input and output of a phase is a *port*, and its class says where the tensor comes from or
goes to. Two phases are connected where one gives a port that the other takes; two steps where one gives the `Next` of a
`Variable` that the other takes.

    class       given by             taken by           name in a file
    Batch       the data             all but the update that of the input or target
    Variable    the state            any                of a stored tensor; `optimizer/first/NAME`, `step`, `seed`
    Next        whoever changes it   the state          `next/VARIABLE`
    Result      gradients            the caller         `loss`, and those of the metrics
    Gradient    gradients            the update         `gradient/STORED`
    Sum         the parts before     gradients          `sum/STORED`
    Number      caller, any phase    any phase          `total_steps`, `norm/gradients`, `lr`, `part/…`
    Part        rounds, gradients    the merge          `part/N`
    Whole       the merge            rounds, gradients  `whole/N`
    Shared      the update           its pieces         `scalar/N`
    Piece       one of the tensors   a piece            `value`, `gradient`, or a state of the optimizer
    NextPiece   a piece              one of the tensors `next/PIECE`

Names are made here and nowhere parsed: whoever holds a name of a phase looks its port up in that phase.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Decay, Stored
from wsdl.ir.training import LOSS, SEED, STEP, TOTAL
from wsdl.ir.types import TensorType

Role: TypeAlias = Literal["parameter", "statistic", "optimizer", "average", "step", "seed"]
COUNT = TensorType.of("i64")
OPTIMIZER = "optimizer/"  # begins the names of variables of the optimizer, in files of weights too


# -- ports -------------------------------------------------------------------------------------------------------------


class Port(Protocol):
    """Any of the classes below, or one that a pass hands to a later one. Ports are compared by what they say."""

    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class Batch:
    """An input of the model, or a target."""

    name: str


@dataclass(frozen=True)
class Variable:
    """A tensor that one step hands on to the next.

    `of` is the stored tensor that it is (a `parameter`, a running `statistic`) or follows (the `optimizer`'s own
    `state`, an `average`); `step` and `seed` are of none. At first a state of the optimizer and the step are 0, and
    what belongs to a stored tensor in another way has its numbers.
    """

    role: Role
    name: str
    type: TensorType = field(compare=False)
    of: str = ""
    state: str = ""  # "first", "second", "momentum"
    decay: Decay = field(default="by rank", compare=False)  # of a parameter

    @staticmethod
    def parameter(stored: Stored) -> Variable:
        return Variable("parameter", stored.name, stored.type, stored.name, decay=stored.decay)

    @staticmethod
    def statistic(stored: Stored) -> Variable:
        return Variable("statistic", stored.name, stored.type, stored.name)

    def optimizer(self, state: str) -> Variable:
        """The optimizer's own state of a parameter."""
        return Variable("optimizer", f"{OPTIMIZER}{state}/{self.of}", self.type, self.of, state)

    @property
    def average(self) -> Variable:
        """The moving average of a parameter."""
        return Variable("average", f"{OPTIMIZER}average/{self.of}", self.type, self.of)


STEPS = Variable("step", STEP, COUNT)
RANDOM_SEED = Variable("seed", SEED, COUNT)


@dataclass(frozen=True)
class Result:
    """The loss or a metric, a scalar."""

    name: str

    @property
    def is_loss(self) -> bool:
        return self.name == LOSS


@dataclass(frozen=True)
class Gradient:
    """That of the loss with respect to a trained tensor, which has its type."""

    of: str

    @property
    def name(self) -> str:
        return f"gradient/{self.of}"


@dataclass(frozen=True)
class Number:
    """A scalar of the step that has a name of its own."""

    name: str


TOTAL_STEPS = Number(TOTAL)  # i64, of the whole run; where a learning rate follows a course over it
NORM = Number("norm/gradients")  # f32 or f64, of all gradients together: only where it is finite the step may be made
RATE = Number("lr")  # f32, of this step
PART_NUMBER = Number("part/number")  # i64, which part of a batch this is
PART_SHARE = Number("part/share")  # f32, how many of the rows of a batch this part has, from 0 to 1


def norm_type(gradients: Iterable[TensorType]) -> TensorType:
    """f64[] where a gradient is f64, otherwise f32[]."""
    return TensorType.of("f64" if any(type.dtype == "f64" for type in gradients) else "f32")


@dataclass(frozen=True)
class Whole:
    """A number of all rows, which a phase that sees a part of them is given."""

    label: str
    type: TensorType = field(compare=False)

    @property
    def name(self) -> str:
        return f"whole/{self.label}"

    @property
    def part(self) -> Part:
        """What it is merged from."""
        return Part(self.label)


@dataclass(frozen=True)
class Part:
    """What one part of the rows contributes to the `Whole` of the same label."""

    label: str

    @property
    def name(self) -> str:
        return f"part/{self.label}"


@dataclass(frozen=True)
class Shared:
    """A scalar that the update computes for all pieces: a learning rate, a bias correction."""

    number: int

    @property
    def name(self) -> str:
        return f"scalar/{self.number}"


@dataclass(frozen=True)
class Piece:
    """A piece of a tensor of the update, f32[elements]; `name` says which: see `piece_of`."""

    name: str


def piece_of(port: Variable | Gradient) -> Piece:
    """What a tensor of the update is to the pieces of one stored tensor."""
    if isinstance(port, Gradient):
        return Piece("gradient")
    return Piece(port.state or {"parameter": "value"}.get(port.role, port.role))


@dataclass(frozen=True)
class Next:
    """What a variable is in the next step."""

    of: Variable

    @property
    def name(self) -> str:
        return f"next/{self.of.name}"


@dataclass(frozen=True)
class NextPiece:
    """What a piece is in the next step."""

    of: Piece

    @property
    def name(self) -> str:
        return f"next/{self.of.name}"


@dataclass(frozen=True)
class Sum:
    """The sum over the parts so far of a gradient, or of what a statistic is next."""

    of: Gradient | Variable

    @property
    def name(self) -> str:
        return f"sum/{self.of.of}"


# -- what is merged ----------------------------------------------------------------------------------------------------

How: TypeAlias = Literal["sum", "prod", "max", "min", "logsumexp", "mean", "moments", "same", "size"]


@dataclass(frozen=True)
class Merge:
    """How the results of a whole batch follow from those of its parts: each of `wholes` from its part.

    `how` is one of the ways of `wsdl.ops.Merged`; or `same`, for what must not differ from part to part; or `size`, the
    dynamic dimension `dim` of the whole, which has no parts.
    """

    how: How
    wholes: tuple[Whole, ...]
    dim: Dim | None = field(default=None, compare=False)
