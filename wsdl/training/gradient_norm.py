"""The global norm of the gradients: a step is made only if it is finite, and `clip_norm` scales by it.

A loss can be finite where its gradients are not: that of `sqrt(x)` is infinite at 0. One such element would make every
parameter NaN in one step.
"""

from __future__ import annotations

from collections.abc import Iterable

from wsdl.ir.graph import Value
from wsdl.ir.step import norm_type
from wsdl.ir.types import TensorType
from wsdl.ops.build import Build


def gradient_norm(build: Build, gradients: Iterable[Value], statistics: Iterable[Value] = ()) -> Value:
    """The square root of the sum of squares of all gradients. It is NaN where new running statistics, which have no
    gradient, are not finite."""
    gradients = list(gradients)
    type = norm_type(g.type for g in gradients)
    norm = build("sqrt", build.add([as_dtype(build, build("sum_squares", g), type) for g in gradients]))
    checked = [as_dtype(build, build("sum", build("mul", s, 0.0)), type) for s in statistics]
    return build.add([norm, *checked])


def as_dtype(build: Build, value: Value, type: TensorType) -> Value:
    return value if value.type.dtype == type.dtype else build("cast", value, dtype=type.dtype)
