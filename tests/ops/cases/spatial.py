"""Convolution, pooling, resizing."""

# ruff: noqa: E501  (a table has one row in a line)

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tests.ops.case import Case, Given, below, case, numbers
from wsdl.ir.dims import product
from wsdl.ir.types import TensorType
from wsdl.ops._windows import Window

WINDOWS: list[dict[str, Any]] = [
    {}, {"stride": 2}, {"pad": 1}, {"dilation": 2}, {"stride": 2, "pad": 1, "dilation": 2}, {"stride": 3, "pad": 2},
]  # fmt: skip


UNEVEN: list[dict[str, Any]] = [  # for two axes
    {"pad": [[0, 1], [2, 0]]}, {"pad": [1, [0, 2]], "stride": 2}, {"pad": [[1, 2], [3, 1]], "stride": 3, "dilation": 2},
    {"pad": "same"}, {"pad": "same", "stride": 2}, {"pad": "same", "stride": [3, 5], "dilation": [2, 1]},
]  # fmt: skip

TIED = numbers(np.array([0, 0, 1, 1, 0, 2, 2, 0, 1, 0, 0, 2] * 6).reshape(1, 2, 6, 6).tolist())
BEYOND = numbers(
    [[[[np.nan, 0.1], [np.inf, 0.0], [-np.inf, 0.3], [1e20, -1e20], [3e7, 0.5], [0.2, np.nan], [0.2, 0.1]]]]
)


def torch_names(attributes: dict[str, Any]) -> dict[str, Any]:
    """PyTorch's names for the attributes of a window."""
    names = {"pad": "padding", "output_pad": "output_padding", "kernel": "kernel_size", "ceil": "ceil_mode"}
    return {names.get(name, name): value for name, value in attributes.items()}


def uneven(op: str, x: str, *weights: str, kernel: list[int], fill: float = 0, **attributes: Any) -> Case:
    """A row for padding that PyTorch doesn't have: there by `pad` before the operation, or a cut behind it."""
    function: Callable[..., Any] = getattr(F, op)
    rest = {name: value for name, value in attributes.items() if name != "pad"}
    by_axis = {"stride": kernel if "pool" in op else 1, "dilation": 1, **rest}
    stride, dilation = (
        v if isinstance(v, list) else [v] * len(kernel) for v in (by_axis["stride"], by_axis["dilation"])
    )
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]

    def pairs(sizes: Sequence[int]) -> list[Sequence[int]]:
        if attributes["pad"] == "same":
            steps = zip(sizes, stride, spans, strict=True)
            total = [max(0, (-(-size // step) - 1) * step + span - size) for size, step, span in steps]
            return [(n // 2, n - n // 2) for n in total]
        return [p if isinstance(p, list) else (p, p) for p in attributes["pad"]]

    def expected(x: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        if "transpose" not in op:
            around = [side for pair in reversed(pairs(x.shape[2:])) for side in pair]
            return function(F.pad(x, around, value=fill), *weights, **torch_names(rest))
        sizes = [size * step for size, step in zip(x.shape[2:], stride, strict=True)]
        is_same = attributes["pad"] == "same"
        more = [max(0, step - span) if is_same else 0 for step, span in zip(stride, spans, strict=True)]
        y = function(x, *weights, **torch_names(rest), output_padding=more)
        cut = [slice(a, size - b) for size, (a, b) in zip(y.shape[2:], pairs(sizes), strict=True)]
        return y[..., *cut]

    if "pool" in op:
        rest["kernel"] = attributes["kernel"] = kernel
    return case(op if "conv" in op else op[:-2], x, *weights, torch=expected, slack=3, **attributes)


def row(op: str, x: str, *weights: str, runs: bool = True, **attributes: Any) -> Case:
    """A row for what PyTorch has under the same name."""
    function: Callable[..., Any] = getattr(F, op)
    return case(
        op, x, *weights, torch=lambda *a: function(*a, **torch_names(attributes)), runs=runs, slack=3, **attributes
    )


def pooled(op: str, x: Given, runs: bool = True, **attributes: Any) -> Case:
    """Pooling, which PyTorch names by the number of axes."""
    function = getattr(F, f"{op}{_spatial_axes(x)}d")
    return case(op, x, torch=lambda a: function(a, **torch_names(attributes)), runs=runs, **attributes)


def _spatial_axes(x: Given) -> int:
    return x.count(",") - 1 if isinstance(x, str) else 2


def pool_indices(x: Given, runs: bool = True, **attributes: Any) -> Case:
    """PyTorch counts within each channel."""
    axes = _spatial_axes(x)
    pool = getattr(F, f"max_pool{axes}d")

    def expected(x: torch.Tensor) -> torch.Tensor:
        channels = torch.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], *[1] * axes)
        return pool(x, **torch_names(attributes), return_indices=True)[1] + channels * prod(x.shape[2:])

    return case("max_pool_indices", x, torch=expected, runs=runs, **attributes)


def unpool(x: str, indices: Given, shape: list[int]) -> Case:
    def expected(x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        return x.new_zeros(prod(shape)).index_add(0, indices.flatten().long(), x.flatten()).reshape(shape)

    return case("max_unpool", x, indices, torch=expected, shape=shape, slack=4)


def weight_gradient(x: str, upstream: str, kernel: list[int], **window: Any) -> Case:
    """The gradient of a weight, where `upstream` has a place for each window."""
    axes = len(kernel)
    sides = [p if isinstance(p, list) else [p, p] for p in window["pad"]] if isinstance(window.get("pad"), list) else []
    sizes = [int(size) for size in x.rstrip("]").split(",")[2:]]
    places = Window.of(kernel, **{k: v for k, v in window.items() if k != "groups"}).places(
        TensorType.of("f32", [1, 1, *sizes])
    )

    def expected(x: torch.Tensor, upstream: torch.Tensor) -> torch.Tensor:
        x = F.pad(x, [side for pair in reversed(sides) for side in pair])
        pad = 0 if sides else window.get("pad", 0)
        per_axis = [window.get("stride", 1), pad, window.get("dilation", 1)]
        lists = [[value] * axes if isinstance(value, int) else value for value in per_axis]
        groups = window.get("groups", 1)
        weight = x.new_zeros([upstream.shape[1], x.shape[1] // groups, *kernel])
        back = torch.ops.aten.convolution_backward
        return back(upstream, x, weight, None, *lists, False, [0] * axes, groups, [False, True, False])[1]

    return case("conv_weight_gradient", x, upstream.format(*places), torch=expected, slack=3, kernel=kernel, **window)


def transposed(x: torch.Tensor, axes: int) -> torch.Tensor:
    """Columns of kernels of 3, 2 apart, added up to sizes of 9: a transposed convolution with the identity matrix."""
    n, elements = x.shape[0], 3**axes
    weight = torch.eye(elements, dtype=x.dtype).reshape(elements, 1, *[3] * axes)
    apart = x.reshape(n * x.shape[1] // elements, elements, *[4] * axes)
    function: Callable[..., torch.Tensor] = getattr(F, f"conv_transpose{axes}d")
    return function(apart, weight, stride=2).reshape(n, -1, *[9] * axes)


def resized(x: str, mode: str, scale: Any = None, size: Any = None, **options: bool) -> Case:
    torch_mode = mode
    if mode in ("linear", "cubic"):
        torch_mode = {1: "", 2: "bi", 3: "tri"}[_spatial_axes(x)] + mode
    given = {"scale": scale} if size is None else {"size": size}
    return case(
        "resize",
        x,
        mode=mode,
        **given,
        **options,
        torch=lambda x: F.interpolate(x, size, scale, mode=torch_mode, **options),
    )


def folded(op: str, x: str, runs: bool = True, **attributes: Any) -> Case:
    """`fold` or `unfold` of two spatial axes, which PyTorch has."""
    function: Callable[..., Any] = getattr(F, op)
    names = {"output_size" if name == "size" else name: value for name, value in torch_names(attributes).items()}
    return case(op, x, torch=lambda x: function(x, **names), runs=runs, **attributes)


def windows(x: str, kernel: int, stride: int = 1, pad: int = 0) -> Case:
    """`unfold` of any number of axes and any dtype: the windows along one axis after the other."""

    def expected(x: torch.Tensor) -> torch.Tensor:
        axes = x.ndim - 2
        columns = F.pad(x, [pad] * 2 * axes)
        for axis in range(2, 2 + axes):
            columns = columns.unfold(axis, kernel, stride)
        order = [0, 1, *range(2 + axes, 2 + 2 * axes), *range(2, 2 + axes)]
        return columns.permute(order).reshape(x.shape[0], x.shape[1] * kernel**axes, -1)

    return case("unfold", x, torch=expected, kernel=kernel, stride=stride, pad=pad)


def columns(window: dict[str, Any]) -> int:
    """The number of places of a kernel of [3, 2] in [9, 8]."""
    return product(Window.of([3, 2], **window).places(TensorType.of("f32", [1, 1, 9, 8]))).evaluate({})


SLIDING: list[tuple[str, dict[str, Any]]] = [
    ("f32[9]", {"size": 4}), ("f32[2, 9, 3]", {"size": 4, "step": 2, "axis": 1}), ("i64[7, 2, 1]", {"size": 7, "axis": 0}),
    ("f32[2, 21, 3]", {"size": 12, "step": 4, "axis": 1}), ("f32[2, 21]", {"size": 4, "step": 8}),
]  # fmt: skip
PLACEMENTS: tuple[dict[str, Any], ...] = ({}, {"stride": 1}, {"stride": 3}, {"pad": 1})
CASES = [
    *(row("conv1d", "f32[2, 3, 9]", "f32[4, 3, 3]", "f32[4]", **w) for w in WINDOWS),
    *(row("conv2d", "f32[2, 3, 9, 8]", "f32[4, 3, 3, 2]", "f32[4]", **w) for w in WINDOWS),
    *(row("conv3d", "f32[1, 2, 7, 6, 8]", "f32[3, 2, 3, 2, 3]", **w) for w in WINDOWS),
    *(uneven("conv2d", "f32[2, 3, 9, 8]", "f32[4, 3, 3, 2]", "f32[4]", kernel=[3, 2], **w) for w in UNEVEN),
    *(uneven("conv2d", f"{d}[1, 3, 6, 7]", f"{d}[2, 3, 3, 2]", kernel=[3, 2], pad="same", stride=2) for d in ("f16", "bf16")),
    uneven("conv1d", "f32[2, 3, 9]", "f32[4, 3, 3]", kernel=[3], pad=[[2, 0]]),
    uneven("conv3d", "f32[1, 2, 5, 4, 6]", "f32[3, 2, 3, 2, 2]", kernel=[3, 2, 2], pad=[[1, 0], 0, [0, 2]]),
    *(uneven("conv_transpose2d", "f32[2, 3, 5, 4]", "f32[3, 4, 3, 2]", "f32[4]", kernel=[3, 2], **w) for w in UNEVEN),
    uneven("conv_transpose1d", "f32[2, 3, 5]", "f32[3, 4, 4]", kernel=[4], pad="same", stride=3),
    *(uneven(op, "f32[2, 3, 9, 8]", kernel=[3, 2], fill=fill, **w) for w in ({"pad": [1, [0, 1]]}, {"pad": "same"}, {"pad": "same", "stride": 2})
      for op, fill in (("max_pool2d", -np.inf), ("avg_pool2d", 0))),
    uneven("max_pool2d", "f32[2, 3, 9, 8]", kernel=[3, 2], fill=-np.inf, pad="same", dilation=3),
    case("avg_pool", "f32[2, 3, 6]", kernel=2, stride=1, pad="same", count_include_pad=False,
         torch=lambda x: torch.cat([F.avg_pool1d(x, 2, 1), x[..., -1:]], -1)),
    row("conv1d", "f32[2, 4, 9]", "f32[4, 1, 3]", groups=4, pad=1),
    row("conv2d", "f32[2, 4, 5, 5]", "f32[6, 2, 3, 3]", "f32[6]", groups=2, stride=[2, 1], pad=[0, 2], dilation=[1, 2]),
    row("conv2d", "f32[2, 4, 5, 5]", "f32[8, 1, 3, 3]", groups=4),
    row("conv2d", "f32[2, 3, 1, 1]", "f32[4, 3, 1, 1]"),
    row("conv2d", "f32[0, 3, 5, 5]", "f32[4, 3, 3, 3]", "f32[4]"),
    *(row("conv2d", f"{d}[2, 3, 5, 5]", f"{d}[4, 3, 3, 3]", f"{d}[4]", runs=d != "f64") for d in ("f16", "bf16", "f64")),
    *(row("conv_transpose1d", "f32[2, 3, 5]", "f32[3, 4, 3]", "f32[4]", **w) for w in WINDOWS),
    *(row("conv_transpose2d", "f32[2, 3, 5, 4]", "f32[3, 4, 3, 2]", "f32[4]", **w) for w in WINDOWS[:5]),
    *(row("conv_transpose3d", "f32[1, 2, 4, 3, 4]", "f32[2, 3, 3, 2, 3]", **w) for w in WINDOWS[:5]),
    row("conv_transpose1d", "f32[2, 3, 5]", "f32[3, 4, 3]", stride=2, pad=1, output_pad=1),
    row("conv_transpose2d", "f32[2, 4, 4, 5]", "f32[4, 3, 3, 3]", "f32[6]", groups=2, stride=[2, 3], output_pad=[1, 2], pad=1),
    row("conv_transpose2d", "f32[2, 4, 4, 5]", "f32[4, 1, 3, 3]", groups=4, dilation=2, stride=2),
    row("conv_transpose2d", "f32[0, 3, 5, 5]", "f32[3, 4, 2, 2]", stride=2),
    *(row("conv_transpose2d", f"{d}[2, 3, 5, 5]", f"{d}[3, 4, 3, 3]", runs=d != "f64") for d in ("f16", "bf16", "f64")),
    *(weight_gradient("f32[2, 3, 9]", "f32[2, 4, {}]", [3], **w) for w in WINDOWS),
    *(weight_gradient("f32[2, 3, 9, 8]", "f32[2, 4, {}, {}]", [3, 2], **w) for w in WINDOWS),
    *(weight_gradient("f32[2, 17, 9]", "f32[2, 4, {}]", [3], **w) for w in WINDOWS),
    *(weight_gradient("f32[2, 17, 9, 8]", "f32[2, 4, {}, {}]", [3, 2], **w) for w in WINDOWS),
    *(weight_gradient("f32[2, 17, 19, 21]", "f32[2, 4, {}, {}]", [3, 2], **w) for w in WINDOWS),
    *(weight_gradient("f32[1, 2, 7, 6, 8]", "f32[1, 3, {}, {}, {}]", [3, 2, 3], **w) for w in WINDOWS),
    weight_gradient("f32[1, 16, 4, 3, 5]", "f32[1, 3, {}, {}, {}]", [3, 1, 2]),
    weight_gradient("f32[2, 4, 5, 5]", "f32[2, 6, {}, {}]", [3, 3], groups=2, stride=[2, 1], pad=[0, 2], dilation=[1, 2]),
    weight_gradient("f32[2, 34, 5, 5]", "f32[2, 6, {}, {}]", [3, 3], groups=2, pad=1),
    weight_gradient("f32[2, 4, 5, 5]", "f32[2, 8, {}, {}]", [3, 3], groups=4, pad=1),
    weight_gradient("f32[2, 4, 5, 5]", "f32[2, 4, {}, {}]", [3, 2], groups=4, stride=2, pad=1),
    *(weight_gradient(f"f32[2, {c}, 9, 8]", f"f32[2, {o}, {{}}, {{}}]", [3, 2], groups=g, **w)
      for w in UNEVEN[:3] for c, o, g in ((3, 4, 1), (17, 4, 1), (34, 6, 2), (4, 4, 4))),
    weight_gradient("f32[2, 17, 19, 21]", "f32[2, 4, {}, {}]", [3, 2], pad=[[0, 1], [2, 0]]),
    weight_gradient("f32[2, 20, 3, 4]", "f32[2, 7, {}, {}]", [1, 1]),
    weight_gradient("f32[5, 17, 3, 4]", "f32[5, 7, {}, {}]", [3, 4]),
    weight_gradient("f32[5, 3, 6]", "f32[5, 7, {}]", [6], stride=2),
    weight_gradient("f32[0, 3, 5, 5]", "f32[0, 4, {}, {}]", [3, 3]),
    *(
        pooled(op, x, kernel=2, ceil=ceil, **attributes)
        for op in ("max_pool", "avg_pool")
        for x in ("f32[2, 3, 9]", "f32[2, 3, 7, 9]", "f32[2, 3, 5, 7, 5]")
        for attributes in PLACEMENTS
        for ceil in (False, True)
    ),
    pooled("max_pool", "f32[2, 3, 9, 8]", kernel=[3, 2], stride=[2, 1], pad=[1, 0], dilation=[2, 3]),
    pooled("max_pool", "f32[1, 1, 6, 6]", kernel=3, stride=3, pad=1, ceil=True),
    pooled("max_pool", "f32[0, 3, 4, 4]", kernel=2),
    *(pooled("max_pool", f"{d}[1, 2, 4, 4]", kernel=2) for d in ("f16", "bf16", "f64")),
    *(
        pooled("avg_pool", "f32[2, 3, 7, 8]", kernel=3, stride=2, pad=1, ceil=ceil, count_include_pad=count)
        for ceil in (False, True)
        for count in (False, True)
    ),
    pooled("avg_pool", "f32[2, 3, 6, 8]", kernel=[3, 2], stride=[2, 4], ceil=True),
    pooled("avg_pool", "f32[0, 3, 4, 4]", kernel=2),
    *(pooled("avg_pool", f"{d}[1, 2, 4, 4]", kernel=2, runs=d != "f64") for d in ("f16", "bf16", "f64")),
    *(pool_indices(x, kernel=2, ceil=ceil, **attributes)
      for x in ("f32[2, 3, 9]", "f32[2, 3, 7, 9]", "f32[2, 3, 5, 7, 5]")
      for attributes in PLACEMENTS
      for ceil in (False, True)),
    pool_indices("f32[2, 3, 9, 8]", kernel=[3, 2], stride=[2, 1], pad=[1, 0], dilation=[2, 3]),
    pool_indices("f32[0, 3, 4, 4]", kernel=2),
    *(pool_indices(f"{d}[1, 2, 4, 4]", kernel=2) for d in ("f16", "bf16", "f64")),
    *(pool_indices(TIED, kernel=k, stride=1) for k in (2, 3)),
    *(pooled("max_pool", TIED, kernel=k, stride=s) for k in (2, 3) for s in (1, 2, 3)),
    *(unpool(f"{d}[2, 3, 4]", below(7, "i64[2, 3, 4]"), [2, 3, 8]) for d in ("f32", "f16", "bf16", "f64")),
    unpool("f32[0, 3]", "i64[0, 3]", [0, 4]),
    *(
        case("global_avg_pool", f"f32[2, 3{rest}]", keepdims=keep, torch=lambda x, k=keep: x.mean(tuple(range(2, x.ndim)), k))
        for rest in (", 5", ", 5, 4", ", 2, 3, 4")
        for keep in (False, True)
    ),
    *(case(f"adaptive_{how}_pool", x, size=size, torch=lambda x, h=how, s=size: getattr(F, f"adaptive_{h}_pool{x.ndim - 2}d")(x, s))
      for how in ("avg", "max")
      for x, size in (("f32[2, 3, 6, 8]", 2), ("f32[2, 3, 6, 8]", [3, 1]), ("f32[2, 3, 6, 8]", 1), ("f32[2, 3, 6]", 3), ("f32[2, 3, 7, 5]", [3, 2]),
                      ("f32[2, 3, 7, 5]", [9, 5]), ("f32[2, 3, 11]", 4), ("f32[1, 2, 3, 4, 5]", [2, 3, 4]), ("f32[0, 3, 7, 5]", 3), ("f16[2, 3, 7, 5]", 3), ("f64[2, 3, 7, 5]", 3))),
    case("resize_matrix", old=7, new=3, mode="area", torch=lambda: F.adaptive_avg_pool1d(torch.eye(7), 3)),
    case("adaptive_max_pool", TIED, size=4, torch=lambda x: F.adaptive_max_pool2d(x, 4)),
    *(folded("unfold", "f32[2, 3, 9, 8]", kernel=[3, 2], **w) for w in WINDOWS),
    *(windows(x, 3, **w) for x in ("f32[2, 3, 9]", "f32[1, 2, 5, 4, 6]") for w in ({}, {"stride": 2, "pad": 1})),
    windows("f32[1, 2, 90]", 35, stride=4),  # more elements than are cut out one by one
    folded("unfold", "f32[1, 2, 36, 5]", kernel=[34, 2], stride=[1, 2], pad=1),
    folded("unfold", "f32[0, 2, 5, 5]", kernel=3),
    case("unfold", "f32[2, 3, 5, 4]", kernel=2, pad=[[0, 1], [2, 0]], torch=lambda x: F.unfold(F.pad(x, (2, 0, 0, 1)), 2)),
    case("fold", "f32[2, 12, 25]", size=[5, 4], kernel=2, pad=[[0, 1], [2, 0]], torch=lambda x: F.fold(x, (6, 6), 2)[:, :, :5, 2:]),
    *(folded("unfold", f"{d}[1, 2, 4, 4]", kernel=2) for d in ("f16", "bf16", "f64")),
    *(windows(f"{d}[1, 2, 4, 4]", 2, pad=1) for d in ("i64", "i16", "u8")),
    *(folded("fold", f"f32[2, 12, {columns(w)}]", kernel=[3, 2], size=[9, 8], **w) for w in WINDOWS),
    folded("fold", "f32[0, 8, 9]", kernel=2, size=[4, 4]),
    *(folded("fold", f"{d}[1, 8, 9]", kernel=2, size=[4, 4], runs=d != "f64") for d in ("f16", "bf16", "f64")),
    *(case("fold", x, size=[9] * axes, kernel=3, stride=2, torch=lambda x, a=axes: transposed(x, a)) for x, axes in (("f32[2, 6, 4]", 1), ("f32[2, 54, 64]", 3))),
    *(case("windows", x, torch=lambda x, w=w: x.unfold(w.get("axis", -1), w["size"], w.get("step", 1)), **w) for x, w in SLIDING),
    *(resized(x, mode, **how)
      for mode, x in (("nearest", "f32[2, 3, 5]"), ("nearest", "f32[2, 3, 5, 4]"), ("nearest", "f32[1, 2, 3, 4, 5]"), ("linear", "f32[2, 3, 5]"),
                      ("linear", "f32[2, 3, 5, 4]"), ("linear", "f32[1, 2, 3, 4, 5]"), ("nearest-exact", "f32[2, 3, 5, 4]"), ("cubic", "f32[2, 3, 5, 4]"), ("area", "f32[2, 3, 5, 4]"))
      for how in ({"scale": 2}, {"scale": 0.5}, {"scale": 1.5}, {"size": 7}, {"size": 1}, {"size": 3})),
    *(resized("f32[2, 3, 7, 5]", mode, **{option: True}, **how)
      for mode in ("linear", "cubic")
      for option in ("align_corners", "antialias")
      for how in ({"scale": 2.0}, {"scale": [0.6, 0.4]}, {"size": [11, 3]}, {"size": 1}, {"size": [7, 9]})),
    resized("f32[2, 3, 9]", "nearest-exact", size=4),
    resized("f32[1, 2, 6, 4, 5]", "area", size=[3, 2, 7]),
    resized("f32[0, 2, 6, 4]", "area", size=[4, 3]),
    resized("f32[1, 2, 6, 4]", "area", size=[3, 2]),
    resized("f64[1, 2, 7, 4]", "cubic", size=[3, 9], antialias=True),
    case("resize", "f32[2, 3, 9]", size=[7], mode="cubic", torch=lambda x: F.interpolate(x[:, :, None], (1, 7), mode="bicubic")[:, :, 0]),
    *(case("resize", "f32[1, 2, 3, 1]", scale=s, mode="linear", torch=lambda x, s=s: F.interpolate(x, scale_factor=s, mode="bilinear"))
      for s in ((2.0, 3.0), (3.0, 1.0), (4.0, 2.0))),
    case("resize", "f32[1, 2, 4, 6]", scale=[3, 0.5], torch=lambda x: F.interpolate(x, scale_factor=(3, 0.5))),
    case("resize", "f32[1, 2, 4, 6]", size=[2, 9], mode="linear", torch=lambda x: F.interpolate(x, (2, 9), mode="bilinear")),
    *(case("resize", f"{d}[1, 2, 4]", scale=2, torch=lambda x: F.interpolate(x, scale_factor=2), runs=d != "f64") for d in ("f16", "bf16", "f64")),
    *(case("pixel_shuffle", f"{d}[2, 8, 3, 4]", factor=2, torch=lambda x: F.pixel_shuffle(x, 2)) for d in ("f32", "f16", "bf16", "f64")),
    *(
        case("grid_sample", x, grid, mode=mode, padding=padding, align_corners=align,
             torch=lambda x, grid, m=mode, p=padding, a=align: F.grid_sample(x, grid, "bilinear" if m == "linear" else m, p, a))
        for x, grid in (("f32[2, 3, 4, 5]", "f32[2, 6, 7, 2]"), ("f32[1, 1, 1, 1]", "f32[1, 2, 2, 2]"))
        for mode in ("linear", "nearest")
        for padding in ("zeros", "border", "reflection")
        for align in (False, True)
    ),
    case("grid_sample", "f64[1, 2, 3, 4]", "f64[1, 2, 2, 2]", torch=lambda x, grid: F.grid_sample(x, grid, align_corners=False)),
    case("grid_sample", "f32[0, 2, 3, 4]", "f32[0, 2, 2, 2]", torch=lambda x, grid: x[:, :, :2, :2] + grid[..., 0].unsqueeze(1)),
    case("grid_sample", "f32[1, 2, 3, 4]", numbers([[[[-1.0, -1.0], [1.0, 1.0], [0.0, 0.25], [-3.5, 7.0]]]]),
         torch=lambda x, grid: F.grid_sample(x, grid, align_corners=False)),
    *(
        case("grid_sample", "f32[1, 2, 3, 4]", BEYOND, mode=mode, padding=padding,
             torch=lambda x, grid, m=mode, p=padding: F.grid_sample(x, grid.nan_to_num(1e4).clamp(-1e4, 1e4), "bilinear" if m == "linear" else m, p, False))
        for mode in ("linear", "nearest")
        for padding in ("zeros", "border")
    ),
    case("pixel_shuffle", "f32[0, 9, 3, 4]", factor=3, torch=lambda x: x.reshape(0, 1, 9, 12)),
]  # fmt: skip
