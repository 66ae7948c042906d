"""Programs whose losses and metrics reduce over rows in many ways, and data to cut."""

# ruff: noqa: E501  (tables of expressions)

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tests.compiling import compiled_once

TEXT = """
model m(x: f32[n, 6]) -> (y: f32[n, 4]) {
    layer head = Dense(4)
    return x |> head |> tanh
}

train m(t: f32[n, 4], label: i64[n], w: f32[4]) {
    e = y - t
    LINES
    optimizer SGD(lr=0.1)
}
"""

WRITTEN = [  # as somebody would write them
    "sum(mean(e ** 2, axis=0))", "max(abs(e))", "1 - mean(e ** 2) / var(t)", "sqrt(mean(e ** 2))", "sum(e ** 2) / n",
    "mean(y) / mean(abs(t))", "mean(e / n)", "sum(var(e, axis=0, correction=1))", "min(e) + max(e, axis=0)[0]",
    "1 - sum(e ** 2) / sum((t - mean(t, axis=0)) ** 2)", "mean((e - mean(e)) ** 4) / mean((e - mean(e)) ** 2) ** 2",
    "mean((y - mean(y)) * (t - mean(t))) / sqrt(var(y) * var(t))", "sum((e.T @ e) ** 2) / n ** 2",
    "sum(mean((y - mean(y, axis=0)).T @ (t - mean(t, axis=0)) / n, axis=0) ** 2)", "exp(cross_entropy(y, label))",
    "sum(einsum(\"ni,nj->ij\", e, t) ** 2) / n ** 2", "mean(softmax(e, axis=0) * t) * n", "e[:, 0] ** 2", "mean(w * e) ** 2",
    "sum(log_softmax(e, axis=0) * t) / n", "sum(l2_normalize(e, axis=0) * t)", "sum(cosine_similarity(e, t, axis=0))",
    "sqrt(cross_entropy(y, label, weight=abs(w[0:4]), ignore_index=1))", "nll(log_softmax(y), label) ** 2",
    "sum(head.weight ** 2)", "sum(head.weight ** 2) * mean(e ** 2)", "mean(reshape(e, [n * 4]) ** 2) ** 2", "huber(y, t)",
    "sum(mean(reshape(e, [n, 2, 2]), axis=[0, 1]) ** 2)", "sum(mean(transpose(e), axis=1) ** 2)", "mean(cumsum(e, axis=1))",
    "sum(w * mean(e, axis=0)) * sum(head.weight ** 2)", "prod(1 + 0.01 * e)", "prod(e[:, 0] * cast(label, f32))",
    "mean(((e - mean(e, axis=0)) / sqrt(var(e, axis=0) + 0.1)) ** 4)", "mean((e - stop_gradient(mean(e))) ** 2)",
    "mean((e * head.bias - mean(e * sum(head.weight ** 2))) ** 2)", "mean(exp(e - logsumexp(e, axis=0)) * t)",
    "sum(w * std(e, axis=0, correction=1)) + std(y) / std(t)", "mean(cumprod(1 + 0.1 * e, axis=1) * t)",
    "sum(segment_softmax(e, label, 3) ** 2)", "sum(segment_min(e, label, 3)) + mean(logaddexp(y, t))",
    "sum(scatter_max(zeros([3, 4]), label, e) ** 2)", "sum(scatter_mean(ones([3, 4]), label, e) ** 2)",
    "sum(sort(e, axis=1) * w) / n", "mean(quantile(e, 0.3, axis=1) ** 2)",
]  # fmt: skip
THROUGH_ALL = [  # change with what is trained through numbers of all rows alone
    "mean(abs(x[:, 0:4] * sum(y, axis=0) - t))", "mean((mean(t * mean(y), axis=0) - t) ** 2)",
    "mean((t * (mean(t, axis=0) + head.bias)) ** 2)", "mean((gradient(sum(mean(x, axis=0) @ head.weight.T), x) + x) ** 2)",
    "mean((t * mean(t * head.bias ** 2, axis=0) * sum(head.weight ** 2) * max(t, axis=0) - t) ** 2)",
]  # fmt: skip
COUNTS = [  # numbers that nothing can be learned from
    "n", "mean(e > 0)", "cast(max(cast(e > 3, i64)), f32)", "sum(sum(one_hot(label, 3), axis=0) ** 2) / n ** 2", "sum(w)",
    "mean(argmax(y, axis=1) == label)", "n * (n - 1) // 2", "max(label) * 2", "mean(max(cast(label, f32)) - e)",
]  # fmt: skip

# Each reduction of each reduction, with what lies in between; all are smooth, and of about the size of 1.
REDUCTIONS = [
    "sum({0}{1}) / n", "mean({0}{1})", "var({0}{1})", "max({0}{1})", "min({0}{1})", "logsumexp({0}{1}) - 3",
    "prod(1 + 0.02 * ({0}){1})",
]  # fmt: skip
AXES = ["", ", axis=0", ", axis=0, keepdims=true"]
INSIDE = ["e - {}", "e * {}", "tanh(t + {}) * y", "(y + {}) ** 2"]


def nested(every: int = 1) -> Iterator[str]:
    """Every so many of all nestings."""
    found = 0
    for outer in REDUCTIONS:
        for inner in REDUCTIONS:
            for between in INSIDE:
                for axes in AXES:
                    found += 1
                    if found % every == 0:
                        inside = between.format(f"({inner.format('e', axes)})")
                        yield f"mean({outer.format(inside, AXES[found // every % 3])})"


def program(*lines: str) -> Any:
    return compiled_once(TEXT.replace("LINES", "\n    ".join(lines)))


def with_metrics(expressions: Sequence[str]) -> Any:
    return program("loss mse(y, t)", *(f"metric m{i} = {text}" for i, text in enumerate(expressions)))


def batch(rows: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "x": rng.normal(size=(rows, 6)).astype("f4"),
        "t": (rng.normal(size=(rows, 4)) + 0.5).astype("f4"),
        "label": rng.integers(0, 3, rows),
        "w": rng.normal(size=4).astype("f4"),
    }


def cut(whole: dict[str, Any], ends: Sequence[int]) -> list[dict[str, Any]]:
    pieces = zip((0, *ends), (*ends, None), strict=True)
    return [{name: a if name == "w" else a[low:high] for name, a in whole.items()} for low, high in pieces]
