"""What a shape rule says about a use that doesn't fit: the message, and the help where it matters."""

# ruff: noqa: E501  (a table has one row in a line)

from __future__ import annotations

from typing import Any

import pytest

from tests.ops.build import dim
from tests.ops.symbolic import Row, row
from tests.together import together
from wsdl.ops import OPERATIONS, OpError


def error(op: str, *given: Any, message: str, help: str = "", **attributes: Any) -> tuple[Row, str, str]:
    return row(op, *given, gives="", **attributes), message, help


IMAGE = "f32[n, 3, 28, 28]"
ERRORS = [
    # losses
    error("cross_entropy", "f32[n, 5]", "f32[n]", message="`labels` must hold integers, but is f32[n]", help="`cast(labels, i64)` converts it"),
    error("cross_entropy", "f32[n, 5]", "i64[n, 5]", message="for `logits` f32[n, 5], `labels` must be [n], but is i64[n, 5]", help="`argmax` turns one-hot rows into labels"),
    error("cross_entropy", "f32[n, 5]", "i64[n]", "f32[4]", message="`weight` needs one element for each class: 5 and 4"),
    error("cross_entropy", "f32[n, 5]", "i64[n]", label_smoothing=2.0, message="`label_smoothing` must be from 0 to 1"),
    error("mse", "f32[n]", "f32[n, 1]", message="`prediction` and `target` must have the same shape, but are f32[n] and f32[n, 1]", help="`squeeze` removes the axis of size 1 from f32[n, 1]"),
    error("mse", "f32[n, 3]", "f32[n, 4]", message="along axis 1, the sizes of `prediction` and `target` must be equal: 3 and 4"),
    error("huber", "f32[n]", "f32[n]", delta=0.0, message="`delta` must be more than 0"),
    error("bce_with_logits", "f32[n, 3]", "f32[n, 3]", "f32[2]", message="`pos_weight` f32[2] must broadcast to f32[n, 3]: 3 and 2"),
    error("contrastive", "f32[n]", "i64[n, 1]", message="`distance` and `same` must have the same shape, but are f32[n] and i64[n, 1]", help="`squeeze` removes the axis of size 1 from i64[n, 1]"),
    error("cosine_embedding", "f32[n, 4]", "f32[n, 4]", "i64[n, 4]", message="the rows of `a` and `same` must have the same shape, but are f32[n] and i64[n, 4]"),
    error("info_nce", "f32[n, t, 4]", "f32[n, t, 4]", message="`a` must be [n, d], but is f32[n, t, 4]", help="`flatten` makes it a matrix"),
    # dtypes
    error("add", "f32[n]", "i64[n]", message="the operands have two dtypes: f32 and i64", help="`cast(b, f32)`"),
    error("add", "i64[n]", "f32[n]", message="the operands have two dtypes: i64 and f32", help="`cast` the i64 operand to f32"),
    error("add", "bool[n]", "bool[n]", message="`a` must hold numbers, but is bool[n]", help="`cast(a, f32)`"),
    error("div", "i64[n]", "i64[n]", message="`/` doesn't divide integers, but `a` is i64[n]", help="`//`"),
    error("neg", "u8[n]", message="`x` must hold signed numbers, but is u8[n]", help="`cast(x, i32)`"),
    error("exp", "i64[n]", message="`x` must hold floating-point numbers, but is i64[n]", help="`cast(x, f32)`"),
    error("logical_not", "f32[n]", message="`x` must hold truth values, but is f32[n]", help="`x != 0`"),
    error("where", "f32[n]", "f32[n]", "f32[n]", message="`condition` must hold truth values, but is f32[n]"),
    error("where", "bool[n]", "f32[n]", "i64[n]", message="the operands have two dtypes: f32 and i64"),
    error("mean", "i64[n]", message="`x` must hold floating-point numbers, but is i64[n]"),
    error("matmul", "u8[2, 2]", "u8[2, 2]", message="`@` doesn't multiply u8", help="`cast(a, i32)`"),
    error("gather", "f32[9, 4]", "f32[n]", message="`indices` must hold integers, but is f32[n]", help="`cast(indices, i64)`"),
    error("clip", "i64[n]", min=0.5, message="`min` must be an integer, because `x` is i64[n]"),
    # sizes
    error("add", "f32[n, 4]", "f32[n, 5]", message="the sizes along axis -1 of [n, 4] and [n, 5] must be equal: 4 and 5"),
    error("add", "f32[n, 4]", "f32[n + 1, 4]", message="the sizes along axis -2 of [n, 4] and [n + 1, 4] must be equal"),
    error("matmul", "f32[n, 4]", "f32[5, 6]",
          message="the last axis of f32[n, 4] and the second-last axis of f32[5, 6] must be equal: 4 and 5"),
    error("matmul", "f32[n, 784]", "f32[64, 784]", message="must be equal: 784 and 64", help="transposed: use `.T`"),
    error("matmul", "f32[]", "f32[2]", message="`@` needs axes, but `a` is a scalar", help="`*`"),
    error("reshape", "f32[n, 6]", shape=[dim("n"), 4],
          message="f32[n, 6] and the shape [n, 4] must have the same number of elements: 6 * n and 4 * n"),
    error("reshape", "f32[2, 6]", shape=[5, -1],
          message="f32[2, 6] and the shape [5, -1] must have the same number of elements: 5 doesn't divide 12"),
    error("reshape", "f32[n, 6]", shape=[-1, -1], message="only one size of a shape may be -1"),
    error("reshape", "f32[n, 6]", shape=[-2, 6], message="a size can't be -2"),
    error("squeeze", "f32[n, 3]", axis=1, message="only an axis of size 1 can be squeezed, but this is axis 1 of f32[n, 3]"),
    error("expand", "f32[n, 3]", shape=[dim("n"), 6], message="axis 1 of f32[n, 3] is not of size 1, so it stays: 3 and 6"),
    error("expand", "f32[n, 3]", shape=[3], message="[3] has fewer axes than f32[n, 3]"),
    error("concat", ["f32[n, 3]", "f32[n, 4]"], axis=0,
          message="the sizes along axis 1 of f32[n, 3] and f32[n, 4] must be equal: 3 and 4"),
    error("concat", ["f32[n, 3]", "f32[3]"], axis=0, message="f32[n, 3] and f32[3] have different numbers of axes"),
    error("stack", ["f32[n, 3]", "f32[n, 4]"], message="f32[n, 3] and f32[n, 4] must have the same shape: 3 and 4"),
    error("split", "f32[n, 7]", parts=3, axis=1, message="axis 1 of f32[n, 7] must split into the parts asked for: 3 doesn't divide 7"),
    error("split", "f32[n, 7]", parts=[3, 3], axis=1, message="axis 1 of f32[n, 7] must split into the parts asked for: 7 and 6"),
    error("slice", "f32[n, 3]", starts=[0], stops=[5], axes=[1], message="the slice goes to 5, but axis 1 of f32[n, 3] has 3 elements"),
    error("slice", "f32[n, 3]", starts=[-4], stops=[3], axes=[1], message="the slice goes to -4"),
    error("take_along", "f32[n, 9]", "i64[n]", axis=1, message="i64[n] must have as many axes as f32[n, 9]", help="`unsqueeze`"),
    error("max", "f32[n, 0]", axis=1, message="the reduced axes of f32[n, 0] have no elements to choose from"),
    error("cosine_similarity", "f32[n, 3]", "f32[n, 1]", message="the sizes along axis -1 of f32[n, 3] and f32[n, 1] must be equal"),
    error("topk", "f32[n, 4]", k=5, message="`k` is 5, but axis -1 of f32[n, 4] has 4 elements"),
    error("topk", "f32[n, 4]", k=dim("n + 1"), axis=0, message="`k` is n + 1, but axis 0 of f32[n, 4] has n elements"),
    error("topk", "f32[n, 4]", k=-1, message="`k` can't be -1"),
    error("topk", "bool[n, 4]", k=1, message="`x` must hold numbers, but is bool[n, 4]"),
    error("topk", "f32[]", k=1, message="axis -1 doesn't exist: there are no axes"),
    error("einsum", ["f32[n, 4]", "f32[5, 6]"], equation="ij,jk->ik", message="`j` is 4 in f32[n, 4], but 5 in f32[5, 6]"),
    error("einsum", ["f32[n, 4, 5]"], equation="nii->n", message="`i` is 4 and 5 in f32[n, 4, 5]"),
    error("einsum", ["f32[n, 4]"], equation="i,j", message="the equation has 2 operands, but 1 is given"),
    error("einsum", ["f32[n, 4]"], equation="ijk->i", message="`ijk` names 3 axes, but its operand is f32[n, 4]"),
    error("einsum", ["f32[n, 4]"], equation="i->i", message="`i` names 1 axis, but its operand is f32[n, 4]"),
    error("einsum", ["f32[n, 4]"], equation="i->i->i", message="`-` is not allowed here in an equation"),
    error("einsum", ["f32[n, 4]"], equation="......->", message="`.` is not allowed here in an equation", help="`...` stands for any"),
    error("einsum", ["f32[3, 4]", "f32[2, 4]"], equation="...i,...i", message="what `...` stands for must broadcast, in f32[3, 4] and f32[2, 4]: 3 and 2"),
    error("einsum", ["u8[n, 4]"], equation="ij->i", message="`einsum` doesn't multiply u8", help="cast"),
    # convolution and pooling
    error("conv2d", IMAGE, "f32[8, 16, 3, 3]",
          message="the channels of f32[n, 3, 28, 28] and those that the weight f32[8, 16, 3, 3] reads must be equal: 3 and 16"),
    error("conv2d", "f32[n, 8, 28, 28]", "f32[6, 2, 3, 3]", groups=4, message="4 groups don't divide the 6 channels of f32[6, 2, 3, 3]"),
    error("conv2d", "f32[n, 784]", "f32[8, 3, 3, 3]", message="`x` must be [n, channels, height, width], but is f32[n, 784]"),
    error("conv2d", "f32[n, 3, 2, 2]", "f32[8, 3, 5, 5]", pad=1,
          message="a window of 5 elements doesn't fit into axis 2 of f32[n, 3, 2, 2], which has 2 and 2 of padding"),
    error("conv2d", IMAGE, "f32[8, 3, 3, 3]", "f32[4]", message="`bias` must have one element for each output channel: 8 and 4"),
    error("conv2d", IMAGE, "f32[8, 3, 3, 3]", stride=0, message="`stride` must be at least 1, but is 0"),
    error("conv2d", IMAGE, "f32[8, 3, 3, 3]", stride=[1, 1, 1], message="`stride` has 3 numbers, but needs one for each of 2 axes"),
    error("conv2d", IMAGE, "f32[8, 3, 3, 3]", pad=[0, 1, 0, 1], message="`pad` must have a number or a pair of numbers for each of 2 axes"),
    error("conv1d", "f32[n, 3, 9]", "f32[8, 3, 3]", pad=[[1, 0, 1]], message="`pad` must have a number or a pair of numbers for each of 1 axes"),
    error("conv1d", "f32[n, 3, 9]", "f32[8, 3, 3]", pad=[[-1, 0]], message="`pad` must be at least 0"),
    error("conv2d", IMAGE, "f32[8, 3, 3, 3]", pad="valid", message="`pad` can't be `valid`"),
    error("conv1d", "f32[n, 3, t]", "f32[8, 3, 2]", pad="same", stride=3, message="the size of axis 2 of f32[n, 3, t] must be known"),
    error("conv_transpose1d", "f32[n, 3, 5]", "f32[3, 4, 2]", pad="same", stride=3, output_pad=1, message="`output_pad` is 0 with"),
    error("conv_transpose1d", "f32[n, 3, 2]", "f32[3, 4, 2]", pad=[[1, 2]], message="has no elements left when 1 and 2 are cut off"),
    error("conv2d", IMAGE, "f32[8, 3, n, n]", message="the kernel must be known when compiling"),
    error("conv_transpose1d", "f32[n, 3, 5]", "f32[4, 3, 2]", message="the channels of f32[n, 3, 5]"),
    error("conv_transpose1d", "f32[n, 3, 5]", "f32[3, 4, 2]", output_pad=1, message="`output_pad` must be smaller than the stride"),
    error("conv_transpose1d", "f32[n, 3, 2]", "f32[3, 4, 2]", pad=2, message="axis 2 of f32[n, 3, 2] has no elements left"),
    error("unfold", "f32[n, 3, 5, 5]", kernel=7, message="a window of 7 elements doesn't fit into axis 2 of f32[n, 3, 5, 5]"),
    error("fold", "f32[n, 10, 9]", size=[4, 4], kernel=2, message="axis 1 of f32[n, 10, 9] must hold the 4 elements of the kernel: 4 doesn't divide 10"),
    error("fold", "f32[n, 12, 8]", size=[4, 4], kernel=2, message="f32[n, 12, 8] must have a column for each place of the kernel in [n, 3, 4, 4]: 8 and 9"),
    error("fold", "f32[n, 3, 4, 4]", size=[4, 4], kernel=2, message="`x` must be [n, channels * elements of the kernel, places], but is f32[n, 3, 4, 4]"),
    error("windows", "f32[n, 5]", size=7, message="a window of 7 elements doesn't fit into axis 1 of f32[n, 5]"),
    error("adaptive_avg_pool", "f32[n, 3, 7]", size=0, message="`size` must be at least 1, but is 0"),
    error("resize", IMAGE, scale=2, mode="bilinear", message="`mode` can't be `bilinear`", help="did you mean `linear`?"),
    error("resize", IMAGE, scale=2, align_corners=True, message="`align_corners` is for `linear` and `cubic`, but `mode` is `nearest`"),
    error("resize", IMAGE, size=[3], mode="area", message="`size` has 1 numbers, but needs one for each of 2 axes"),
    error("resize", IMAGE, scale=2, mode="cubic", align_corners=True, antialias=True, message="`antialias` can't be with `align_corners`"),
    error("resize", "f32[n, 3, 4, 4, 4]", scale=2, mode="cubic", message="`cubic` is for one or two spatial axes, but `x` is f32[n, 3, 4, 4, 4]"),
    error("stft", "f32[n, 100]", n_fft=400, message="`reflect` can't add 200 elements, half of `n_fft`, to the 100 of f32[n, 100]", help='`pad_mode="constant"` adds zeros'),
    error("stft", "f32[n, 100]", n_fft=400, center=False, message="a frame of 400 elements doesn't fit into the 100 of f32[n, 100]"),
    error("stft", "f32[n, 400]", n_fft=40, win_length=50, message="`win_length` must be from 1 to 40, as `n_fft` is, but is 50"),
    error("istft", "f32[9, t]", "f32[9, t]", n_fft=15, message="a spectrum of 15 elements has 8 bins, but `re` is f32[9, t]: 9 and 8"),
    error("istft", "f32[9, t]", "f32[9, t]", n_fft=16, hop_length=20, message="the windows leave gaps: there are elements of the result under no `hann` window"),
    error("mel", "f32[n, c, t]", n_mels=4, sample_rate=8000, message="`x` must be [..., bins, frames] with a known number of bins, but is f32[n, c, t]"),
    error("mel", "f32[n, 9, t]", n_mels=4, sample_rate=8000, f_max=5000.0, message="bands can't be from 0 to 5000 Hz: up to half of `sample_rate`, and upwards"),
    error("nms", "f32[n, 9, 5]", "f32[n, 9, 2]", message="`boxes` must be [n, boxes, 4], but is f32[n, 9, 5]"),
    error("nms", "f32[n, 9, 4]", "f32[n, 9]", message="`scores` must be [n, boxes, classes], but is f32[n, 9]", help="`unsqueeze(scores, 2)` makes it that of one class"),
    error("nms", "f32[n, 9, 4]", "f32[n, 8, 2]", message="the sizes along axis 1 of f32[n, 9, 4] and f32[n, 8, 2] must be equal: 9 and 8"),
    error("nms", "f32[n, 9, 4]", "f32[n, 9, 2]", iou=1.5, message="`iou` must be from 0 to 1, but is 1.5"),
    error("max_pool", "f32[n, 784]", kernel=2, message="`x` must be [n, channels, ...] with one to three spatial axes"),
    error("max_pool", IMAGE, kernel=2, pad=2, message="`pad` can be at most half the kernel"),
    error("max_pool", IMAGE, kernel=2, pad=[[0, 2], 0], message="`pad` can be at most half the kernel"),
    error("max_pool", "f32[n, 3, t]", kernel=2, stride=3, ceil=True, message="the size of axis 2 of f32[n, 3, t] must be known"),
    error("resize", IMAGE, message="either `scale` or `size` must be given"),
    error("resize", IMAGE, scale=2, mode="linaer", message="`mode` can't be `linaer`", help="did you mean `linear`?"),
    error("pixel_shuffle", "f32[n, 6, 4, 4]", factor=2, message="the channels of f32[n, 6, 4, 4] must be a multiple of 2 ** 2"),
    # normalization and attention
    error("layer_norm", "f32[n, 4]", "f32[5]", message="`weight` must have the shape of the last axes of f32[n, 4]: 4 and 5"),
    error("layer_norm", "f32[n, 4]", "f32[4]", "f32[1, 4]", message="`weight` is f32[4] and `bias` is f32[1, 4]"),
    error("group_norm", "f32[n, 6, 4]", groups=4, message="the channels of f32[n, 6, 4] must be a multiple of 4"),
    error("batch_norm", IMAGE, "f32[4]", "f32[4]", "f32[4]", "f32[4]", message="`weight` must have a value for each channel"),
    error("instance_norm", "f32[n, 3]", message="`x` must be [n, channels, ...], but is f32[n, 3]"),
    error("attention", "f32[n, t, 4]", "f32[n, t, 5]", "f32[n, t, 5]", message="the sizes of the queries in f32[n, t, 4]"),
    error("attention", "f32[2, 5, 4]", "f32[2, 6, 4]", "f32[2, 7, 4]", message="must be equal: 6 and 7"),
    error("attention", "f32[2, 5, 4]", "f32[2, 6, 4]", "f32[2, 6, 4]", "bool[5, 7]", message="`mask` must broadcast to the scores"),
    # axes and other numbers
    error("sum", "f32[n, 4]", axis=2, message="axis 2 doesn't exist: there are only axes 0 to 1, or -2 to -1 from the end"),
    error("sum", "f32[]", axis=0, message="axis 0 doesn't exist: there are no axes"),
    error("sum", "f32[n, 4]", axis=[0, -2], message="axis 0 is named twice"),
    error("permute", "f32[n, 4]", axes=[0], message="[0] must name each of the 2 axes of f32[n, 4]"),
    error("transpose", "f32[n, t, 4]", message="`.T` needs two axes, but f32[n, t, 4] has 3", help="`permute(x, [...])`"),
    error("flatten", "f32[n]", message="axis 1 doesn't exist"),
    error("pad", "f32[n, 4]", widths=[[1, 1]], message="`widths` must be 2 pairs"),
    error("pad", "f32[n]", widths=[[-1, 0]], message="a width can't be negative"),
    error("pad", "f32[n, 4]", widths=[[0, 0], [0, 4]], mode="reflect", message="`reflect` can't add 4: axis 1 of f32[n, 4] has 4"),
    error("pad", "f32[n, 4]", widths=[[0, 0], [5, 0]], mode="circular", message="`circular` can't add 5"),
    error("pad", "f32[0]", widths=[[1, 0]], mode="replicate", message="`replicate` can't add 1"),
    error("pad", "f32[n]", widths=[[1, 0]], mode="edge", message="`mode` can't be `edge`"),
    error("pad", "f32[n]", widths=[[1, 0]], mode="reflect", value=1.0, message="`value` is for `constant`"),
    error("arange", start=5, stop=3, message="the range from 5 to 3 goes backwards"),
    error("one_hot", "i64[n]", depth=0, message="`depth` must be at least 1, but is 0"),
    error("tril", "f32[n]", message="a triangle needs two axes, but f32[n] has 1"),
    error("gelu", "f32[n]", approximate="tahn", message="`approximate` can't be `tahn`", help="did you mean `tanh`?"),
    error("clip", "f32[n]", min=2, max=1, message="`min` is 2, which is above `max`, 1"),
    error("constant", value=[[1, 2], [3]], message="the nested lists of a constant must have equal lengths at each depth"),
    error("slice", "f32[n]", starts=[0], stops=[1], steps=[-1], message="the step of a slice must be positive", help="`flip`"),
]  # fmt: skip


@together("error", ERRORS, by=lambda error: error[0].op, ids=lambda error: error[0].name)
def test_message(error: tuple[Row, str, str]) -> None:
    use, message, help = error
    operation = OPERATIONS[use.op]
    names = [p.name for p in operation.operands]
    with pytest.raises(OpError) as raised:
        operation.result_types(**dict(zip(names, use.types, strict=False)), **use.attributes)
    assert message in raised.value.message
    assert help in (raised.value.help or "")
    assert raised.value.argument in (None, *(p.name for p in operation.parameters))
