"""Losses: a scalar for a batch, the mean over its rows (or elements), as PyTorch's functions return by default.

Only `cross_entropy` has rules of its own, which save passes over the logits; the others, and those in `loss_pairs.py`,
expand to other operations.
"""

from __future__ import annotations

from wsdl.ir.dims import product
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType, shape_text
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError, require_equal
from wsdl.ops._interfaces import Array, Emitter, Merged, NumPy, Ref
from wsdl.ops._lowering import axes_tensor, cast_to, from_start, size_of, unsqueezed
from wsdl.ops._rules import floating, same_dtype
from wsdl.ops._traits import Expected
from wsdl.ops.build import Build

IGNORED = -100  # the label of rows that don't count, PyTorch's default
SMALLEST = {"f16": 1e-7, "bf16": 1e-37, "f32": 1e-37, "f64": 1e-300}  # has a finite logarithm


def scalar(x: TensorType) -> TensorType:
    return TensorType(x.dtype, ())


def same_shapes(a: TensorType, b: TensorType, names: tuple[str, str], what: str = "") -> None:
    """Losses don't broadcast: [n] against [n, 1] would compare every row with every other."""
    if a.rank != b.rank:
        more, less = (b, a) if b.rank > a.rank else (a, b)
        ones = [i for i, d in enumerate(more.shape) if d.constant == 1]
        help = f"`squeeze` removes the axis of size 1 from {more}" if ones and more.rank == less.rank + 1 else None
        message = f"{what}`{names[0]}` and `{names[1]}` must have the same shape, but are {a} and {b}"
        raise OpError(message, argument=names[1], help=help)
    for i, (left, right) in enumerate(zip(a.shape, b.shape, strict=True)):
        message = f"along axis {i}, the sizes of {what}`{names[0]}` and `{names[1]}` must be equal"
        require_equal(left, right, message, argument=names[1])


def _pair(prediction: TensorType, target: TensorType) -> TensorType:
    same_dtype("target", floating(prediction, "prediction"), floating(target, "target"))
    same_shapes(prediction, target, ("prediction", "target"))
    return scalar(prediction)


# -- classes -----------------------------------------------------------------------------------------------------------


def _classes(scores: TensorType, labels: TensorType, weight: TensorType | None, names: tuple[str, str]) -> TensorType:
    """Checks [..., classes] against labels [...], and `weight` [classes]."""
    floating(scores, names[0])
    if scores.rank == 0 or labels.rank != scores.rank - 1:
        message = f"for `{names[0]}` {scores}, `{names[1]}` must be {shape_text(scores.shape[:-1])}"
        help = "`argmax` turns one-hot rows into labels" if labels.rank == scores.rank else "classes are the last axis"
        raise OpError(f"{message}, but is {labels}", argument=names[1], help=help)
    for i, (left, right) in enumerate(zip(scores.shape, labels.shape, strict=False)):
        what = f"along axis {i}, the sizes of `{names[0]}` and `{names[1]}` must be equal"
        require_equal(left, right, what, argument=names[1])
    if weight is not None:
        same_dtype("weight", scores, weight)
        if weight.rank != 1:
            raise OpError(f"`weight` needs one element for each class, but is {weight}", argument="weight")
        require_equal(scores.shape[-1], weight.shape[0], "`weight` needs one element for each class", argument="weight")
    return scalar(scores)


class CrossEntropy(
    Rules,
    name="cross_entropy",
    half="f32",
    mixes={"logits": [-1], "weight": [0]},
    expects=Expected("logits", "logits", "takes logits, and applies softmax itself"),
    steps_along=None,
    reduces={"logits": slice(0, -1), "labels": slice(None)},
    integer_operands=["labels"],
):
    """The mean of `-log(softmax(logits)[label])` over all rows. ONNX LogSoftmax, GatherElements and ReduceSum.

    `logits` are [..., classes], with the classes as the *last* axis, `labels` [...] integers from 0. `weight` [classes]
    is the weight of each class, also in the mean. `label_smoothing` spreads that share of each target evenly over all
    classes. Rows with the label `ignore_index` are left out; any other label that is no class stops the run. `total` is
    the divisor in place of the sum of the labels' weights, for a part of a batch. As PyTorch's `cross_entropy`; as
    there, `weight` has no gradient.

        cross_entropy(logits: f32[n, t, 5], labels: i64[n, t]) -> f32[]
    """

    label_smoothing: float = 0.0
    ignore_index: int = -100

    def infer(
        self, logits: TensorType, labels: TensorType, weight: TensorType | None = None, total: TensorType | None = None
    ) -> TensorType:
        if not 0 <= self.label_smoothing <= 1:
            raise OpError("`label_smoothing` must be from 0 to 1", argument="label_smoothing")
        if total is not None:
            same_dtype("total", logits, total)
            if total.rank:
                raise OpError(f"`total` must be a scalar, but is {total}", argument="total")
        return _classes(logits, labels, weight, ("logits", "labels"))

    def reference(
        self, np: NumPy, logits: Array, labels: Array, weight: Array | None = None, total: Array | None = None
    ) -> Array:
        classes = logits.shape[-1]
        x, labels = logits.reshape(-1, classes), labels.reshape(-1).astype(np.int64)
        below = x - np.max(x, axis=1, keepdims=True)
        log_p = below - np.log(np.sum(np.exp(below), axis=1, keepdims=True))
        kept = labels != self.ignore_index
        safe = np.where(kept, labels, 0)
        if (safe < 0).any():
            raise IndexError("a label is negative")
        of_class = np.ones(classes, x.dtype) if weight is None else weight
        rows = of_class[safe] * kept
        picked = -np.sum(rows * log_p[np.arange(len(safe)), safe])
        spread = -np.sum(kept * np.sum(log_p * of_class, axis=1)) / classes
        return ((1 - self.label_smoothing) * picked + self.label_smoothing * spread) / (
            np.sum(rows) if total is None else total
        )

    def lower(self, e: Emitter, logits: Ref, labels: Ref, weight: Ref | None = None, total: Ref | None = None) -> Ref:
        """`Softmax` or `LogSoftmax`, the same node as in the gradient, so that the runtime computes it once."""
        dtype, classes = logits.type.dtype, logits.type.shape[-1]
        rows = product(labels.type.shape)
        x = e.reshape(logits, (rows, classes))
        flat = e.reshape(labels, (rows,))
        flat = flat if labels.type.dtype == "i64" else cast_to(e, flat, "i64").typed(labels.type.with_dtype("i64"))
        kept = e.node("Not", e.node("Equal", flat, e.constant(self.ignore_index, "i64")))
        inside = flat if labels.type.dtype == "u8" else from_start(e, flat, classes)
        safe = e.node("Where", kept, inside, e.constant(0, "i64"))
        counts = cast_to(e, kept, dtype)
        scale = counts if weight is None else e.node("Mul", counts, e.node("Gather", weight, safe))
        column = unsqueezed(e, safe, 1)

        def picked(x: Ref) -> Ref:
            picks = e.node("GatherElements", x, column, axis=1)
            e.assume(f"labels from 0 to {classes - 1}, or {self.ignore_index}")
            return picks

        if _needs_all(dtype, self.label_smoothing):
            log_p = e.node("LogSoftmax", x, axis=-1)
            picks = picked(log_p)
        else:  # the largest probability is that of the largest logit, and large enough for a logarithm
            on = axes_tensor(e, [1])
            above = e.node("Sub", picked(x), e.node("ReduceMax", x, on, keepdims=1))
            largest = e.node("ReduceMax", e.node("Softmax", x, axis=-1), on, keepdims=1)
            picks = e.node("Add", above, e.node("Log", largest))
        summed = e.node("ReduceSum", e.node("Mul", e.node("Squeeze", picks, axes_tensor(e, [1])), scale), keepdims=0)
        if self.label_smoothing:
            each = log_p if weight is None else e.node("Mul", log_p, weight)
            spread = e.node("Mul", e.node("ReduceSum", each, axes_tensor(e, [1]), keepdims=0), counts)
            spread = e.node("Div", e.node("ReduceSum", spread, keepdims=0), cast_to(e, size_of(e, classes), dtype))
            parts = [(summed, 1 - self.label_smoothing), (spread, self.label_smoothing)]
            summed = e.node("Add", *(e.node("Mul", part, e.constant(share, dtype)) for part, share in parts))
        by = e.node("ReduceSum", scale, keepdims=0) if total is None else total
        return e.node("Neg", e.node("Div", summed, by))

    def gradient(
        self,
        g: Build,
        dy: Value,
        y: Value,
        logits: Value,
        labels: Value,
        weight: Value | None = None,
        total: Value | None = None,
    ) -> dict[str, Value]:
        """`softmax - one_hot(labels)`, scaled; smoothing and weights change the scales of the rows."""
        rows, classes = product(labels.type.shape), logits.type.shape[-1]
        x = g.like(logits, logits.type.with_shape((rows, classes)))
        all_of_them = _needs_all(x.type.dtype, self.label_smoothing)
        softmax = g("exp", g("log_softmax", x, axis=-1)) if all_of_them else g("softmax", x, axis=-1)
        flat = g.like(labels, labels.type.with_shape((rows,)))
        safe, kept = _safe_labels(g, flat, x.type, self.ignore_index)
        scale = kept if weight is None else g.mul(g("gather", weight, safe), kept)
        share = g("div", dy, g("sum", scale) if total is None else total)
        at_label = g.mul(scale, g.mul(share, 1 - self.label_smoothing))
        if not self.label_smoothing:  # scaled last, so that a matrix product after it can scale its own rows instead
            minus_one = g.expand(g.constant(-1.0, x.type), x.type.with_shape((rows, 1)))
            dx = g("scatter_add_along", softmax, g("unsqueeze", safe, axis=1), minus_one, axis=1)
            return {"logits": g.like(g.mul(dx, g("unsqueeze", at_label, axis=1)), logits.type)}
        even = g.mul(kept, g("div", g.mul(share, self.label_smoothing), g.size(classes, x.type)))
        all_classes = g.size(classes, x.type) if weight is None else g("sum", weight)
        everywhere = g("add", at_label, g.mul(even, all_classes))
        dx = g.mul(softmax, g("unsqueeze", everywhere, axis=1))
        column = g("unsqueeze", even, axis=1)
        dx = g("sub", dx, column if weight is None else g.mul(column, weight))
        dx = g(
            "scatter_add_along", dx, g("unsqueeze", safe, axis=1), g("neg", g("unsqueeze", at_label, axis=1)), axis=1
        )
        return {"logits": g.like(dx, logits.type)}

    def merge(
        self,
        b: Build,
        merged: Merged,
        y: Value,
        logits: Value,
        labels: Value,
        weight: Value | None = None,
        total: Value | None = None,
    ) -> Value:
        return merged("sum", y) if total is not None else merged("mean", y, self._count(b, logits, labels, weight))

    def share(
        self,
        b: Build,
        merged: Merged,
        y: Value,
        logits: Value,
        labels: Value,
        weight: Value | None = None,
        total: Value | None = None,
    ) -> Value:
        if total is not None:
            return y
        total = merged("sum", self._count(b, logits, labels, weight))
        return b(self.name, logits, labels, weight, total, **vars(self))

    def _count(self, b: Build, logits: Value, labels: Value, weight: Value | None) -> Value:
        """The sum of the weights of all labels that count."""
        flat = b.like(labels, labels.type.with_shape((product(labels.type.shape),)))
        safe, kept = _safe_labels(b, flat, logits.type, self.ignore_index)
        return b("sum", kept if weight is None else b.mul(b("gather", weight, safe), kept))


def _needs_all(dtype: str, label_smoothing: float) -> bool:
    """Does `cross_entropy` take the logarithm of every probability? (`ReduceMax` has no kernel for 16-bit floats.)"""
    return label_smoothing > 0 or dtype not in ("f32", "f64")


def _safe_labels(b: Build, flat: Value, x: TensorType, ignore_index: int) -> tuple[Value, Value]:
    """The labels, with 0 in place of ignored ones; and 1 where a label counts, 0 where it is ignored."""
    labels = flat if flat.type.dtype == "i64" else b("cast", flat, dtype="i64")  # u8 has no negative numbers
    kept = b("not_equal", labels, ignore_index)
    return b("where", kept, labels, b("constant", value=0, dtype="i64")), b.mask(kept, x)


class Nll(
    Rules,
    name="nll",
    half="expanded",
    mixes={},
    expects=Expected("log_probabilities", "log probabilities", "takes logarithms of probabilities"),
    integer_operands=["labels"],
):
    """The mean of `-log_probabilities[label]` over all rows: `cross_entropy` after `log_softmax`. ONNX GatherElements.

    `log_probabilities` are [..., classes], `labels` [...]; other arguments as for `cross_entropy`. As PyTorch's
    `nll_loss`.

        nll(log_probabilities: f32[n, t, 5], labels: i64[n, t]) -> f32[]
    """

    ignore_index: int = -100

    def infer(self, log_probabilities: TensorType, labels: TensorType, weight: TensorType | None = None) -> TensorType:
        return _classes(log_probabilities, labels, weight, ("log_probabilities", "labels"))

    def expand(self, b: Build, log_probabilities: Value, labels: Value, weight: Value | None = None) -> Value:
        x = log_probabilities
        rows = product(labels.type.shape)
        flat_x = b.like(x, x.type.with_shape((rows, x.type.shape[-1])))
        flat = b.like(labels, labels.type.with_shape((rows,)))
        safe, kept = _safe_labels(b, flat, x.type, self.ignore_index)
        scale = kept if weight is None else b.mul(b("gather", weight, safe), kept)
        picks = b("take_along", flat_x, b("unsqueeze", safe, axis=1), axis=1, from_end=False)
        picks = b("squeeze", picks, axis=1)
        return b("neg", b("div", b("sum", b.mul(picks, scale)), b("sum", scale)))


class BceWithLogits(
    Rules,
    name="bce_with_logits",
    half="expanded",
    mixes={},
    expects=Expected("logits", "logits", "takes logits, and applies sigmoid itself"),
):
    """The mean binary cross-entropy of `sigmoid(logits)`, without overflow. ONNX Softplus, Mul, Sub and ReduceMean.

    `target` has the shape of `logits` and values from 0 to 1; `pos_weight`, which broadcasts, is the weight of positive
    targets. As PyTorch's `binary_cross_entropy_with_logits`.

        bce_with_logits(logits: f32[n, t], target: f32[n, t]) -> f32[]
    """

    def infer(self, logits: TensorType, target: TensorType, pos_weight: TensorType | None = None) -> TensorType:
        same_dtype("target", floating(logits, "logits"), floating(target, "target"))
        same_shapes(logits, target, ("logits", "target"))
        if pos_weight is not None:
            same_dtype("pos_weight", logits, pos_weight)
            if pos_weight.rank > logits.rank:
                raise OpError(f"`pos_weight` {pos_weight} doesn't broadcast to {logits}", argument="pos_weight")
            for left, right in zip(logits.shape[::-1], pos_weight.shape[::-1], strict=False):
                if right.constant != 1:
                    what = f"`pos_weight` {pos_weight} must broadcast to {logits}"
                    require_equal(left, right, what, argument="pos_weight")
        return scalar(logits)

    def expand(self, b: Build, logits: Value, target: Value, pos_weight: Value | None = None) -> Value:
        if pos_weight is None:
            return b("mean", b("sub", b("softplus", logits), b.mul(logits, target)))
        factor = b("add", b.mul(target, b("sub", pos_weight, 1.0)), 1.0)
        wrong = b.mul(factor, b("softplus", b("neg", logits)))
        return b("mean", b("add", b.mul(b.one_minus(target), logits), wrong))


class KlDiv(Rules, name="kl_div", half="expanded", mixes={}):
    """The Kullback-Leibler divergence of predictions from `target`, the mean over rows. ONNX Log, Sub, ReduceMean.

    That of a row is the sum over the last axis of `target * (log(target) - log_probabilities)`. For [n, classes] as
    PyTorch's `kl_div` with `reduction="batchmean"`, which its documentation recommends.

        kl_div(log_probabilities: f32[n, t], target: f32[n, t]) -> f32[]
    """

    def infer(self, log_probabilities: TensorType, target: TensorType) -> TensorType:
        same_dtype("target", floating(log_probabilities, "log_probabilities"), floating(target, "target"))
        same_shapes(log_probabilities, target, ("log_probabilities", "target"))
        if target.rank == 0:
            raise OpError("`target` must hold probabilities along its last axis, but is a scalar", argument="target")
        return scalar(target)

    def expand(self, b: Build, log_probabilities: Value, target: Value) -> Value:
        log_target = b("log", b("maximum", target, SMALLEST[target.type.dtype]))
        positive = b.mask(b("greater", target, 0), target.type)  # a target of 0 adds nothing, and has no gradient
        terms = b.mul(target, positive, b("sub", log_target, log_probabilities))
        return b("mean", b("sum", terms, axis=-1))


# -- regression --------------------------------------------------------------------------------------------------------


class Mse(Rules, name="mse", half="expanded", mixes={}):
    """The mean of the squared errors. ONNX Sub, Mul and ReduceMean. As PyTorch's `mse_loss`.

    mse(prediction: f32[n, t], target: f32[n, t]) -> f32[]
    """

    def infer(self, prediction: TensorType, target: TensorType) -> TensorType:
        return _pair(prediction, target)

    def expand(self, b: Build, prediction: Value, target: Value) -> Value:
        error = b("sub", prediction, target)
        return b("mean", b.mul(error, error))


class Mae(Rules, name="mae", half="expanded", mixes={}):
    """The mean of the absolute errors. ONNX Sub, Abs and ReduceMean. As PyTorch's `l1_loss`.

    mae(prediction: f32[n, t], target: f32[n, t]) -> f32[]
    """

    def infer(self, prediction: TensorType, target: TensorType) -> TensorType:
        return _pair(prediction, target)

    def expand(self, b: Build, prediction: Value, target: Value) -> Value:
        return b("mean", b("abs", b("sub", prediction, target)))


class Huber(Rules, name="huber", half="expanded", mixes={}):
    """The mean of half the squared error, which is linear from `delta` on. ONNX Abs, Min, ReduceMean.

    As PyTorch's `huber_loss`.

        huber(prediction: f32[n, t], target: f32[n, t]) -> f32[]
    """

    delta: float = 1.0

    def infer(self, prediction: TensorType, target: TensorType) -> TensorType:
        if self.delta <= 0:
            raise OpError("`delta` must be more than 0", argument="delta")
        return _pair(prediction, target)

    def expand(self, b: Build, prediction: Value, target: Value) -> Value:
        error = b("abs", b("sub", prediction, target))
        clipped = b("minimum", error, self.delta)
        return b("mean", b.mul(clipped, b("sub", error, b.mul(clipped, 0.5))))
