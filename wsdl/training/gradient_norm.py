"""The norm of all gradients of a step together: it tells whether the step may be made, and clipping goes by it.

A loss can be finite where its gradients are not: that of `sqrt(x)` is infinite at 0. One such number would make every
parameter NaN in one step. So a step is made only where this norm is finite.
"""

from __future__ import annotations

from collections.abc import Iterable

from wsdl.ir.graph import Value
from wsdl.ir.step import norm_type
from wsdl.ir.types import TensorType
from wsdl.ops.build import Build


def gradient_norm(build: Build, gradients: Iterable[Value], statistics: Iterable[Value] = ()) -> Value:
    """The root of the sum of the squares of all gradients. It is NaN where the new running statistics are not finite,
    which are kept without having a gradient."""
    gradients = list(gradients)
    type = norm_type(g.type for g in gradients)
    norm = build("sqrt", build.add([as_dtype(build, build("sum_squares", g), type) for g in gradients]))
    checked = [as_dtype(build, build("sum", build("mul", s, 0.0)), type) for s in statistics]
    return build.add([norm, *checked])


def as_dtype(build: Build, value: Value, type: TensorType) -> Value:
    return value if value.type.dtype == type.dtype else build("cast", value, dtype=type.dtype)
