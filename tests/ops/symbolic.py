"""Operations on dynamic dimensions: the type of the result, as text. At least one row for each operation."""

# ruff: noqa: E501  (a table has one row in a line)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.ops.build import dim, typed
from tests.ops.case import example
from wsdl.ir.types import TensorType
from wsdl.ops import NAMED

USUAL = ({"n": 3, "t": 4}, {"n": 0, "t": 4}, {"n": 1, "t": 1}, {"n": 2, "t": 0})
NO_T_0 = USUAL[:3]
RECURRENT = ({"n": 3, "t": 4}, {"n": 1, "t": 1})  # at size 0 ONNX Runtime ends the process


@dataclass
class Row:
    """`beside` are inputs that only say what a size is; `sizes` are those to run at (`m` is `n`, `s` is `t`)."""

    op: str
    given: Sequence[str | list[str] | None]
    gives: str
    attributes: dict[str, Any] = field(default_factory=dict)
    beside: Sequence[str] = ()
    sizes: Sequence[dict[str, int]] = USUAL

    @property
    def name(self) -> str:
        attributes = (f"{k}={v}" for k, v in self.attributes.items())
        return f"{self.op}({', '.join([*map(str, self.given), *attributes])})"

    @property
    def types(self) -> list[TensorType | list[TensorType] | None]:
        return [[typed(t) for t in g] if isinstance(g, list) else None if g is None else typed(g) for g in self.given]


def row(
    op: str,
    *given: str | list[str] | None,
    gives: str,
    beside: Sequence[str] = (),
    sizes: Sequence[dict[str, int]] = USUAL,
    **attributes: Any,
) -> Row:
    return Row(op, given, gives, attributes, beside, sizes)


def dims(*texts: str) -> list[Any]:
    return [dim(text) for text in texts]


WIDE = ({"n": 2, "t": 7}, {"n": 0, "t": 8}, {"n": 1, "t": 5})  # spatial sizes that windows fit into
BINARY = ("add", "sub", "mul", "div", "floordiv", "mod", "pow", "minimum", "maximum")
COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
UNARY = (
    "neg", "abs", "sign", "floor", "round", "exp", "log", "sqrt", "rsqrt", "sin", "cos", "erf", "tanh", "sigmoid", "relu",
    "silu", "softplus", "leaky_relu", "elu", "gelu", "selu", "mish", "hardswish", "stop_gradient", "clip",
)  # fmt: skip
ARRANGED: list[tuple[str, dict[str, Any]]] = [
    ("nearest-exact", {}), ("area", {}), *((mode, {option: True}) for mode in ("linear", "cubic") for option in ("align_corners", "antialias")),
]  # fmt: skip
SCATTERED = ("scatter_max", "scatter_min", "scatter_mean", "scatter_largest")
REDUCTIONS = ("sum", "prod", "mean", "var", "std", "logsumexp")

ROWS = [
    *(row(op, "f32[n, t, 3]", "f32[t, 1]", gives="f32[n, t, 3]") for op in BINARY),
    row("add", "f32[n, 1]", "f32[t]", gives="f32[n, t]"),
    row("add", "f32[n, t]", "f32[m, 1]", gives="f32[n, t]"),
    row("add", "f32[n, 4]", "f32[n, t]", gives="f32[n, 4]", sizes=[{"n": 2, "t": 4}]),
    row("mul", "f32[2 * n, t]", "f32[n + n, t]", gives="f32[2 * n, t]"),
    *(row(op, "f32[n, t]", "f32[t]", gives="bool[n, t]") for op in COMPARISONS),
    *(row(op, "bool[n, t]", "bool[t]", gives="bool[n, t]") for op in ("logical_and", "logical_or")),
    row("logical_not", "bool[n, t]", gives="bool[n, t]"),
    *(row(op, "f32[n, t]", gives="f32[n, t]") for op in UNARY),
    row("straight_through", "f32[n, t]", "f32[n, t]", gives="f32[n, t]"),
    row("where", "bool[n, 1]", "f32[t]", "f32[]", gives="f32[n, t]"),
    row("cast", "f32[n, t]", dtype="i64", gives="i64[n, t]"),
    row("matmul", "f32[n, t, 4]", "f32[4, 8]", gives="f32[n, t, 8]"),
    row("matmul", "f32[n, t, 4]", "f32[n, 4, t]", gives="f32[n, t, t]"),
    row("matmul", "f32[n, t]", "f32[t]", gives="f32[n]"),
    row("matmul", "f32[t]", "f32[n, s, 2]", gives="f32[n, 2]"),
    row("einsum", ["f32[n, t, 4]", "f32[4, 8]"], equation="btd,dk->btk", gives="f32[n, t, 8]"),
    row("einsum", ["f32[n, t, 2, 4]", "f32[n, s, 2, 4]"], equation="bqhd,bkhd->bhqk", gives="f32[n, 2, t, s]"),
    row("einsum", ["f32[n, t]"], equation="ij->j", gives="f32[t]"),
    row("einsum", ["f32[n, t, 4]", "f32[8, 4]"], equation="bti,oi->bto", gives="f32[n, t, 8]"),
    row("einsum", ["f32[n, t, 4]", "f32[4, 2, 3]"], equation="btd,dhk->bthk", gives="f32[n, t, 2, 3]"),
    row("einsum", ["f32[n, t]", "f32[t]", "f32[n, 1]"], equation="ij,j,i...->i...", gives="f32[n, 1]"),
    row("einsum", ["f32[n, t, t]"], equation="bii->bi", gives="f32[n, t]"),
    row("einsum", ["f32[n, 4]", "f32[t, 1, 4]"], equation="...i,...i", gives="f32[t, n]"),
    *(row(op, "f32[n, t, 3]", axis=-1, gives="f32[n, t]") for op in REDUCTIONS),
    *(row(op, "f32[n, t, 3]", axis=[0, 2], keepdims=True, gives="f32[1, t, 1]", sizes=[USUAL[0]]) for op in REDUCTIONS),
    row("sum", "f32[n, t]", gives="f32[]"),
    *(row(op, "f32[n, t]", axis=1, gives="f32[n]") for op in ("mean", "var")),  # NaN where `t` is 0
    *(row(op, "f32[n, t, 0]", axis=2, gives="f32[n, t]") for op in ("mean", "var")),
    row("sum", "bool[n, t]", axis=1, gives="i64[n]"),
    row("var", "f32[n, t]", axis=1, correction=1, gives="f32[n]", sizes=[{"n": 3, "t": 4}, {"n": 0, "t": 2}]),
    *(row(op, "f32[n, t]", axis=1, gives="f32[n]", sizes=NO_T_0) for op in ("max", "min")),
    *(row(op, "f32[n, t]", axis=1, gives="i64[n]", sizes=NO_T_0) for op in ("argmax", "argmin")),
    row("sort", "f32[n, t]", gives="f32[n, t]"),
    row("sort", "f32[n, t]", axis=0, descending=True, gives="f32[n, t]"),
    row("argsort", "f32[n, t]", gives="i64[n, t]"),
    row("quantile", "f32[n, t]", q=0.3, axis=1, gives="f32[n]", sizes=NO_T_0),
    row("quantile", "f32[n, 5]", q=0.9, axis=1, keepdims=True, gives="f32[n, 1]"),
    row("quantile", "f32[n, t]", q=0.5, gives="f32[]", sizes=USUAL[:1]),
    row("quantile_places", "f32[n, t]", q=0.3, axis=1, gives="i64[n, 1] i64[n, 1] i64[n, 1] f32[n, 1]", sizes=NO_T_0),
    row("bucketize", "f32[n, t]", "f32[1]", gives="i64[n, t]"),
    row("bucketize", "f32[n]", "f32[t]", right=True, gives="i64[n]", sizes=[{"n": 3, "t": 1}, {"n": 2, "t": 0}]),
    row("argmax", "f32[n, t]", keepdims=True, gives="i64[1, 1]", sizes=USUAL[:1]),
    row("cumsum", "f32[n, t]", axis=1, gives="f32[n, t]"),
    row("cumsum", "f32[n, t]", axis=1, exclusive=True, reverse=True, gives="f32[n, t]"),
    row("cumprod", "f32[n, t]", axis=1, gives="f32[n, t]"),
    row("cumprod", "f32[n, t]", axis=1, exclusive=True, reverse=True, gives="f32[n, t]"),
    row("linear_recurrence", "f32[n, t]", "f32[n, t]", axis=1, gives="f32[n, t]"),
    *(row(op, "f32[n, t]", gives="f32[n, t]") for op in ("softmax", "log_softmax", "l2_normalize")),
    row("cosine_similarity", "f32[n, t]", "f32[t]", gives="f32[n]"),
    row("reshape", "f32[n, t, 4]", shape=[dim("n * t"), 4], gives="f32[n * t, 4]"),
    row("reshape", "f32[n, t, 4]", shape=[dim("n"), dim("t"), 2, -1], gives="f32[n, t, 2, 2]", sizes=USUAL[:1]),
    row("reshape", "f32[n, 28, 28]", shape=[-1, 784], gives="f32[n, 784]"),
    row("reshape", "f32[n, 6]", shape=[-1, 4], gives="f32[(6 * n) // 4, 4]", sizes=[{"n": 2}, {"n": 4}]),
    row("reshape", "f32[n, t]", shape=[3, 4], gives="f32[3, 4]", sizes=[{"n": 2, "t": 6}]),
    row("flatten", "f32[n, t, 4]", gives="f32[n, 4 * t]"),
    row("flatten", "f32[n, t, 4]", start=0, gives="f32[4 * n * t]"),
    row("squeeze", "f32[n, 1, t]", axis=-2, gives="f32[n, t]"),
    row("squeeze", "f32[n, t]", axis=1, gives="f32[n]", sizes=[{"n": 3, "t": 1}, {"n": 0, "t": 1}]),
    row("unsqueeze", "f32[n, t]", axis=[1, -1], gives="f32[n, 1, t, 1]"),
    row("expand", "f32[n, 1]", shape=dims("2", "-1", "t"), beside=["f32[t]"], gives="f32[2, n, t]"),
    row("transpose", "f32[n, t]", gives="f32[t, n]"),
    row("permute", "f32[n, t, 4]", axes=[2, 0, -2], gives="f32[4, n, t]"),
    row("flip", "f32[n, t]", axis=1, gives="f32[n, t]"),
    row("roll", "f32[n, t]", shift=3, axis=1, gives="f32[n, t]"),
    row("slice", "f32[n, t]", starts=[-1], stops=dims("t"), axes=[1], gives="f32[n, 1]", sizes=NO_T_0),
    row("slice", "f32[n, t]", starts=[0], stops=[-1], axes=[1], gives="f32[n, t - 1]", sizes=NO_T_0),
    row("slice", "f32[n, t]", starts=[1], stops=dims("t"), axes=[1], gives="f32[n, t - 1]", sizes=NO_T_0),
    row("slice", "f32[n, t]", starts=[0], stops=dims("t"), axes=[1], steps=[2], gives="f32[n, (t + 1) // 2]"),
    row("slice", "f32[n, t, 6]", starts=[2], stops=[4], axes=[2], gives="f32[n, t, 2]"),
    row("slice", "f32[2 * t]", starts=dims("t"), stops=dims("2 * t"), gives="f32[t]"),
    row("split", "f32[n, t, 6]", parts=3, axis=-1, gives="f32[n, t, 2] f32[n, t, 2] f32[n, t, 2]"),
    row("split", "f32[2 * n, t]", parts=2, gives="f32[n, t] f32[n, t]"),
    row("split", "f32[t + 1]", parts=dims("1", "t"), gives="f32[1] f32[t]"),
    row("split", "f32[n, t]", parts=2, axis=1, gives="f32[n, t // 2] f32[n, t // 2]", sizes=[{"n": 2, "t": 4}]),
    row("concat", ["f32[n, t]", "f32[n, 3]", "f32[m, t]"], axis=1, gives="f32[n, 2 * t + 3]"),
    row("concat", ["f32[n, 2]", "f32[t, 2]"], axis=0, gives="f32[n + t, 2]"),
    row("stack", ["f32[n, t]", "f32[n, t]"], axis=1, gives="f32[n, 2, t]"),
    row("pad", "f32[n, t]", widths=[[0, 0], [2, 1]], gives="f32[n, t + 3]"),
    row("pad", "f32[n, t]", widths=[dims("0", "n"), [0, 0]], gives="f32[2 * n, t]"),
    *(row("pad", "f32[t + 3, 4]", widths=[[1, 2], [0, 3]], mode=m, gives="f32[t + 6, 7]", beside=["f32[t]"]) for m in ("reflect", "replicate", "circular")),
    row("tile", "f32[n, t]", repeats=dims("2", "n"), gives="f32[2 * n, n * t]"),
    row("constant", value=[[1, 2, 3]], dtype="i64", gives="i64[1, 3]", beside=["f32[n]"], sizes=[{"n": 2}]),
    row("full", shape=dims("n", "2"), value=0.5, gives="f32[n, 2]", beside=["f32[n, t]"]),
    row("zeros", shape=dims("n * t"), gives="f32[n * t]", beside=["f32[n, t]"]),
    row("ones", shape=dims("n", "t"), dtype="i64", gives="i64[n, t]", beside=["f32[n, t]"]),
    row("arange", start=dim("t"), gives="i64[t]", beside=["f32[t]"]),
    row("arange", start=dim("n"), stop=dim("n + t"), gives="i64[t]", beside=["f32[n, t]"]),
    row("size", dim=dim("n * t"), gives="i64[]", beside=["f32[n, t]"]),
    row("one_hot", "i64[n, t]", depth=5, axis=1, gives="f32[n, 5, t]"),
    *(row(op, "f32[n, t, t]", gives="f32[n, t, t]") for op in ("tril", "triu")),
    row("dropout", "f32[n, t]", p=0.3, axis=0, gives="f32[n, t]"),
    row("random_mask", "i64[]", "i64[]", "i64[]", shape=dims("n", "t", "3"), beside=["f32[n, t]"], gives="bool[n, t, 3]"),
    row("random_mask", "i64[]", "i64[]", "i64[]", shape=dims("n", "t"), beside=["f32[n, t]"], gives="bool[n, t]"),
    row("random_mask", "i64[]", "i64[]", "i64[t]", shape=dims("n", "3", "2"), beside=["f32[n, t]"], gives="bool[t, n, 3, 2]"),
    *(row(op, "f32[n, t]", "bool[n, t]", gives="f32[n, t]") for op in ("dropout_training", "dropout_gradient")),
    *(row(op, "i64[]", "i64[]", "i64[]", shape=dims("n", "3", "t"), beside=["f32[n, t]"], gives="f32[n, 3, t]") for op in ("uniform_numbers", "normal_numbers")),
    *(row(op, "i64[]", "i64[]", "i64[t]", "i64[]", shape=dims("n", "2"), beside=["f32[n, t]"], gives="f32[t, n, 2]") for op in ("uniform_numbers", "normal_numbers")),
    *(row(op, "i64[]", shape=dims("n", "2*t"), beside=["f32[n, t]"], gives="f32[n, 2 * t]") for op in ("random_uniform", "random_normal")),
    row("random_bernoulli", "i64[]", p=0.3, shape=dims("n"), beside=["f32[n, t]"], gives="bool[n]"),
    row("gather", "f32[9, 4]", "i64[n, t]", gives="f32[n, t, 4]"),
    row("gather", "f32[n, 9]", "i64[t]", axis=1, gives="f32[n, t]"),
    row("take_along", "f32[n, 9]", "i64[n, t]", axis=1, gives="f32[n, t]"),
    row("topk", "f32[n, 5]", k=2, gives="f32[n, 2] i64[n, 2]"),
    row("topk", "f32[n, t]", k=1, axis=1, largest=False, gives="f32[n, 1] i64[n, 1]", sizes=NO_T_0),
    row("topk", "f32[n, 9]", k=dim("t"), axis=1, beside=["f32[t]"], gives="f32[n, t] i64[n, t]"),
    row("topk", "f32[n, t]", k=dim("t"), axis=-1, largest=False, gives="f32[n, t] i64[n, t]"),
    row("segment_sum", "f32[n, t, 4]", "i64[n]", count=5, gives="f32[5, t, 4]"),
    row("segment_max", "f32[n, t, 4]", "i64[n, t]", count=5, gives="f32[5, 4]"),
    row("segment_largest", "f32[n, t, 4]", "i64[n]", count=5, gives="f32[5, t, 4]"),
    row("segment_mean", "f32[n, t, 4]", "i64[n, t]", count=5, gives="f32[5, 4]"),
    row("segment_min", "f32[n, t, 4]", "i64[n, t]", count=5, gives="f32[5, 4]"),
    row("segment_softmax", "f32[n, t, 4]", "i64[n]", count=5, gives="f32[n, t, 4]"),
    row("segment_sum", "f32[n, 4]", "i64[n]", count=dim("9 * t + 9"), beside=["f32[t]"], gives="f32[9 * t + 9, 4]"),
    row("segment_max", "f32[n, 4]", "i64[n]", count=dim("9 * t + 9"), beside=["f32[t]"], gives="f32[9 * t + 9, 4]"),
    row("segment_softmax", "f32[n, 4]", "i64[n]", count=dim("9 * t + 9"), beside=["f32[t]"], gives="f32[n, 4]"),
    row("partition", "f32[n, 4]", "i64[n]", count=2, gives="f32[n.1, 4] f32[n.2, 4]"),
    row("partition_rows", "f32[n, 4]", "i64[n]", rows=dims("n.1", "n.2"), gives="f32[n.1, 4] f32[n.2, 4]"),
    row("partition_rows", "f32[n, 4]", "i64[n, t]", rows=dims("m.1", "m.2"), several=True, gives="f32[m.1, 4] f32[m.2, 4]"),
    row("partition_like", "f32[n, 4]", "i64[n]", ["f32[0, 4]", "f32[0, 4]"], gives="f32[0, 4] f32[0, 4]"),
    row("unpartition", ["f32[0, 4]", "f32[0, 4]"], "i64[n, t]", gives="f32[n, t, 4]"),
    row("scatter_add", "f32[9, 4]", "i64[n, t]", "f32[n, t, 4]", gives="f32[9, 4]"),
    row("scatter_add", "f32[n, 9]", "i64[t]", "f32[n, t]", axis=1, gives="f32[n, 9]"),
    *(row(op, "f32[9, 4]", "i64[n, t]", "f32[n, t, 4]", gives="f32[9, 4]") for op in SCATTERED),
    *(row(op, "f32[n, 9, 2]", "i64[t]", "f32[n, t, 2]", axis=1, gives="f32[n, 9, 2]") for op in SCATTERED),
    row("scatter_add_along", "f32[n, 9]", "i64[n, t]", "f32[n, t]", axis=1, gives="f32[n, 9]"),
    row("gemm", "f32[n, t]", "f32[n, 4]", trans_a=True, gives="f32[t, 4]"),
    *(row(op, "f32[t, n, 3]", f"f32[1, {4 * g}, 3]", f"f32[1, {4 * g}, 4]", f"f32[1, {8 * g}]", reverse=g == 3,
          gives="f32[t, 1, n, 4]" + " f32[1, n, 4]" * states, sizes=RECURRENT)
      for op, g, states in (("rnn", 1, 1), ("gru", 3, 1), ("lstm", 4, 2))),
    row("gemm", "f32[n, t]", "f32[4, t]", trans_b=True, gives="f32[n, 4]"),
    row("conv1d", "f32[n, 3, t]", "f32[4, 3, 3]", stride=2, pad=1, gives="f32[n, 4, (t + 1) // 2]", sizes=WIDE),
    row("conv2d", "f32[n, 3, t, s]", "f32[4, 3, 3, 3]", "f32[4]", pad=1, gives="f32[n, 4, t, s]", sizes=WIDE),
    row("conv2d", "f32[n, c, t, t]", "f32[4, 3, 2, 2]", stride=2, gives="f32[n, 4, t // 2, t // 2]",
        sizes=[{"n": 2, "c": 3, "t": 5}]),
    row("conv1d", "f32[n, 3, t]", "f32[4, 3, 4]", "f32[4]", pad=[[3, 0]], gives="f32[n, 4, t]", sizes=WIDE),
    row("conv2d", "f32[n, 3, t, s]", "f32[4, 3, 4, 3]", pad="same", dilation=2, gives="f32[n, 4, t, s]", sizes=WIDE),
    row("conv2d", "f32[n, 3, 2 * t, s]", "f32[4, 3, 4, 3]", "f32[4]", pad="same", stride=2, gives="f32[n, 4, t, (s + 1) // 2]", sizes=WIDE),
    row("conv1d", "f32[n, 3, t]", "f32[4, 3, 1]", pad="same", stride=3, gives="f32[n, 4, (t + 2) // 3]", sizes=WIDE),
    row("conv3d", "f32[n, 2, t, 4, 4]", "f32[3, 2, 3, 3, 3]", gives="f32[n, 3, t - 2, 2, 2]", sizes=WIDE),
    row("conv_transpose1d", "f32[n, 3, t]", "f32[3, 4, 4]", stride=2, pad=1, gives="f32[n, 4, 2 * t]", sizes=WIDE),
    row("conv_transpose2d", "f32[n, 3, t, 2]", "f32[3, 4, 2, 2]", stride=2, gives="f32[n, 4, 2 * t, 4]", sizes=WIDE),
    row("conv_transpose2d", "f32[n, 3, t, s]", "f32[3, 4, 5, 2]", pad="same", stride=3, gives="f32[n, 4, 3 * t, 3 * s]", sizes=WIDE),
    row("conv_transpose3d", "f32[n, 3, t, 2, 2]", "f32[3, 1, 2, 2, 2]", gives="f32[n, 1, t + 1, 3, 3]", sizes=WIDE),
    row("conv_weight_gradient", "f32[n, 3, t, s]", "f32[n, 4, t, s]", kernel=[3, 3], pad=1, gives="f32[4, 3, 3, 3]", sizes=WIDE),
    row("conv_weight_gradient", "f32[n, 16, t]", "f32[n, 4, t // 2]", kernel=[2], stride=2, gives="f32[4, 16, 2]", sizes=WIDE),
    row("unfold", "f32[n, 3, t, 6]", kernel=3, stride=2, pad=1, gives="f32[n, 27, 3 * ((t + 1) // 2)]", sizes=WIDE),
    row("unfold", "f32[n, 3, t + 40]", kernel=36, stride=2, gives="f32[n, 108, t // 2 + 3]", sizes=WIDE),
    row("fold", "f32[n, 12, t * t - 2 * t + 1]", size=dims("t", "t"), kernel=2, beside=["f32[t]"], gives="f32[n, 3, t, t]", sizes=WIDE),
    row("windows", "f32[n, t, 3]", size=4, step=2, axis=1, gives="f32[n, t // 2 - 1, 3, 4]", sizes=WIDE),
    row("windows", "f32[n, t + 8]", size=8, step=4, gives="f32[n, t // 4 + 1, 8]", sizes=WIDE),
    row("max_pool", "f32[n, 3, t, 6]", kernel=2, gives="f32[n, 3, t // 2, 3]", sizes=WIDE),
    row("max_pool", "f32[n, 3, t]", kernel=2, ceil=True, gives="f32[n, 3, (t + 1) // 2]", sizes=WIDE),
    row("max_pool", "f32[n, 3, t, s]", kernel=3, stride=2, pad=1, gives="f32[n, 3, (t + 1) // 2, (s + 1) // 2]", sizes=WIDE),
    row("max_pool", "f32[n, 3, t, s]", kernel=3, stride=2, pad="same", gives="f32[n, 3, (t + 1) // 2, (s + 1) // 2]", sizes=WIDE),
    row("max_pool_indices", "f32[n, 3, t]", kernel=2, gives="i64[n, 3, t // 2]", sizes=WIDE),
    row("max_unpool", "f32[n, t]", "i64[n, t]", shape=dims("n", "2 * t"), gives="f32[n, 2 * t]", sizes=[{"n": 3, "t": 4}, {"n": 0, "t": 4}]),
    row("avg_pool", "f32[n, 3, t, s]", kernel=2, gives="f32[n, 3, t // 2, s // 2]", sizes=WIDE),
    row("avg_pool", "f32[n, 3, t]", kernel=3, stride=2, pad=1, count_include_pad=False, gives="f32[n, 3, (t + 1) // 2]", sizes=WIDE),
    row("avg_pool", "f32[n, 3, t]", kernel=3, stride=1, pad=1, gives="f32[n, 3, t]", sizes=WIDE),
    row("avg_pool", "f32[n, 3, t]", kernel=3, stride=2, pad=1, ceil=True, gives="f32[n, 3, t // 2 + 1]", sizes=WIDE),
    *(row("avg_pool", "f32[n, 3, t]", kernel=3, stride=2, pad="same", count_include_pad=count, gives="f32[n, 3, (t + 1) // 2]", sizes=WIDE)
      for count in (False, True)),
    row("global_avg_pool", "f32[n, 3, t, s]", gives="f32[n, 3]", sizes=WIDE),
    row("global_avg_pool", "f32[n, 3, t, s]", keepdims=True, gives="f32[n, 3, 1, 1]", sizes=WIDE),
    row("adaptive_avg_pool", "f32[n, 3, t, s]", size=1, gives="f32[n, 3, 1, 1]", sizes=WIDE),
    row("adaptive_avg_pool", "f32[n, 3, t, 4]", size=[2, 3], gives="f32[n, 3, 2, 3]", sizes=WIDE),
    row("adaptive_avg_pool", "f32[n, 3, 6]", size=dim("t"), beside=["f32[t]"], gives="f32[n, 3, t]", sizes=WIDE),
    row("adaptive_max_pool", "f32[n, 3, t, 4]", size=[2, 3], gives="f32[n, 3, 2, 3]", sizes=WIDE),
    row("adaptive_max_pool", "f32[n, 3, 6]", size=dim("t"), beside=["f32[t]"], gives="f32[n, 3, t]", sizes=WIDE),
    *(row("resize", "f32[n, 3, t, s]", size=[3, 9], mode=m, **o, gives="f32[n, 3, 3, 9]", sizes=WIDE)
      for m, o in ARRANGED),
    *(row("resize", "f32[n, 3, 4, 6]", size=dims("t", "5"), mode=m, **o, beside=["f32[t]"], gives="f32[n, 3, t, 5]", sizes=WIDE)
      for m, o in ARRANGED),
    row("resize", "f32[n, 3, t]", scale=0.5, mode="cubic", antialias=True, gives="f32[n, 3, t // 2]", sizes=WIDE),
    row("resize_matrix", old=dim("t"), new=dim("t + 2"), mode="area", beside=["f32[t]"], gives="f32[t, t + 2]", sizes=WIDE),
    row("resize", "f32[n, 3, t]", scale=2, gives="f32[n, 3, 2 * t]", sizes=WIDE),
    row("resize", "f32[n, 3, t]", scale=0.5, mode="linear", gives="f32[n, 3, t // 2]", sizes=WIDE),
    row("resize", "f32[n, 3, t, s]", scale=[2, 3], mode="linear", gives="f32[n, 3, 2 * t, 3 * s]", sizes=(*WIDE, {"n": 2, "t": 1})),
    row("resize", "f32[n, 3, t]", scale=1.5, gives="f32[n, 3, (3 * t) // 2]", sizes=WIDE),
    row("resize", "f32[n, 3, 4, 4]", size=dims("t", "2 * t"), beside=["f32[t]"], gives="f32[n, 3, t, 2 * t]", sizes=WIDE),
    row("grid_sample", "f32[n, 3, t, s]", "f32[n, 4, t, 2]", gives="f32[n, 3, 4, t]", sizes=WIDE),
    row("grid_sample", "f32[n, 3, t, 4]", "f32[n, 5, 6, 2]", padding="reflection", mode="nearest", gives="f32[n, 3, 5, 6]", sizes=WIDE),
    row("stft", "f32[n, t]", n_fft=8, hop_length=3, gives="f32[n, 5, t // 3 + 1] f32[n, 5, t // 3 + 1]", sizes=WIDE),
    row("istft", "f32[n, 5, t]", "f32[n, 5, t]", n_fft=8, gives="f32[n, 2 * t - 2]", sizes=WIDE),
    row("istft", "f32[n, 5, t + 1]", "f32[n, 5, t + 1]", n_fft=8, length=dim("2 * t + 1"), gives="f32[n, 2 * t + 1]", sizes=WIDE),
    row("stft", "f32[n, t + 600]", n_fft=512, gives="f32[n, 257, (t + 88) // 128 + 5] f32[n, 257, (t + 88) // 128 + 5]", sizes=WIDE),
    row("istft", "f32[n, 257, t]", "f32[n, 257, t]", n_fft=512, gives="f32[n, 128 * t - 128]", sizes=WIDE),
    row("fourier_step", n_fft=6, step=2, gives="f32[2, 6, 4]", beside=["f32[n]"], sizes=[{"n": 2}]),
    row("spectral_basis", n_fft=8, win_length=8, window="hann", gives="f32[10, 1, 8]", beside=["f32[n]"], sizes=[{"n": 2}]),
    row("mel", "f32[n, 33, t]", n_mels=4, sample_rate=16000, gives="f32[n, 4, t]"),
    row("mel_filters", bins=9, n_mels=3, sample_rate=16000.0, f_min=0.0, f_max=8000.0, mel_scale="htk", norm=None, gives="f32[3, 9]", beside=["f32[n]"], sizes=[{"n": 2}]),
    row("nms", "f32[n, t, 4]", "f32[n, t, 3]", most=5, gives="i64[n, 5] i64[n, 5]"),
    row("pixel_shuffle", "f32[n, 12, t, 2]", factor=2, gives="f32[n, 3, 2 * t, 4]"),
    row("layer_norm", "f32[n, t, 3]", "f32[3]", "f32[3]", gives="f32[n, t, 3]"),
    row("rms_norm", "f32[n, t, 3]", "f32[3]", gives="f32[n, t, 3]"),
    row("group_norm", "f32[n, 6, t]", "f32[6]", "f32[6]", groups=3, gives="f32[n, 6, t]", sizes=NO_T_0),
    row("instance_norm", "f32[n, 3, t]", "f32[3]", "f32[3]", gives="f32[n, 3, t]", sizes=WIDE),
    row("batch_norm", "f32[n, 3, t]", "f32[3]", "f32[3]", "f32[3]", "f32[3]", gives="f32[n, 3, t]"),
    row("sum_squares", "f32[n, t]", gives="f32[]"),
    row("standardize", "f32[n, t, 3]", axes=2, gives="f32[n, t, 3] f32[n, 1, 1]", sizes=NO_T_0),
    row("batch_norm_training", "f32[n, 3, t]", "f32[3]", "f32[3]", "f32[3]", "f32[3]", gives="f32[n, 3, t] f32[3] f32[3]",
        sizes=[{"n": 3, "t": 4}, {"n": 1, "t": 2}, {"n": 2, "t": 1}, {"n": 1, "t": 1}]),
    row("attention_weights", "f32[n, t, 4]", "f32[n, s, 4]", causal=True, gives="f32[n, t, s]"),
    row("attention_weights", "f32[n, t, 4]", "f32[n, s, 4]", "f32[t, s]", gives="f32[n, t, s]"),
    row("cross_entropy", "f32[n, t, 5]", "i64[n, t]", gives="f32[]", sizes=USUAL[:1]),
    row("cross_entropy", "f32[n, t]", "i64[n]", "f32[t]", label_smoothing=0.1, gives="f32[]", sizes=[{"n": 3, "t": 5}]),
    row("nll", "f32[n, t, 5]", "i64[n, t]", gives="f32[]", sizes=USUAL[:1]),
    *(row(op, "f32[n, t]", "f32[n, t]", gives="f32[]", sizes=USUAL[:1]) for op in ("bce_with_logits", "mse", "mae", "huber", "kl_div")),
    row("contrastive", "f32[n]", "bool[n]", gives="f32[]", sizes=USUAL[:1]),
    row("triplet", "f32[n, t]", "f32[n, t]", "f32[n, t]", gives="f32[]", sizes=USUAL[:1]),
    row("cosine_embedding", "f32[n, t]", "f32[n, t]", "i64[n]", gives="f32[]", sizes=USUAL[:1]),
    row("info_nce", "f32[n, t]", "f32[n, t]", symmetric=True, gives="f32[]", sizes=USUAL[:1]),
    row("attention", "f32[n, 2, t, 4]", "f32[n, 2, s, 4]", "f32[n, 2, s, 5]", gives="f32[n, 2, t, 5]"),
    row("attention", "f32[n, t, 4]", "f32[n, t, 4]", "f32[n, t, 4]", causal=True, gives="f32[n, t, 4]"),
    row("attention", "f32[n, t, 4]", "f32[n, t, 4]", "f32[n, t, 4]", "bool[n, 1, t]", causal=True, gives="f32[n, t, 4]"),
    row("attention", "f32[n, t, d]", "f32[n, 3, d]", "f32[n, 3, 2]", gives="f32[n, t, 2]", sizes=[{"n": 2, "t": 4, "d": 3}]),
]  # fmt: skip

ROWS += [
    row(op, *types, gives=result)
    for op, types, result in map(example, (o for o in NAMED.values() if o.elementwise and o.examples))
    if op not in {row.op for row in ROWS}
]
