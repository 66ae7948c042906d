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


def gradient_norm(build: Build, gradients: Iterable[Value]) -> Value:
    """The square root of the sum of squares of all gradients."""
    gradients = list(gradients)
    type = norm_type(g.type for g in gradients)
    return build("sqrt", build.add([as_dtype(build, build("sum_squares", g), type) for g in gradients]))


def zeros_if_finite(build: Build, values: Iterable[Value], type: TensorType) -> list[Value]:
    """A scalar for each of some values: 0, or NaN where not all of its elements are finite."""
    return [as_dtype(build, build("sum", build("mul", value, 0.0)), type) for value in values]


def as_dtype(build: Build, value: Value, type: TensorType) -> Value:
    return value if value.type.dtype == type.dtype else build("cast", value, dtype=type.dtype)
