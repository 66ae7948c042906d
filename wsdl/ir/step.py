"""The contract of a training step: the inputs and outputs of its graphs, and how they are connected.

A step is one graph (`<model>.train.onnx`) or, for the trainer, several *phases*: rounds that reduce over all rows,
gradients, the update. Each input and output of a phase is a *port*, and its class tells where the tensor comes from or
goes to. A port that is an output of one phase and an input of another connects them; the `Next` of a `Variable`
connects a step with the one after it.

    class       output of            input of           name in a file
    Batch       the data             all but the update that of the input or target
    Variable    the state            any                of a stored tensor; `optimizer/first/NAME`, `step`, `seed`
    Next        whoever changes it   the state          `next/VARIABLE`
    Result      gradients            the caller         `loss`, and those of the metrics
    Gradient    gradients            the update         `gradient/STORED`
    Forward     gradients            the update         `forward/N`
    Carried     an update before     gradients          that of the input or target
    NextCarried gradients            the next update    `next/INPUT`
    Sum         the parts before     gradients          `sum/STORED`
    Number      caller, any phase    any phase          `total_steps`, `norm/gradients`, `lr`, `finite`, `part/…`
    Part        rounds, gradients    the merge          `part/N`
    Whole       the merge            rounds, gradients  `whole/N`
    Shared      the update           its pieces         `scalar/N`
    Piece       one of the tensors   a piece            `value`, `gradient`, or a state of the optimizer
    NextPiece   a piece              one of the tensors `next/PIECE`

Names are only created here, and never parsed: a phase maps names to ports.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeAlias, TypeVar

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Decay, Stored
from wsdl.ir.training import LOSS, SEED, STEP, TOTAL
from wsdl.ir.types import TensorType

Role: TypeAlias = Literal["parameter", "statistic", "optimizer", "average", "updated", "outside", "step", "seed"]
COUNT = TensorType.of("i64")
OPTIMIZER = "optimizer/"  # begins the names of variables of the optimizer, in files of weights too


# -- ports -------------------------------------------------------------------------------------------------------------


class Port(Protocol):
    """Any of the classes below, or one that a pass defines for a later one. Ports are compared by value."""

    @property
    def name(self) -> str: ...


AnyPort = TypeVar("AnyPort", bound=Port)


@dataclass(frozen=True)
class Batch:
    """An input of the model, or a target."""

    name: str


@dataclass(frozen=True)
class Variable:
    """A tensor that one step hands on to the next.

    `of` is the stored tensor that it is (a `parameter` that is trained, a `statistic` that batches change, one that is
    only `updated` by `update` lines, or one from `outside`, which only other trainings of the run change) or follows
    (the `optimizer`'s own `state`, an `average`); `step` and `seed` are of none. At first a state of the optimizer and
    the step are 0, and what belongs to a stored tensor in another way has its numbers.
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

    @staticmethod
    def updated(stored: Stored) -> Variable:
        return Variable("updated", stored.name, stored.type, stored.name)

    @staticmethod
    def outside(stored: Stored) -> Variable:
        return Variable("outside", stored.name, stored.type, stored.name)

    def optimizer(self, state: str, training: str = "") -> Variable:
        """The optimizer's own state of a parameter. Where several trainings have one state, each has its own."""
        return Variable("optimizer", f"{_prefix(training)}{state}/{self.of}", self.type, self.of, state)

    def average(self, training: str = "") -> Variable:
        """The moving average of a parameter."""
        return Variable("average", f"{_prefix(training)}average/{self.of}", self.type, self.of)


def _prefix(training: str) -> str:
    return f"{OPTIMIZER}{training}/" if training else OPTIMIZER


def step_variable(training: str = "") -> Variable:
    """The number of steps so far. Where several trainings have one state, each counts its own."""
    return Variable("step", f"{OPTIMIZER}{training}/{STEP}" if training else STEP, COUNT)


def seed_variable(training: str = "") -> Variable:
    """The seed of what is random in a step."""
    return Variable("seed", f"{OPTIMIZER}{training}/{SEED}" if training else SEED, COUNT)


@dataclass(frozen=True)
class Result:
    """The loss or a metric, a scalar."""

    name: str

    @property
    def is_loss(self) -> bool:
        return self.name == LOSS


@dataclass(frozen=True)
class Gradient:
    """The gradient of the loss with respect to a trained tensor, with the tensor's type."""

    of: str

    @property
    def name(self) -> str:
        return f"gradient/{self.of}"


@dataclass(frozen=True)
class Forward:
    """A tensor of the forward pass that `update` lines read: a number stands for a value, the name of a running
    statistic for what that is by this batch."""

    label: str

    @property
    def name(self) -> str:
        return f"forward/{self.label}"


@dataclass(frozen=True)
class Carried:
    """An input of the model, or a target, that is carried from update to update of one batch."""

    name: str


@dataclass(frozen=True)
class Number:
    """A scalar of the step with a fixed name."""

    name: str


FIRST = Number("carry/first")  # bool, whether this is the first update of a batch; where something is carried
TOTAL_STEPS = Number(TOTAL)  # i64, of the whole run; for learning rates with a schedule over it
NORM = Number("norm/gradients")  # f32 or f64, of all gradients together; the step may be committed only if it is finite
FINITE = Number("finite")  # of that type, of a part: 0, or NaN where not all else that changes the state is finite
RATE = Number("lr")  # f32, of this step
PART_START = Number("part/start")  # i64, the number of rows in the parts of a batch before this one
PART_SHARE = Number("part/share")  # f32, the fraction of a batch's rows in this part, from 0 to 1


def norm_type(gradients: Iterable[TensorType]) -> TensorType:
    """f64[] where a gradient is f64, otherwise f32[]."""
    return TensorType.of("f64" if any(type.dtype == "f64" for type in gradients) else "f32")


@dataclass(frozen=True)
class Whole:
    """A value reduced over all rows, as input of a phase that runs on a part of them."""

    label: str
    type: TensorType = field(compare=False)

    @property
    def name(self) -> str:
        return f"whole/{self.label}"

    @property
    def part(self) -> Part:
        """The values that it is merged from."""
        return Part(self.label)


@dataclass(frozen=True)
class Part:
    """The contribution of one part of the rows to the `Whole` of the same label."""

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
    """A piece of a tensor of the update, f32[elements]; names are those of `piece_of`."""

    name: str


def piece_of(port: Variable | Gradient) -> Piece:
    """The piece of a tensor of the update."""
    if isinstance(port, Gradient):
        return Piece("gradient")
    return Piece(port.state or {"parameter": "value"}.get(port.role, port.role))


@dataclass(frozen=True)
class _NextOf(Generic[AnyPort]):
    """Base of outputs that become the input `of` later."""

    of: AnyPort

    @property
    def name(self) -> str:
        return f"next/{self.of.name}"


class Next(_NextOf[Variable]):
    """The value of a variable in the next step."""


class NextCarried(_NextOf[Carried]):
    """The value of a carried input in the next update of the batch."""


class NextPiece(_NextOf[Piece]):
    """The value of a piece in the next step."""


@dataclass(frozen=True)
class Sum:
    """The sum over the parts so far of a gradient, or of the next value of a statistic."""

    of: Gradient | Variable

    @property
    def name(self) -> str:
        return f"sum/{self.of.of}"


# -- merging -----------------------------------------------------------------------------------------------------------

How: TypeAlias = Literal["sum", "prod", "max", "min", "logsumexp", "mean", "moments", "same", "size"]


@dataclass(frozen=True)
class Merge:
    """How results of a whole batch are merged from those of its parts: each of `wholes` from its part.

    `how` is one of the ways of `wsdl.ops.Merged`; or `same`, for what must not differ from part to part; or `size`, the
    dynamic dimension `dim` of the whole, which has no parts.
    """

    how: How
    wholes: tuple[Whole, ...]
    dim: Dim | None = field(default=None, compare=False)
