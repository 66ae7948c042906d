"""What the tables of the families leave out: nothing in a batch, a single element, axes counted from the end."""

# ruff: noqa: E501  (a table has one row in a line)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tests.ops.case import Case, case, numbers, positive

UNARY: dict[str, Callable[..., Any]] = {
    "neg": torch.neg, "abs": torch.abs, "sign": torch.sign, "floor": torch.floor, "round": torch.round, "exp": torch.exp,
    "sin": torch.sin, "cos": torch.cos, "erf": torch.erf, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": F.relu,
    "silu": F.silu, "softplus": F.softplus, "mish": F.mish, "hardswish": F.hardswish, "leaky_relu": F.leaky_relu,
    "elu": F.elu, "selu": F.selu, "gelu": F.gelu, "stop_gradient": torch.Tensor.detach,
}  # fmt: skip
OF_POSITIVE: dict[str, Callable[..., Any]] = {"log": torch.log, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt}
PAIRS: dict[str, Callable[..., Any]] = {
    "mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss, "bce_with_logits": F.binary_cross_entropy_with_logits,
}  # fmt: skip


def sized(op: str, function: Callable[..., Any], *shapes: str, **attributes: Any) -> list[Case]:
    """The operation on one operand of each of these shapes."""
    return [case(op, f"f32[{shape}]", torch=function, **attributes) for shape in shapes]


def window(op: str, x: str, weight: str, **attributes: Any) -> Case:
    names = {"pad": "padding"}
    given = {names.get(name, name): value for name, value in attributes.items()}
    function = getattr(F, op)
    return case(op, x, weight, torch=lambda x, w: function(x, w, **given), slack=3, **attributes)


def grouped(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Heads that share keys and values, as PyTorch has them."""
    keys, values = (x.expand(*q.shape[:-2], *x.shape[-2:]) for x in (k, v))
    return F.scaled_dot_product_attention(q, keys, values)


CASES = [
    *(row for op, function in UNARY.items() for row in sized(op, function, "1", "1, 1")),
    *(case(op, positive("f32[1, 1]"), torch=function) for op, function in OF_POSITIVE.items()),
    *(case(op, positive("f32[0, 2]"), torch=function) for op, function in OF_POSITIVE.items()),
    case("pow", positive("f32[0, 3]"), "f32[3]", torch=torch.pow),
    case("pow", positive("f32[1]"), "f32[1, 1]", torch=torch.pow),
    *(case("logical_and", f"bool[{a}]", f"bool[{b}]", torch=torch.logical_and) for a, b in (("0, 3", "1"), ("4, 1, 3", "2, 1"), ("", "2"))),
    *(case("logical_or", f"bool[{a}]", f"bool[{b}]", torch=torch.logical_or) for a, b in (("0, 3", "1"), ("4, 1, 3", "2, 1"), ("", "2"))),
    *(case("logical_not", f"bool[{shape}]", torch=torch.logical_not) for shape in ("0, 3", "1", "")),
    *sized("clip", lambda x: x.clamp(min=0.1), "1", min=0.1),
    *sized("clip", lambda x: x.clamp(max=0.1), "1, 1", max=0.1),
    *(case("cast", f"f32[{shape}]", dtype="i64", torch=lambda x: x.long()) for shape in ("0, 2", "1", "")),
    # along axes
    *sized("cumsum", lambda x: x.cumsum(0), "3, 4", "1, 4", "0, 4", axis=-2),
    *sized("softmax", lambda x: x.softmax(0), "3, 4", "1, 4", axis=-2),
    *sized("argmax", lambda x: x.argmax(1), "0, 3", "1, 1", axis=-1),
    *sized("argmin", lambda x: x.argmin(1), "0, 3", "1, 1", axis=-1),
    *sized("l2_normalize", lambda x: F.normalize(x, dim=0), "3, 1", "1, 4", axis=-2),
    case("cosine_similarity", "f32[2, 3, 4]", "f32[3, 4]", axis=-2, torch=lambda a, b: F.cosine_similarity(a, b, dim=-2)),
    case("take_along", "f32[3, 4]", numbers([[2, 0, 1, 1]], "int64"), axis=-2, torch=lambda x, i: x.gather(0, i)),
    *sized("flip", lambda x: x.flip(0), "3, 2", "1, 1", axis=-2),
    *sized("roll", lambda x: x.roll(1, 0), "3, 2", "1, 1", shift=1, axis=-2),
    *sized("squeeze", lambda x: x.squeeze(-2), "0, 1, 3", axis=-2),
    *sized("flatten", lambda x: x.flatten(1), "1, 1, 1"),
    *sized("transpose", torch.t, "1, 1", "3, 0"),
    *sized("split", lambda x: x.split(1, -2), "2, 1", "2, 0", parts=2, axis=-2),
    case("concat", ["f32[0, 3]", "f32[2, 3]", "f32[0, 3]"], axis=-2, torch=torch.cat),
    case("concat", ["f32[0, 1]", "f32[0, 2]"], axis=1, torch=lambda xs: torch.cat(xs, 1)),
    case("stack", ["f32[0, 3]", "f32[0, 3]"], axis=-2, torch=lambda xs: torch.stack(xs, -2)),
    case("stack", ["f32[1]"], torch=torch.stack),
    case("gather", "f32[1, 3]", numbers([0, 0, -1], "int64"), axis=-2, torch=lambda x, i: x[i % 1]),
    case("scatter_add", "f32[1, 3]", numbers([0, 0, 0, 0], "int64"), "f32[4, 3]", torch=lambda x, i, u: x.index_add(0, i, u)),
    case("scatter_add_along", "f32[2, 1]", numbers([[0, 0, 0], [0, 0, 0]], "int64"), "f32[2, 3]", axis=-1, torch=lambda x, i, u: x.scatter_add(1, i, u)),
    case("one_hot", "i64[0]", depth=3, axis=-2, torch=lambda x: torch.zeros(3, 0)),
    case("one_hot", numbers([[2, 0]], "int64"), depth=3, axis=-2, torch=lambda x: F.one_hot(x, 3).permute(0, 2, 1).float()),
    *sized("tril", torch.tril, "1, 1", "0, 3", "2, 3, 1"),
    *sized("triu", torch.triu, "1, 1", "0, 3", "2, 3, 1"),
    case("full", shape=[0, 2], value=3.0, torch=lambda: torch.full((0, 2), 3.0)),
    case("arange", start=4, stop=4, torch=lambda: torch.arange(4, 4)),
    # windows
    window("conv1d", "f32[0, 3, 5]", "f32[4, 3, 3]", stride=2, pad=1),
    window("conv1d", "f32[2, 3, 1]", "f32[4, 3, 3]", pad=1),
    window("conv1d", "f32[1, 4, 1]", "f32[4, 1, 1]", groups=4),
    window("conv3d", "f32[0, 2, 3, 3, 3]", "f32[3, 2, 2, 2, 2]"),
    window("conv3d", "f32[1, 4, 3, 2, 3]", "f32[6, 2, 2, 1, 2]", groups=2, pad=[1, 0, 1]),
    window("conv_transpose1d", "f32[0, 3, 5]", "f32[3, 4, 3]", stride=2),
    window("conv_transpose1d", "f32[2, 3, 1]", "f32[3, 4, 3]", stride=2, pad=1),
    window("conv_transpose3d", "f32[0, 2, 2, 2, 2]", "f32[2, 3, 2, 2, 2]", stride=2),
    window("conv_transpose3d", "f32[1, 4, 2, 1, 2]", "f32[4, 3, 2, 2, 2]", groups=2, dilation=2),
    *sized("max_pool", lambda x: F.max_pool1d(x, 1), "2, 3, 1", "0, 3, 4", kernel=1),
    *sized("avg_pool", lambda x: F.avg_pool1d(x, 1), "2, 3, 1", "0, 3, 4", kernel=1),
    *sized("global_avg_pool", lambda x: x.mean((2, 3)), "0, 3, 4, 5", "2, 3, 1, 1"),
    *sized("adaptive_avg_pool", lambda x: F.adaptive_avg_pool2d(x, 1), "0, 3, 4, 5", "2, 3, 1, 1", size=1),
    *sized("resize", lambda x: F.interpolate(x, scale_factor=2), "0, 3, 4, 5", "2, 3, 1, 1", scale=2),
    *sized("resize", lambda x: F.interpolate(x, (3, 2), mode="bilinear"), "0, 3, 4, 5", "2, 3, 1, 1", size=[3, 2], mode="linear"),
    *sized("pixel_shuffle", lambda x: F.pixel_shuffle(x, 2), "2, 4, 1, 1", factor=2),
    *sized("pixel_shuffle", lambda x: F.pixel_shuffle(x, 1), "2, 3, 2, 2", factor=1),
    # norms and attention
    case("layer_norm", "f32[2, 1]", "f32[1]", "f32[1]", torch=lambda x, w, b: F.layer_norm(x, [1], w, b)),
    case("rms_norm", "f32[2, 1]", "f32[1]", torch=lambda x, w: F.rms_norm(x, [1], w, 1e-6)),
    case("group_norm", "f32[1, 2, 3]", groups=1, torch=lambda x: F.group_norm(x, 1)),
    case("instance_norm", "f32[0, 3, 5]", torch=lambda x: x),
    case("attention", "f32[2, 3, 4, 5, 6]", "f32[2, 3, 1, 7, 6]", "f32[2, 3, 1, 7, 2]", torch=grouped),
    case("attention", "f32[2, 1, 4]", "f32[2, 1, 4]", "f32[2, 1, 3]", causal=True, torch=lambda q, k, v: v),
    case("attention", "f32[0, 3, 4]", "f32[0, 5, 4]", "f32[0, 5, 2]", torch=F.scaled_dot_product_attention),
    case("attention", "f32[2, 0, 4]", "f32[2, 5, 4]", "f32[2, 5, 2]", torch=F.scaled_dot_product_attention),
    case("attention_weights", "f32[0, 3, 4]", "f32[0, 5, 4]", torch=lambda q, k: (q @ k.mT * 0.5).softmax(-1)),
    case("attention_weights", "f32[2, 3, 4]", "f32[2, 1, 4]", torch=lambda q, k: (q @ k.mT * 0.5).softmax(-1)),
    # losses of one element (of none PyTorch has NaN, and ONNX leaves a mean of nothing open)
    *(case(op, f"f32[{shape}]", positive(f"f32[{shape}]"), torch=function) for op, function in PAIRS.items() for shape in ("1", "1, 1")),
    *(case("cross_entropy", f"f32[{n}, 4]", numbers(np.zeros(n), "int64"), torch=F.cross_entropy) for n in (1, 3)),
    *(case("nll", f"f32[{n}, 4]", numbers(np.zeros(n), "int64"), torch=F.nll_loss) for n in (1, 3)),
    case("kl_div", "f32[1, 3]", positive("f32[1, 3]"), torch=lambda a, b: F.kl_div(a, b, reduction="batchmean")),
    case("triplet", "f32[1, 3]", "f32[1, 3]", "f32[1, 3]", torch=F.triplet_margin_loss),
    case("dropout", "f32[0, 3]", p=0.5, torch=lambda x: x),
    case("gemm", "f32[1, 1]", "f32[1, 1]", torch=torch.matmul),
]  # fmt: skip
