"""Attention."""

from __future__ import annotations

from typing import Any

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Value
from wsdl.ir.types import DType, TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._lowering import LOWEST, axes_tensor, cast_to, size_of, unsqueezed
from wsdl.ops._rules import agreed, broadcast, floating, is_one, same_dtype
from wsdl.ops.build import Build

FAR_BELOW = 80.0  # exp(-80) is 2e-35: adding it to 1 changes nothing in f32


def _of_queries(op: Any, *_: Any) -> list[int]:
    """Queries are independent of each other, unless their positions matter."""
    return [-2, -1] if op.causal else [-1]


class Attention(
    Rules,
    name="attention",
    half="f16",
    f32_operands=["mask"],
    mixes={"q": _of_queries, "k": [-2, -1], "v": [-2, -1], "mask": [-1]},
    steps_along=None,
):
    """`softmax(q @ k.T * scale) @ v`: for each query the mean of values, weighted by how well their keys match.

    ONNX MatMul and Softmax.

    `q` is [..., t, d], `k` [..., s, d], `v` [..., s, e], the result [..., t, e]; heads are an axis before `t`. `mask`
    broadcasts to [..., t, s]: where a bool is true the query attends to the key; floats are added to the scores, and
    minus infinity or the lowest number of their dtype excludes the key. With queries of 16 bits they may be f32. With
    `causal` query `i` attends to keys up to `i`. The result of a query that attends to no key is 0. `scale` defaults to
    `d ** -0.5`.

        attention(q: f32[n, 8, t, 32], k: f32[n, 8, s, 32], v: f32[n, 8, s, 32]) -> f32[n, 8, t, 32]
    """

    causal: bool = False
    scale: float | None = None

    def infer(self, q: TensorType, k: TensorType, v: TensorType, mask: TensorType | None = None) -> TensorType:
        scores = _scores(q, k)
        same_dtype("v", q, floating(v, "v"))
        if v.rank < 2:
            raise OpError(f"`v` must be [..., keys, size], but is {v}", argument="v")
        agreed(k.shape[-2], v.shape[-2], f"the number of keys in {k} and that of values in {v} must be equal", "v")
        if mask is not None:
            _fits_scores(mask, scores)
        return q.with_shape((*broadcast(scores.shape[:-2], v.shape[:-2], argument="v"), q.shape[-2], v.shape[-1]))

    def macs(self, y: TensorType, q: TensorType, k: TensorType, v: TensorType, mask: TensorType | None = None) -> Dim:
        return _scores(q, k).elements * q.shape[-1] + y.elements * k.shape[-2]

    def reference(self, np: NumPy, q: Array, k: Array, v: Array, mask: Array | None = None) -> Array:
        return _numpy_weights(np, q, k, mask, self.causal, self.scale) @ v

    def lower(self, e: Emitter, q: Ref, k: Ref, v: Ref, mask: Ref | None = None) -> Ref:
        return e.node("MatMul", _onnx_weights(e, q, k, mask, self.causal, self.scale), v)

    def gradient(
        self, g: Build, dy: Value, y: Value, q: Value, k: Value, v: Value, mask: Value | None = None
    ) -> dict[str, Value]:
        """The weights are lowered to the same nodes as in the forward direction, so that the runtime computes them
        once.

        The gradient of softmax needs the sum of `weights * d_weights` over the keys, which equals that of `dy * y` over
        `e`: far fewer elements.
        """
        weights = g("attention_weights", q, k, mask, causal=self.causal, scale=self.scale)
        d_weights = g("matmul", dy, _turned(g, v))
        shared = g("sum", g("mul", dy, y), axis=-1, keepdims=True)
        gradients = _through_weights(g, d_weights, shared, weights, q, k, mask, self.scale)
        return {**gradients, "v": g("matmul", _turned(g, weights), dy)}


class AttentionWeights(
    Rules,
    name="attention_weights",
    half="f16",
    f32_operands=["mask"],
    mixes={"q": _of_queries, "k": [-2, -1], "mask": [-1]},
    steps_along=None,
):
    """How much each query attends to each key: `attention` without the product with `v`. ONNX MatMul and Softmax.

    `q` is [..., t, d], `k` [..., s, d], the result [..., t, s]; `mask`, `causal` and `scale` as for `attention`.

        attention_weights(q: f32[n, 8, t, 32], k: f32[n, 8, s, 32]) -> f32[n, 8, t, s]
    """

    causal: bool = False
    scale: float | None = None

    def infer(self, q: TensorType, k: TensorType, mask: TensorType | None = None) -> TensorType:
        scores = _scores(q, k)
        if mask is not None:
            _fits_scores(mask, scores)
        return scores

    def macs(self, y: TensorType, q: TensorType, k: TensorType, mask: TensorType | None = None) -> Dim:
        return y.elements * q.shape[-1]

    def reference(self, np: NumPy, q: Array, k: Array, mask: Array | None = None) -> Array:
        return _numpy_weights(np, q, k, mask, self.causal, self.scale)

    def lower(self, e: Emitter, q: Ref, k: Ref, mask: Ref | None = None) -> Ref:
        return _onnx_weights(e, q, k, mask, self.causal, self.scale)

    def gradient(
        self, g: Build, dy: Value, y: Value, q: Value, k: Value, mask: Value | None = None
    ) -> dict[str, Value]:
        shared = g("sum", g("mul", dy, y), axis=-1, keepdims=True)
        return _through_weights(g, dy, shared, y, q, k, mask, self.scale)


# -- gradients ---------------------------------------------------------------------------------------------------------


def _through_weights(
    g: Build,
    d_weights: Value,
    shared: Value,
    weights: Value,
    q: Value,
    k: Value,
    mask: Value | None,
    scale: float | None,
) -> dict[str, Value]:
    """Backward through softmax and the scores. Where no key is allowed the weights are 0, and so are the gradients."""
    d_scores = g("mul", weights, g("sub", d_weights, shared))
    if scale is None:
        size = g.size(q.type.shape[-1], q.type)
        factor = size**-0.5 if isinstance(size, int | float) else g("rsqrt", size)
    else:
        factor = scale
    gradients = {
        "q": g("mul", g("matmul", d_scores, k), factor),
        "k": g("matmul", _turned(g, d_scores), g("mul", q, factor)),
    }
    if mask is None or not mask.type.is_float:
        return gradients
    fits = mask.type.dtype == d_scores.type.dtype
    return {**gradients, "mask": d_scores if fits else g("cast", d_scores, dtype=mask.type.dtype)}


def _turned(g: Build, x: Value) -> Value:
    """With its last two axes exchanged."""
    return g("permute", x, axes=[*range(x.type.rank - 2), -1, -2])


# -- scores ------------------------------------------------------------------------------------------------------------


def _numpy_weights(np: NumPy, q: Array, k: Array, mask: Array | None, causal: bool, scale: float | None) -> Array:
    scores = q @ k.swapaxes(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    scores = np.where(scores <= np.finfo(scores.dtype).min, -np.inf, scores)
    top = np.maximum(np.max(scores, -1, keepdims=True, initial=-np.inf), np.finfo(scores.dtype).min)
    weights = np.exp(scores - top)
    total = np.sum(weights, -1, keepdims=True)
    return weights / np.where(total == 0, 1, total)


def _onnx_weights(e: Emitter, q: Ref, k: Ref, mask: Ref | None, causal: bool, scale: float | None) -> Ref:
    """From scores of 16 bits the weights are computed in f32, as attention kernels do."""
    type, half = _scores(q.type, k.type), q.type.dtype
    turned = [*range(k.type.rank - 2), k.type.rank - 1, k.type.rank - 2]
    scores = e.node("MatMul", e.node("Mul", q, _scale(e, q, scale)), e.node("Transpose", k, perm=turned))
    if half not in ("f16", "bf16"):
        return _softmax(e, scores, type, mask, causal)
    if mask is not None and mask.type.dtype == half:
        mask = _widened_mask(e, mask)
    return cast_to(e, _softmax(e, cast_to(e, scores, "f32"), type.with_dtype("f32"), mask, causal), half)


def _widened_mask(e: Emitter, mask: Ref) -> Ref:
    """A mask of 16 bits as f32, where the lowest number is the lowest still."""
    wide, lowest = cast_to(e, mask, "f32"), e.constant(LOWEST[mask.type.dtype], "f32")
    masked = e.node("Where", e.node("LessOrEqual", wide, lowest), e.constant(LOWEST["f32"], "f32"), wide)
    return masked.typed(mask.type.with_dtype("f32"))


def _softmax(e: Emitter, scores: Ref, type: TensorType, mask: Ref | None, causal: bool) -> Ref:
    dtype, shape = type.dtype, type.shape
    past = _past(e, shape[-2], shape[-1]) if causal else None
    if mask is None or mask.type.dtype == "bool":
        allowed = e.node("And", mask, past) if mask and past else mask or past
        return _allowed_weights(e, scores, allowed, dtype, causal) if allowed else e.node("Softmax", scores, axis=-1)
    lowest = e.constant(LOWEST[dtype], dtype)
    scores = e.node("Max", e.node("Add", scores, mask), lowest)
    scores = e.node("Where", past, scores, lowest) if past else scores
    weights = e.node("Softmax", scores, axis=-1)  # where no key is allowed these are equal, and have to be 0
    top = e.node("ReduceMax", scores, axes_tensor(e, [-1]), keepdims=1)
    return e.node("Mul", weights, cast_to(e, e.node("Greater", top, lowest), dtype))


def _allowed_weights(e: Emitter, scores: Ref, allowed: Ref, dtype: DType, causal: bool) -> Ref:
    """Softmax over the allowed keys; 0 elsewhere, also where no key is allowed.

    Where the result of `exp` is subnormal it takes ten times as long. So with a causal mask, where that would be half
    of all scores, none is left so far below the largest one; a product with zeros removes them.
    """
    nothing, lowest = e.constant(0, dtype), e.constant(LOWEST[dtype], dtype)
    scores = e.node("Add", scores, e.node("Where", allowed, nothing, lowest))
    if causal and dtype == "f32":
        top = e.node("ReduceMax", scores, axes_tensor(e, [-1]), keepdims=1)
        scores = e.node("Max", scores, e.node("Sub", top, e.constant(FAR_BELOW, dtype)))
    return e.node("Mul", e.node("Softmax", scores, axis=-1), cast_to(e, allowed, dtype))


def _scores(q: TensorType, k: TensorType) -> TensorType:
    same_dtype("k", floating(q, "q"), floating(k, "k"))
    for argument, x in ("q", q), ("k", k):
        if x.rank < 2:
            raise OpError(f"`{argument}` must be [..., positions, size], but is {x}", argument=argument)
    agreed(q.shape[-1], k.shape[-1], f"the sizes of the queries in {q} and of the keys in {k} must be equal", "k")
    return q.with_shape((*broadcast(q.shape[:-2], k.shape[:-2], argument="k"), q.shape[-2], k.shape[-2]))


def _fits_scores(mask: TensorType, scores: TensorType) -> None:
    if mask.dtype != "bool" and not (scores.dtype in ("f16", "bf16") and mask.dtype == "f32"):
        same_dtype("mask", scores, mask)
    if mask.rank > scores.rank:
        raise OpError(f"`mask` is {mask}, and has more axes than the scores, {scores}", argument="mask")
    for axis in range(-mask.rank, 0):
        if not is_one(mask.shape[axis]):
            what = f"`mask` must broadcast to the scores, {scores}, but is {mask}"
            agreed(scores.shape[axis], mask.shape[axis], what, "mask")


def _scale(e: Emitter, q: Ref, scale: float | None) -> Ref:
    size, dtype = q.type.shape[-1], q.type.dtype
    if scale is not None or size.constant is not None:
        return e.constant((size.constant or 1) ** -0.5 if scale is None else scale, dtype)
    return e.node("Reciprocal", e.node("Sqrt", cast_to(e, size_of(e, size), dtype)))


def _past(e: Emitter, queries: Dim, keys: Dim) -> Ref:
    """Where the key's position is not after the query's, as bools [queries, keys]."""
    zero, one = e.constant(0, "i64"), e.constant(1, "i64")
    rows, columns = (e.node("Range", zero, size_of(e, size), one) for size in (queries, keys))
    return e.node("GreaterOrEqual", unsqueezed(e, rows, 1), columns)
