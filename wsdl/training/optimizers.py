"""One step of an optimizer as operations of the graph: SGD, Adam, AdamW, RMSprop as PyTorch defines them, and Lion.

The first and second moments are kept *scaled* (`M = b1 M + g` instead of `m = b1 m + (1 - b1) g`): the factors move
into two scalars of the step, which saves two passes over every tensor and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log, pi
from typing import Any, TypeAlias

from wsdl.ir.graph import Value
from wsdl.ops.build import Build

Options: TypeAlias = "Mapping[str, Any]"
State: TypeAlias = "dict[str, Value]"
Step: TypeAlias = "Callable[[Build, Value, Value, State, Value, Scalars], tuple[Value, State]]"


@dataclass
class Scalars:
    """Computed once for all tensors: the number of the step, counted from 1, and the bias corrections."""

    build: Build
    step: Value  # f32
    options: Options

    def corrected(self, beta: float) -> Value:
        """(1 - beta) / (1 - beta ** step): turns a scaled moment into the unbiased one."""
        b = self.build
        power = b("exp", b("mul", self.step, log(beta)))
        return b("div", b.constant(1 - beta, power.type), b("sub", b.constant(1.0, power.type), power))


@dataclass(frozen=True)
class Optimizer:
    """The names of its states for each tensor, and its step, which returns the new value and the new states."""

    states: Callable[[Options], tuple[str, ...]]
    step: Step


def _sgd(b: Build, p: Value, g: Value, state: State, lr: Value, scalars: Scalars) -> tuple[Value, State]:
    o = scalars.options
    g = _decayed(b, g, p, o)
    if not o["momentum"]:
        return b("sub", p, b("mul", g, lr)), {}
    momentum = b("add", b("mul", state["momentum"], o["momentum"]), g)
    direction = b("add", g, b("mul", momentum, o["momentum"])) if o["nesterov"] else momentum
    return b("sub", p, b("mul", direction, lr)), {"momentum": momentum}


def _adam(b: Build, p: Value, g: Value, state: State, lr: Value, scalars: Scalars) -> tuple[Value, State]:
    return _moments(b, p, _decayed(b, g, p, scalars.options), state, lr, scalars)


def _adamw(b: Build, p: Value, g: Value, state: State, lr: Value, scalars: Scalars) -> tuple[Value, State]:
    return _moments(b, _shrunk(b, p, lr, scalars.options), g, state, lr, scalars)


def _moments(b: Build, p: Value, g: Value, state: State, lr: Value, scalars: Scalars) -> tuple[Value, State]:
    o = scalars.options
    beta1, beta2 = o["betas"]
    first = b("add", b("mul", state["first"], beta1), g)
    second = b("add", b("mul", state["second"], beta2), b("mul", g, g))
    scale = b("sqrt", scalars.corrected(beta2))  # of the root; taken out of the quotient, where it is a scalar
    spread = b("add", b("sqrt", second), b("div", b.constant(o["eps"], scale.type), scale))
    change = b("mul", b("div", first, spread), b("div", b("mul", lr, scalars.corrected(beta1)), scale))
    return b("sub", p, change), {"first": first, "second": second}


def _rmsprop(b: Build, p: Value, g: Value, state: State, lr: Value, scalars: Scalars) -> tuple[Value, State]:
    o = scalars.options
    g = _decayed(b, g, p, o)
    second = b("add", b("mul", state["second"], o["alpha"]), b("mul", g, g))
    spread = b("add", b("mul", b("sqrt", second), (1 - o["alpha"]) ** 0.5), o["eps"])
    direction, new = b("div", g, spread), {"second": second}
    if o["momentum"]:
        direction = new["momentum"] = b("add", b("mul", state["momentum"], o["momentum"]), direction)
    return b("sub", p, b("mul", direction, lr)), new


def _lion(b: Build, p: Value, g: Value, state: State, lr: Value, scalars: Scalars) -> tuple[Value, State]:
    o = scalars.options
    beta1, beta2 = o["betas"]
    first = state["first"]
    direction = b("sign", b("add", b("mul", first, beta1), b("mul", g, 1 - beta1)))
    p = b("sub", _shrunk(b, p, lr, o), b("mul", direction, lr))
    return p, {"first": b("add", b("mul", first, beta2), b("mul", g, 1 - beta2))}


def _decayed(b: Build, g: Value, p: Value, o: Options) -> Value:
    """L2 regularization: weight decay as part of the gradient."""
    return b("add", g, b("mul", p, o["weight_decay"])) if o["weight_decay"] else g


def _shrunk(b: Build, p: Value, lr: Value, o: Options) -> Value:
    """Decoupled weight decay (Loshchilov & Hutter 2019), applied to the value itself."""
    if not o["weight_decay"]:
        return p
    return b("mul", p, b("sub", b.constant(1.0, lr.type), b("mul", lr, o["weight_decay"])))


def _momentum(options: Options) -> tuple[str, ...]:
    return ("momentum",) if options["momentum"] else ()


OPTIMIZERS: dict[str, Optimizer] = {
    "SGD": Optimizer(_momentum, _sgd),
    "Adam": Optimizer(lambda _: ("first", "second"), _adam),
    "AdamW": Optimizer(lambda _: ("first", "second"), _adamw),
    "RMSprop": Optimizer(lambda options: ("second", *_momentum(options)), _rmsprop),
    "Lion": Optimizer(lambda _: ("first",), _lion),
}

# -- learning rates ----------------------------------------------------------------------------------------------------


def learning_rate(b: Build, kind: str, options: Options, step: Value, total: Value) -> Value:
    """The learning rate of a step. `step` counts from 0, `total` is the number of steps of the whole run, both f32."""
    peak = b.constant(float(options["lr"]), step.type)
    if kind == "constant":
        return peak
    warmup = float(options["warmup"])
    steps = b.constant(float(options["steps"]), step.type) if options.get("steps") is not None else total
    if kind == "step":
        drops = b("floor", b("div", _past(b, step, warmup), options["every"]))
        rate = b("mul", peak, _power(b, options["factor"], drops))
    else:
        length = b("maximum", b("sub", steps, warmup), 1.0)
        progress = b("minimum", b("div", _past(b, step, warmup), length), 1.0)
        left = _falling(b, kind, progress)
        end = float(options["end"])
        rate = b("add", b("mul", b("sub", peak, end), left), end)
    if not warmup:
        return rate
    return b("mul", rate, b("minimum", b("div", b("add", step, 1.0), warmup), 1.0))


def _falling(b: Build, kind: str, progress: Value) -> Value:
    """From 1 to 0: linearly, or along half a cosine wave (Loshchilov & Hutter 2017)."""
    if kind == "linear":
        return b("sub", b.constant(1.0, progress.type), progress)
    return b("mul", b("add", b("cos", b("mul", progress, pi)), 1.0), 0.5)


def _past(b: Build, step: Value, warmup: float) -> Value:
    return b("maximum", b("sub", step, warmup), 0.0) if warmup else step


def _power(b: Build, base: float, exponent: Value) -> Value:
    return b("exp", b("mul", exponent, log(base)))
