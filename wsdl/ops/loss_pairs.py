"""Losses over pairs and triplets of vectors, which pull similar ones together and push others apart."""

from __future__ import annotations

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._rules import floating, same_dtype
from wsdl.ops.build import Build
from wsdl.ops.loss import same_shapes, scalar


def _alike(a: TensorType, b: TensorType, names: tuple[str, str]) -> None:
    same_dtype(names[1], floating(a, names[0]), floating(b, names[1]))
    same_shapes(a, b, names)
    if a.rank == 0:
        raise OpError(f"`{names[0]}` must hold vectors along its last axis, but is a scalar", argument=names[0])


class Contrastive(Rules, name="contrastive", half="expanded", mixes={}):
    """The mean of `distance ** 2` where `same` is true (or positive), of `max(margin - distance, 0) ** 2` elsewhere.

    Pulls pairs of the same class together and pushes others apart, up to the margin (Hadsell, Chopra & LeCun 2006,
    without their factor 1/2). `same` has the shape of `distance`. ONNX Mul, Max and ReduceMean.

        contrastive(distance: f32[n], same: bool[n]) -> f32[]
    """

    margin: float = 1.0

    def infer(self, distance: TensorType, same: TensorType) -> TensorType:
        floating(distance, "distance")
        same_shapes(distance, same, ("distance", "same"))
        return scalar(distance)

    def expand(self, b: Build, distance: Value, same: Value) -> Value:
        pull = _is_same(b, same, distance.type)
        gap = b("relu", b("sub", b.constant(self.margin, distance.type), distance))
        near, far = b.mul(distance, distance, pull), b.mul(gap, gap, b.one_minus(pull))
        return b("mean", b("add", near, far))


def _is_same(b: Build, same: Value, type: TensorType) -> Value:
    """1 for pairs of the same class, 0 for others; `same` is bool, 1 and 0, or 1 and -1."""
    return b.mask(same if same.type.dtype == "bool" else b("greater", same, 0), type)


class Triplet(Rules, name="triplet", half="expanded", mixes={}):
    """The mean of `max(|anchor - positive| - |anchor - negative| + margin, 0)`. ONNX ReduceSum, Sqrt and Relu.

    All are [..., d]; lengths are along the last axis. As PyTorch's `triplet_margin_loss`, including the 1e-6 that it
    adds in each distance.

        triplet(anchor: f32[n, t], positive: f32[n, t], negative: f32[n, t]) -> f32[]
    """

    margin: float = 1.0

    def infer(self, anchor: TensorType, positive: TensorType, negative: TensorType) -> TensorType:
        _alike(anchor, positive, ("anchor", "positive"))
        _alike(anchor, negative, ("anchor", "negative"))
        return scalar(anchor)

    def expand(self, b: Build, anchor: Value, positive: Value, negative: Value) -> Value:
        near, far = _distance(b, anchor, positive), _distance(b, anchor, negative)
        return b("mean", b("relu", b("add", b("sub", near, far), self.margin)))


def _distance(b: Build, x: Value, y: Value) -> Value:
    away = b("add", b("sub", x, y), 1e-6)
    return b("sqrt", b("sum", b.mul(away, away), axis=-1))


class CosineEmbedding(Rules, name="cosine_embedding", half="expanded", mixes={}):
    """The mean of `1 - cosine` where `same` is true (or positive), of `max(cosine - margin, 0)` elsewhere.

    `a` and `b` are [..., d], `same` [...]. ONNX ReduceSum, Div and ReduceMean. As PyTorch's `cosine_embedding_loss`.

        cosine_embedding(a: f32[n, t], b: f32[n, t], same: i64[n]) -> f32[]
    """

    margin: float = 0.0

    def infer(self, a: TensorType, b: TensorType, same: TensorType) -> TensorType:
        _alike(a, b, ("a", "b"))
        same_shapes(a.with_shape(a.shape[:-1]), same, ("a", "same"), "the rows of ")
        return scalar(a)

    def expand(self, build: Build, a: Value, b: Value, same: Value) -> Value:
        cosine = build("cosine_similarity", a, b, axis=-1)
        pull = _is_same(build, same, cosine.type)
        apart = build("relu", build("sub", cosine, self.margin))
        near, far = build.mul(build.one_minus(cosine), pull), build.mul(apart, build.one_minus(pull))
        return build("mean", build("add", near, far))


class InfoNce(Rules, name="info_nce", half="expanded", mixes={}):
    """Which row of `b` belongs to each row of `a`? The cross-entropy of their cosines, divided by `temperature`.

    Row i of `a` [n, d] belongs to row i of `b` [n, d]; the other rows of the batch are negatives (van den Oord et al.
    2018). `symmetric` takes the mean of both directions, as CLIP does. ONNX MatMul and LogSoftmax.

        info_nce(a: f32[n, t], b: f32[n, t], symmetric=true) -> f32[]
    """

    temperature: float = 0.07
    symmetric: bool = False

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        if self.temperature <= 0:
            raise OpError("`temperature` must be more than 0", argument="temperature")
        _alike(a, b, ("a", "b"))
        if a.rank != 2:
            raise OpError(f"`a` must be [n, d], but is {a}", argument="a", help="`flatten` makes it a matrix")
        return scalar(a)

    def expand(self, build: Build, a: Value, b: Value) -> Value:
        rows = build.mul(build("l2_normalize", a, axis=-1), 1 / self.temperature)
        columns = build("l2_normalize", b, axis=-1)
        labels = build("arange", start=Dim.of(0), stop=a.type.shape[0])
        loss = build("cross_entropy", build("gemm", rows, columns, trans_b=True), labels)
        if not self.symmetric:
            return loss
        back = build("cross_entropy", build("gemm", columns, rows, trans_b=True), labels)
        return build.mul(build("add", loss, back), 0.5)
