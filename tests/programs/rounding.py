"""What a machine with fewer bits makes of a computation in PyTorch, forward and backward: each elementary step rounds.

A function such as softmax, or the gradient of a variance, is computed in steps, and where one of them cancels what is
large, how far the result is off follows from the steps and not from its size. So functions are taken apart, down to
what IEEE 754 or a kernel computes to a few units of the result itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._decomp import get_decompositions
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

aten = torch.ops.aten


def _sigmoid(x: Tensor) -> Tensor:
    """As in ONNX Runtime, half a tanh (a quotient of polynomials) and a half: off by units of 1, even near 0."""
    return 0.5 + 0.5 * torch.tanh(0.5 * x)


def _elu(x: Tensor, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Tensor:
    """As in ONNX Runtime, off by units of 1 near 0."""
    return torch.where(x > 0, x * scale, (torch.exp(x * input_scale) - 1) * (alpha * scale))


def _var(x: Tensor, dim: list[int] | None = None, *, correction: float = 1, keepdim: bool = False) -> Tensor:
    """In two passes, off by what the mean is off by."""
    axes = [*range(x.ndim)] if dim is None else dim
    mean = x.mean(axes, keepdim=True)
    count = x.numel() // max(mean.numel(), 1)
    return ((x - mean) ** 2).sum(axes, keepdim=keepdim) / (count - correction)


STEPS: dict[Any, Callable[..., Any]] = {
    **get_decompositions(
        [
            aten._softmax, aten._softmax_backward_data, aten._log_softmax, aten._log_softmax_backward_data,
            aten.logsumexp, aten.binary_cross_entropy_with_logits, aten.huber_loss, aten.gelu,
            aten.gelu_backward, aten.silu, aten.silu_backward, aten.sigmoid_backward, aten.tanh_backward,
            aten.hardswish, aten.elu_backward, aten.log_sigmoid_forward,
            aten.log_sigmoid_backward,
        ]
    ),
    aten.sigmoid.default: _sigmoid,
    aten.elu.default: _elu,
    aten.var.correction: _var,
    aten._efficientzerotensor.default: torch.zeros,  # zeros without storage, which nothing can round
    aten.std.correction: lambda *x, **options: _var(*x, **options).sqrt(),
    aten.logaddexp.default: lambda a, b: torch.maximum(a, b) + torch.log1p(torch.exp(-(a - b).abs())),
}  # fmt: skip
# What takes numbers from one place to another, or one of several, computes nothing.
MOVES = {
    aten.neg, aten.abs, aten.sgn, aten.sign, aten.floor, aten.ceil, aten.trunc, aten.round, aten.relu,
    aten.hardtanh, aten.hardtanh_backward, aten.gather, aten.threshold_backward, aten.clamp,
    aten.clamp_min, aten.clamp_max, aten.maximum, aten.minimum, aten.max, aten.min, aten.amax, aten.amin, aten.sort,
    aten.max_pool2d_with_indices, aten.where, aten.masked_fill, aten.stack, aten.cat, aten.clone, aten._to_copy,
    aten._unsafe_view, aten.flip, aten.roll, aten.repeat, aten.tril, aten.triu, aten.constant_pad_nd, aten.index,
    aten.select_backward, aten.slice_backward, aten.scatter, aten.full, aten.new_zeros, aten.zeros_like, aten.ones_like,
    aten.scalar_tensor,
}  # fmt: skip


class Rounding(TorchDispatchMode):
    """While it is entered, each number that is computed is what `rounded` makes of it."""

    def __init__(self, rounded: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._rounded = rounded

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in STEPS:
            with self:
                return STEPS[func](*args, **kwargs or {})
        found = func(*args, **kwargs or {})
        is_view = any(result.alias_info is not None for result in func._schema.returns)
        if is_view or func.overloadpacket in MOVES:
            return found
        return tree_map_only(Tensor, lambda x: self._rounded(x) if x.is_floating_point() else x, found)
