"""Derivatives of what a program computes."""

from __future__ import annotations

from wsdl.ir.types import TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError


# The pass is in `differentiation/`: the operation itself has no rules to compute it.
class Gradient(Rules, name="gradient", half="expanded", mixes={}, expanded_by="expand_gradients"):
    """The derivative of the number `y` with respect to `x`: a tensor of the shape of `x`.

    `x` is a tensor that `y` is computed from, or a parameter by its path. A parameter counts with all reads of the
    tensor that is stored for it, also through other parameters that share it. A file has the ONNX operators of the
    derivative, which can be differentiated again.

        gradient(y: f32[], x: f32[n, t]) -> f32[n, t]
    """

    def infer(self, y: TensorType, x: TensorType) -> TensorType:
        if not y.is_float:
            raise _no_derivative("y", y, "`cast(y, f32)` has no derivative either: compute it from fractions")
        if y.rank:
            raise OpError(
                f"a gradient is that of one number, but `y` is {y}",
                argument="y",
                help="add its elements up: `gradient(sum(y), x)`",
                code="E0427",
            )
        if not x.is_float:
            raise _no_derivative("x", x, "take it with respect to what is computed from them, such as an embedding")
        return x


def _no_derivative(argument: str, type: TensorType, help: str) -> OpError:
    message = f"only floating-point numbers have derivatives, but `{argument}` is {type}"
    return OpError(message, argument=argument, help=help, code="E0403")
