"""Batch normalization: by running statistics, and, when training, by those of the batch."""

from __future__ import annotations

from wsdl.ir.dims import Dim, product
from wsdl.ir.graph import Value
from wsdl.ir.types import TensorType
from wsdl.ops._define import Rules
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._lowering import axes_tensor, cast_to, size_of, squeezed
from wsdl.ops.build import Build
from wsdl.ops.norm import along_channels, for_each_channel


class BatchNorm(Rules, name="batch_norm", half="f32 inside", mixes={}, training="by batch", steps_along=None):
    """Channels normalized by running mean and variance, then scaled and shifted. ONNX BatchNormalization.

    `x` is [n, channels, ...], all others are [channels]. `momentum` is the weight of new statistics when training.

        batch_norm(x: f32[n, 3, t], weight: f32[3], bias: f32[3], mean: f32[3], var: f32[3]) -> f32[n, 3, t]
    """

    eps: float = 1e-5
    momentum: float = 0.1

    def infer(
        self, x: TensorType, weight: TensorType, bias: TensorType, running_mean: TensorType, running_var: TensorType
    ) -> TensorType:
        statistics = {"running_mean": running_mean, "running_var": running_var}
        for_each_channel(x, {"weight": weight, "bias": bias, **statistics})
        return x

    def reference(
        self, np: NumPy, x: Array, weight: Array, bias: Array, running_mean: Array, running_var: Array
    ) -> Array:
        scale, shift, mean, var = (along_channels(w, x) for w in (weight, bias, running_mean, running_var))
        return (x - mean) / np.sqrt(var + self.eps) * scale + shift

    def lower(self, e: Emitter, x: Ref, weight: Ref, bias: Ref, running_mean: Ref, running_var: Ref) -> Ref:
        return e.node("BatchNormalization", x, weight, bias, running_mean, running_var, epsilon=float(self.eps))

    def gradient(
        self,
        g: Build,
        dy: Value,
        y: Value,
        x: Value,
        weight: Value,
        bias: Value,
        running_mean: Value,
        running_var: Value,
    ) -> dict[str, Value]:
        factors = g("rsqrt", g("add", running_var, self.eps))
        scale, total = g("mul", weight, factors), g("sum", dy, axis=_others(x.type))
        centered = g("sub", x, _beside(g, running_mean, x.type))
        along = g("mul", g("sum", g("mul", dy, centered), axis=_others(x.type)), factors)
        return {
            "x": g("mul", dy, _beside(g, scale, x.type)),
            "weight": along,
            "bias": total,
            "running_mean": g("neg", g("mul", total, scale)),
            "running_var": g.mul(along, scale, factors, -0.5),
        }


def _others(x: TensorType) -> list[int]:
    """All axes but that of the channels."""
    return [0, *range(2, x.rank)]


def _beside(g: Build, weight: Value, x: TensorType) -> Value:
    """A number for each channel, so that it broadcasts to `x`."""
    return g("unsqueeze", weight, axis=list(range(1, x.rank - 1))) if x.rank > 2 else weight


# -- training ----------------------------------------------------------------------------------------------------------


class BatchNormTraining(
    Rules,
    name="batch_norm_training",
    internal=True,
    half="f32",
    mixes={},  # its statistics are those of a part: by definition, not by accident
    steps_along=None,
    at_inference="batch_norm",
):
    """Channels normalized by mean and variance of the batch; the new running statistics. ONNX BatchNormalization.

    `x` is [n, channels, ...], all others are [channels]. The running statistics move by `momentum` towards those of the
    batch, with the unbiased variance. One value for each channel has no such variance, so they stay as they are (where
    PyTorch raises an error).
    """

    eps: float = 1e-5
    momentum: float = 0.1

    def infer(
        self, x: TensorType, weight: TensorType, bias: TensorType, running_mean: TensorType, running_var: TensorType
    ) -> tuple[TensorType, TensorType, TensorType]:
        statistics = {"running_mean": running_mean, "running_var": running_var}
        for_each_channel(x, {"weight": weight, "bias": bias, **statistics})
        return x, running_mean, running_var

    def reference(
        self, np: NumPy, x: Array, weight: Array, bias: Array, running_mean: Array, running_var: Array
    ) -> tuple[Array, Array, Array]:
        others = (0, *range(2, x.ndim))
        mean, var, count = np.mean(x, axis=others), np.var(x, axis=others), x.size // x.shape[1]
        scale, shift, middle, spread = (along_channels(w, x) for w in (weight, bias, mean, var))
        y = (x - middle) / np.sqrt(spread + self.eps) * scale + shift
        if count < 2:
            return y, running_mean, running_var
        batch = mean, var * (count / (count - 1))
        return y, *(
            (1 - self.momentum) * old + self.momentum * new
            for old, new in zip((running_mean, running_var), batch, strict=True)
        )

    def lower(self, e: Emitter, x: Ref, weight: Ref, bias: Ref, running_mean: Ref, running_var: Ref) -> list[Ref]:
        """The statistics are computed by the same nodes as in the gradient, so that the runtime computes them once."""
        others, dtype = axes_tensor(e, _others(x.type)), x.type.dtype
        mean = e.node("ReduceMean", x, others, keepdims=1)
        centered = e.node("Sub", x, mean)
        var = e.node("ReduceMean", e.node("Mul", centered, centered), others, keepdims=1)
        mean, var = (squeezed(e, v, *_others(x.type)) for v in (mean, var))
        y = e.node("BatchNormalization", x, weight, bias, mean, var, epsilon=float(self.eps))
        left, step = (e.constant(number, dtype) for number in (1 - self.momentum, self.momentum))
        count = product([x.type.shape[a] for a in _others(x.type)])
        if count.constant is not None and count.constant < 2:
            return [y, e.node("Identity", running_mean), e.node("Identity", running_var)]
        sample = e.node("Mul", var, _sample_factor(e, count, x))
        several = None if count.constant is not None else e.node("Greater", size_of(e, count), e.constant(1, "i64"))

        def moved(old: Ref, new: Ref) -> Ref:
            latest = e.node("Add", e.node("Mul", old, left), e.node("Mul", new, step))
            return latest if several is None else e.node("Where", several, latest, old)

        return [y, moved(running_mean, mean), moved(running_var, sample)]

    def gradient(
        self,
        g: Build,
        dys: list[Value | None],
        ys: list[Value],
        x: Value,
        weight: Value,
        bias: Value,
        running_mean: Value,
        running_var: Value,
    ) -> dict[str, Value]:
        """`dx` is `a * dy + b * (x - mean) + c`, with three coefficients for each channel."""
        dy, d_mean, d_var = dys
        others = _others(x.type)
        count = g.size(product([x.type.shape[a] for a in others]), x.type)
        centered = g("sub", x, g("mean", x, axis=others, keepdims=True))
        gradients: dict[str, Value] = {}
        on_centered: list[Value] = []
        level: list[Value] = []
        if dy:
            var = g("squeeze", g("mean", g("mul", centered, centered), axis=others, keepdims=True), axis=others)
            factors = g("rsqrt", g("add", var, self.eps))
            scale, total = g("mul", weight, factors), g("sum", dy, axis=others)
            along = g("mul", g("sum", g("mul", dy, centered), axis=others), factors)
            gradients = {"weight": along, "bias": total}
            on_centered.append(g("neg", g("div", g.mul(along, scale, factors), count)))
            level.append(g("neg", g("div", g("mul", total, scale), count)))
        moved: float | Value = self.momentum  # the factor by which the running statistics move
        if isinstance(count, Value):
            fewer: float | Value = g("maximum", g("sub", count, 1.0), 1.0)
            if d_mean or d_var:
                moved = g("mul", g.mask(g("greater", count, 1.0), x.type), self.momentum)
        else:
            fewer, moved = max(count - 1, 1), self.momentum if count > 1 else 0.0
        left = g.one_minus(moved) if isinstance(moved, Value) else 1 - moved
        if d_mean:
            gradients["running_mean"] = g("mul", d_mean, left)
            level.append(g("div", g("mul", d_mean, moved), count))
        if d_var:
            gradients["running_var"] = g("mul", d_var, left)
            on_centered.append(g("div", g("mul", g("mul", d_var, 2.0), moved), fewer))
        parts = [g("mul", centered, _beside(g, g.add(on_centered), x.type))] if on_centered else []
        if dy:
            parts.append(_scaled(g, dy, scale, g.add(level)))
        elif level:
            parts.append(_beside(g, g.add(level), x.type))
        return {"x": g.expand(g.add(parts), x.type), **gradients}


def _sample_factor(e: Emitter, count: Dim, x: Ref) -> Ref:
    """The factor from the variance of a sample to the unbiased estimate."""
    dtype = x.type.dtype
    if count.constant is not None:
        return e.constant(count.constant / (count.constant - 1), dtype)
    all, fewer = (cast_to(e, size_of(e, d), dtype) for d in (count, count - 1))
    return e.node("Div", all, e.node("Max", fewer, e.constant(1, dtype)))


def _scaled(g: Build, x: Value, scale: Value, shift: Value) -> Value:
    """Each channel times a number, plus a number: BatchNormalization with mean 0 and variance 1, which takes a single
    pass."""
    zeros = g.zeros(scale.type)
    return g("batch_norm", x, scale, shift, zeros, g("ones", shape=list(scale.type.shape), dtype=x.type.dtype), eps=0.0)
