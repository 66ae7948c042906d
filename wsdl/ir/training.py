"""The contents of a `train` declaration: the objective as graphs, the optimizer, learning rates, frozen parts.

The tables name every optimizer and schedule with its arguments; what they compute is in `wsdl/training/optimizers.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from wsdl.diagnostics.span import Span
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Graph, Value
from wsdl.ir.requests import FreezeRequest, PathPattern

# -- optimizers and schedules ------------------------------------------------------------------------------------------

Kind: TypeAlias = Literal["rate", "number", "count", "pair", "switch"]
Range: TypeAlias = Literal["more than 0", "at least 0", "from 0 up to, but not including, 1"]
REQUIRED: Any = object()
# Inputs of a step, i64: the number of the step, the number of steps of the run, and the seed of dropout.
STEP, TOTAL, SEED = "step", "total_steps", "seed"
COUNTERS = (STEP, SEED)  # those that are part of its state
LOSS = "loss"  # its output, beside those of the metrics


@dataclass(frozen=True)
class Option:
    """An argument of an optimizer or a schedule: a number in a range, two of them, or `true` and `false`.

    A `rate` is a number or a schedule, a `count` an integer. `none` is allowed if it is the default.
    """

    name: str
    kind: Kind
    range: Range = "more than 0"
    default: Any = REQUIRED

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


_LR = Option("lr", "rate")
_EPS = Option("eps", "number", "more than 0", 1e-8)
_MOMENTUM = Option("momentum", "number", "from 0 up to, but not including, 1", 0.0)


def _betas(first: float, second: float) -> Option:
    return Option("betas", "pair", "from 0 up to, but not including, 1", [first, second])


def _decay(default: float) -> Option:
    return Option("weight_decay", "number", "at least 0", default)


OPTIMIZERS: dict[str, tuple[Option, ...]] = {
    "SGD": (_LR, _MOMENTUM, Option("nesterov", "switch", default=False), _decay(0.0)),
    "Adam": (_LR, _betas(0.9, 0.999), _EPS, _decay(0.0)),
    "AdamW": (_LR, _betas(0.9, 0.999), _EPS, _decay(0.01)),
    "RMSprop": (
        _LR,
        Option("alpha", "number", "from 0 up to, but not including, 1", 0.99),
        _EPS,
        _MOMENTUM,
        _decay(0.0),
    ),
    "Lion": (replace(_LR, default=1e-4), _betas(0.9, 0.99), _decay(0.0)),
}

# Options of every optimizer: gradients clipped by global norm or by value, an exponential moving average of the
# parameters for evaluation, and whether weight decay applies to vectors (biases, the scales of norms).
COMMON: tuple[Option, ...] = (
    Option("clip_norm", "number", default=None),
    Option("clip_value", "number", default=None),
    Option("ema", "number", "from 0 up to, but not including, 1", None),
    Option("decay_norms_and_biases", "switch", default=True),
)

_PEAK = Option("lr", "number")
_WARMUP = Option("warmup", "count", "at least 0", 0)
_STEPS = Option("steps", "count", default=None)  # those of the whole run, which are known when it starts
_END = Option("end", "number", "at least 0", 0.0)

SCHEDULES: dict[str, tuple[Option, ...]] = {
    "constant": (_PEAK,),
    "linear": (_PEAK, _STEPS, _WARMUP, _END),
    "cosine": (_PEAK, _STEPS, _WARMUP, _END),
    "step": (
        _PEAK,
        Option("every", "count"),
        Option("factor", "number", default=0.1),
        _WARMUP,
    ),
}


@dataclass(frozen=True)
class Schedule:
    """A learning rate over the steps: `options` has all options in the table; `lr` is the peak."""

    kind: str
    options: Mapping[str, Any]

    def with_peak(self, peak: float) -> Schedule:
        """The same schedule with another peak."""
        options = {**self.options, "lr": peak}
        if "end" in options:
            options["end"] = options["end"] * peak / self.options["lr"]
        return Schedule(self.kind, options)

    def __str__(self) -> str:
        """In the syntax of the language, without options that have their default."""
        defaults = {option.name: option.default for option in SCHEDULES[self.kind]}
        others = [f"{name}={value}" for name, value in self.options.items() if name != "lr" and value != defaults[name]]
        return f"{self.kind}({', '.join([str(self.options['lr']), *others])})"


@dataclass(frozen=True)
class Optimizer:
    """`options` has all options in the tables except `lr`."""

    name: str
    lr: Schedule
    options: Mapping[str, Any]
    span: Span


@dataclass(frozen=True, eq=False)
class RateRequest:
    """`lr encoder, head.bias = 1e-4`."""

    paths: tuple[PathPattern, ...]
    base: str
    schedule: Schedule
    span: Span


# -- the objective -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class AuxiliaryLoss:
    """`loss balance = …` of a block, a scalar; `span` is that of its name, `others` those of others of this name that
    were added to it."""

    name: str
    value: Value
    span: Span
    others: tuple[Span, ...] = ()


@dataclass(frozen=True, eq=False)
class Update:
    """`update target.weight = 0.9 * target.weight + 0.1 * online.weight every 10`: what a slot becomes by a step.

    `graph` computes it, of the type of the slot, its one output. Its `parameter` nodes read slots as they are after the
    step of the optimizer; what it captures are values of the objective's graph. Its inputs may be `step`, the number of
    this step from 1, and `total_steps`, f32[]. `span` is the path as written, `value_span` the expression. One that
    stands `in_block` is there once for each application, and doesn't apply to what is frozen.
    """

    slot: str
    graph: Graph
    every: int
    span: Span
    value_span: Span
    in_block: bool = False


@dataclass(frozen=True, eq=False)
class Carry:
    """`carry z = zeros([n, 8])`: the input `value`, and the graph of what it is at first, which may capture others.
    `span` is that of the name."""

    name: str
    value: Value
    start: Graph
    span: Span


@dataclass(frozen=True)
class LossWeight:
    """`weight balance = 0.1`; `span` is that of the name."""

    value: float
    span: Span


@dataclass(frozen=True, eq=False)
class Objective:
    """The model's body run again, with targets after its inputs, and the losses and metrics computed from both.

    The outputs of `graph` are the loss, which is the sum of the `losses` (one for each `loss` line that was run), and
    the metrics. All are scalars, each the mean over a batch. `auxiliary` are losses of blocks, which the loss gets
    (`sharing.auxiliary_losses`) once it is known what is stored: formulas may have some too. `updates` are those of a
    step, one for each slot that an `update` line writes; `carried` has what carried inputs are in the next step on a
    batch, by their names. An evaluation has neither.
    """

    graph: Graph
    targets: list[Value]
    losses: list[Value]
    loss: Value
    metrics: dict[str, Value]
    states: dict[str, Value] = field(default_factory=dict)  # by the path of the slot: what it becomes by this batch
    auxiliary: tuple[AuxiliaryLoss, ...] = ()
    updates: tuple[Update, ...] = ()
    carried: Mapping[str, Value] = field(default_factory=dict)

    def copy(self) -> Objective:
        """A copy with new nodes and values."""
        copies: dict[Value, Value] = {}
        return self.substituted(self.graph.copy(copies), copies)

    def substituted(self, graph: Graph, values: Mapping[Value, Value]) -> Objective:
        """The same in another graph, with other values in place of some."""

        def new(value: Value) -> Value:
            return values.get(value, value)

        return Objective(
            graph,
            [new(v) for v in self.targets],
            [new(v) for v in self.losses],
            new(self.loss),
            {name: new(value) for name, value in self.metrics.items()},
            {path: new(value) for path, value in self.states.items()},
            tuple(replace(loss, value=new(loss.value)) for loss in self.auxiliary),
            tuple(replace(update, graph=update.graph.copy(dict(values))) for update in self.updates),
            {name: new(value) for name, value in self.carried.items()},
        )


@dataclass(frozen=True, eq=False)
class Training:
    """The training `name` of one model as written; `check_training` looks up its paths.

    `objective` is the model as it is while training, `evaluation` as it is compiled (the two may differ in
    normalization and dropout); both read the slots of the model itself.
    """

    name: str
    model: str
    objective: Objective
    evaluation: Objective
    optimizer: Optimizer
    freezes: list[FreezeRequest]
    rates: list[RateRequest]
    loss_spans: list[Span]
    span: Span
    doc: str = ""
    weights: Mapping[str, LossWeight] = field(default_factory=dict)  # of losses of blocks, by their names

    def changed(self, freezes: Iterable[FreezeRequest], rates: Iterable[RateRequest]) -> Training:
        """The same, with additional lines after its own."""
        return replace(self, freezes=[*self.freezes, *freezes], rates=[*self.rates, *rates])


@dataclass(frozen=True, eq=False)
class Turns:
    """`turns { critic 5, maker 1 }`: so many steps of each training, one after the other, again and again; or
    `mix { classify 2, tag 1 }`, where the training of each step is drawn, in these proportions. `counts` are by the
    names of the trainings, in order; those of `turns` are integers."""

    kind: Literal["turns", "mix"]
    counts: Mapping[str, float]
    span: Span


@dataclass(frozen=True)
class Normalized:
    """A layer that normalizes by the batch: over how many values of each channel, and where it is applied."""

    layer: str
    count: Dim
    span: Span | None
