"""Gradients as values of a program."""

from __future__ import annotations

from wsdl.ir.types import TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError


# The pass is in `differentiation/`: the operation itself has no rules to compute it.
class Gradient(Rules, name="gradient", half="expanded", mixes={}, expanded_by="expand_gradients"):
    """The gradient of the scalar `y` with respect to `x`, with the shape of `x`.

    `x` is a tensor that `y` is computed from, or the path of a parameter. The gradient of a parameter includes all
    reads of its stored tensor, also through other parameters that share it. A gradient can be differentiated again. A
    file has the ONNX operators that compute it.

        gradient(y: f32[], x: f32[n, t]) -> f32[n, t]
    """

    def infer(self, y: TensorType, x: TensorType) -> TensorType:
        if not y.is_float:
            raise _no_derivative("y", y, "`cast(y, f32)` has no gradient either: compute `y` from floats")
        if y.rank:
            raise OpError(
                f"`gradient` requires a scalar, but `y` is {y}",
                argument="y",
                help="sum its elements: `gradient(sum(y), x)`",
                code="E0427",
            )
        if not x.is_float:
            raise _no_derivative("x", x, "use floats that are computed from it, such as an embedding")
        return x


def _no_derivative(argument: str, type: TensorType, help: str) -> OpError:
    message = f"only floats have gradients, but `{argument}` is {type}"
    return OpError(message, argument=argument, help=help, code="E0403")
