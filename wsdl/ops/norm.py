"""Normalisation: to mean 0 and variance 1 over some axes, then scaled and shifted by weights."""

from __future__ import annotations

from collections.abc import Sequence

from wsdl.ir.dims import Dim, product
from wsdl.ir.types import TensorType
from wsdl.ops._define import Array, Emitter, NumPy, OpError, Ref, operation
from wsdl.ops._lowering import axes_tensor, float_node, unsqueezed
from wsdl.ops._rules import agreed, divided, floating, same_dtype


def _standardised(np: NumPy, x: Array, axes: Sequence[int], eps: float) -> Array:
    """With mean 0 and variance 1 over axes."""
    mean, variance = (f(x, axis=tuple(axes), keepdims=True) for f in (np.mean, np.var))
    return (x - mean) / np.sqrt(variance + eps)


def _along_channels(weight: Array, x: Array) -> Array:
    return weight.reshape(-1, *[1] * (x.ndim - 2))


def _for_each_channel(x: TensorType, weights: dict[str, TensorType | None]) -> None:
    """`x` is `[n, channels, ...]`, and each weight has a number for each channel."""
    if floating(x).rank < 2:
        raise OpError(f"`x` must be [n, channels, ...], but is {x}", argument="x")
    for name, weight in weights.items():
        if weight is None:
            continue
        same_dtype(name, x, weight)
        if weight.rank != 1:
            raise OpError(f"`{name}` must be [{x.shape[1]}], but is {weight}", argument=name)
        what = f"`{name}` must have a number for each channel of {x}"
        agreed(x.shape[1], weight.shape[0], what, name)


def _fits_last_axes(x: TensorType, weights: dict[str, TensorType | None]) -> None:
    """Each weight has the shape of the last axes of `x`, and all of them the same."""
    ranks = {weight.rank for weight in weights.values() if weight is not None}
    if len(ranks) > 1 or not 1 <= max(ranks) <= floating(x).rank:
        shapes = " and ".join(f"`{name}` is {weight}" for name, weight in weights.items() if weight is not None)
        raise OpError(f"the weights must have the shape of the last axes of {x}, but {shapes}", argument="weight")
    for name, weight in weights.items():
        if weight is None:
            continue
        same_dtype(name, x, weight)
        for size, wanted in zip(weight.shape, x.shape[-weight.rank :], strict=True):
            agreed(wanted, size, f"`{name}` must have the shape of the last axes of {x}", name)


# -- over the last axes ------------------------------------------------------------------------------------------------


@operation
def layer_norm(x: TensorType, weight: TensorType, bias: TensorType | None = None, eps: float = 1e-5) -> TensorType:
    """Mean 0 and variance 1 over the last axes, those of `weight`, then scaled and shifted. ONNX LayerNormalization.

    `weight` and `bias` have the shape of those axes; `eps` is added to the variance.
    """
    _fits_last_axes(x, {"weight": weight, "bias": bias})
    return x


@layer_norm.reference
def _(np: NumPy, x: Array, weight: Array, bias: Array | None = None, eps: float = 1e-5) -> Array:
    scaled = _standardised(np, x, range(x.ndim - weight.ndim, x.ndim), eps) * weight
    return scaled if bias is None else scaled + bias


@layer_norm.lowering
def _(e: Emitter, x: Ref, weight: Ref, bias: Ref | None = None, eps: float = 1e-5) -> Ref:
    return e.node("LayerNormalization", x, weight, bias, axis=-weight.type.rank, epsilon=float(eps))


@operation
def rms_norm(x: TensorType, weight: TensorType, eps: float = 1e-6) -> TensorType:
    """Divided by the root of the mean square over the last axes, then scaled. ONNX ReduceMean, Sqrt and Div.

    `weight` has the shape of those axes; `eps` is added to the mean square.
    """
    _fits_last_axes(x, {"weight": weight})
    return x


@rms_norm.reference
def _(np: NumPy, x: Array, weight: Array, eps: float = 1e-6) -> Array:
    squares = np.mean(x * x, axis=tuple(range(x.ndim - weight.ndim, x.ndim)), keepdims=True)
    return x / np.sqrt(squares + eps) * weight


@rms_norm.lowering
def _(e: Emitter, x: Ref, weight: Ref, eps: float = 1e-6) -> Ref:
    axes, dtype = axes_tensor(e, range(-weight.type.rank, 0)), x.type.dtype
    squares = e.node("ReduceMean", e.node("Pow", x, e.constant(2, dtype)), axes, keepdims=1)
    return e.node("Mul", e.node("Div", x, e.node("Sqrt", e.node("Add", squares, e.constant(eps, dtype)))), weight)


# -- over channels -----------------------------------------------------------------------------------------------------


@operation
def group_norm(
    x: TensorType,
    groups: int,
    weight: TensorType | None = None,
    bias: TensorType | None = None,
    eps: float = 1e-5,
) -> TensorType:
    """Mean 0 and variance 1 over each group of channels, then scaled and shifted. ONNX InstanceNormalization.

    `x` is [n, channels, ...]; `weight` and `bias` are [channels].
    """
    _for_each_channel(x, {"weight": weight, "bias": bias})
    if groups < 1:
        raise OpError(f"`groups` must be at least 1, but is {groups}", argument="groups", code="E0414")
    divided(x.shape[1], Dim.of(groups), f"the channels of {x} must fall into {groups} equal groups", "groups")
    return x


@group_norm.reference
def _(
    np: NumPy, x: Array, groups: int, weight: Array | None = None, bias: Array | None = None, eps: float = 1e-5
) -> Array:
    grouped = x.reshape(x.shape[0], groups, int(np.prod(x.shape[1:])) // groups)
    y = _standardised(np, grouped, [2], eps).reshape(x.shape)
    y = y if weight is None else y * _along_channels(weight, x)
    return y if bias is None else y + _along_channels(bias, x)


@group_norm.lowering
def _(e: Emitter, x: Ref, groups: int, weight: Ref | None = None, bias: Ref | None = None, eps: float = 1e-5) -> Ref:
    shape, dtype = x.type.shape, x.type.dtype
    grouped = e.reshape(x, [shape[0], Dim.of(groups), product(shape[1:]) // groups])
    ones, zeros = (e.constant([number] * groups, dtype) for number in (1, 0))
    y = float_node(e, "InstanceNormalization", grouped, ones, zeros, epsilon=float(eps))
    y = e.reshape(y.typed(grouped.type), shape)
    for op_type, parameter in ("Mul", weight), ("Add", bias):
        if parameter is not None:
            y = e.node(op_type, y, unsqueezed(e, parameter, *range(1, x.type.rank - 1)))
    return y


@operation
def instance_norm(
    x: TensorType, weight: TensorType | None = None, bias: TensorType | None = None, eps: float = 1e-5
) -> TensorType:
    """Mean 0 and variance 1 over each channel of each sample, then scaled and shifted. ONNX InstanceNormalization.

    `x` is [n, channels, ...]; `weight` and `bias` are [channels].
    """
    _for_each_channel(x, {"weight": weight, "bias": bias})
    if x.rank < 3:
        raise OpError(f"`x` must be [n, channels, ...], but is {x}", argument="x")
    if x.shape[1].constant is None:
        raise OpError(f"the channels of {x} must be known when compiling", argument="x")
    return x


@instance_norm.reference
def _(np: NumPy, x: Array, weight: Array | None = None, bias: Array | None = None, eps: float = 1e-5) -> Array:
    y = _standardised(np, x, range(2, x.ndim), eps)
    y = y if weight is None else y * _along_channels(weight, x)
    return y if bias is None else y + _along_channels(bias, x)


@instance_norm.lowering
def _(e: Emitter, x: Ref, weight: Ref | None = None, bias: Ref | None = None, eps: float = 1e-5) -> Ref:
    channels, dtype = x.type.shape[1].constant or 0, x.type.dtype
    scale = weight or e.constant([1] * channels, dtype)
    shift = bias or e.constant([0] * channels, dtype)
    return float_node(e, "InstanceNormalization", x, scale, shift, epsilon=float(eps))


@operation
def batch_norm(
    x: TensorType,
    weight: TensorType,
    bias: TensorType,
    running_mean: TensorType,
    running_var: TensorType,
    eps: float = 1e-5,
    momentum: float = 0.1,
) -> TensorType:
    """Each channel by its running mean and variance, then scaled and shifted. ONNX BatchNormalization.

    `x` is [n, channels, ...], all others are [channels]. `momentum` is the weight of new statistics when training.
    """
    statistics = {"running_mean": running_mean, "running_var": running_var}
    _for_each_channel(x, {"weight": weight, "bias": bias, **statistics})
    return x


@batch_norm.reference
def _(
    np: NumPy,
    x: Array,
    weight: Array,
    bias: Array,
    running_mean: Array,
    running_var: Array,
    eps: float = 1e-5,
    momentum: float = 0.1,
) -> Array:
    scale, shift, mean, var = (_along_channels(w, x) for w in (weight, bias, running_mean, running_var))
    return (x - mean) / np.sqrt(var + eps) * scale + shift


@batch_norm.lowering
def _(
    e: Emitter,
    x: Ref,
    weight: Ref,
    bias: Ref,
    running_mean: Ref,
    running_var: Ref,
    eps: float = 1e-5,
    momentum: float = 0.1,
) -> Ref:
    return e.node("BatchNormalization", x, weight, bias, running_mean, running_var, epsilon=float(eps))
