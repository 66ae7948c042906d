"""Losses against `torch.nn.functional`."""

# ruff: noqa: E501  (a table has one row in a line)

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tests.ops.build import Array, random_array, typed
from tests.ops.case import FLOATS, Made, _maker, below, case, numbers, positive


def labels(limit: int, type: str, *, ignored: int | None = None) -> Made:
    """Numbers of classes; every third is `ignored`."""
    inner = below(limit, type)

    def make(key: str) -> Array:
        array = inner(key)
        if ignored is not None:
            array.reshape(-1)[1::3] = ignored
        return array

    return _maker(f"labels {limit} {type} {ignored}", make)


def probabilities(type: str) -> Made:
    """Rows that add up to 1, with some zeros."""

    def make(key: str) -> Array:
        array = np.maximum(random_array(typed(type), key), 0) + 1e-3
        array[..., 0] = 0
        return np.asarray(array / array.sum(-1, keepdims=True), array.dtype)

    return _maker(f"probabilities {type}", make)


def log_probabilities(type: str) -> Made:
    def make(key: str) -> Array:
        array = random_array(typed(type), key)
        return np.asarray(array - np.log(np.exp(array.astype(np.float64)).sum(-1, keepdims=True)), array.dtype)

    return _maker(f"log of probabilities {type}", make)


def classes_last(function: Any) -> Any:
    """PyTorch has the classes as axis 1."""

    def given(x: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor | None = None) -> Any:
        weight = None if weight is None else weight.detach()
        return function(x.movedim(-1, 1) if x.ndim > 1 else x, labels.long(), weight)

    return given


cross = classes_last(lambda x, y, w: F.cross_entropy(x, y, w))


def part(x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor | None, total: torch.Tensor) -> torch.Tensor:
    """The share of a part in a whole whose labels weigh `total`."""
    weight = None if weight is None else weight.detach()
    return F.cross_entropy(x, y, weight, reduction="sum", label_smoothing=0.1) / total.detach()


smooth = classes_last(lambda x, y, w: F.cross_entropy(x, y, w, label_smoothing=0.1))
nll = classes_last(lambda x, y, w: F.nll_loss(x, y, w))
WEIGHT = numbers([0.5, 1.0, 2.0, 0.0, 3.0])
SIGN = numbers([1, -1, 1, -1], "int64")
SAME = numbers([1, 0, 1, 0], "float32")


def contrast(d: torch.Tensor, same: torch.Tensor, margin: float = 1.0) -> torch.Tensor:
    return torch.where(same > 0, d**2, torch.relu(margin - d) ** 2).mean()


def weighted_nll(x: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """PyTorch's own doesn't differentiate the weights."""
    rows = weight[labels.clamp_min(0).long()] * (labels >= 0)
    written = -(x.gather(-1, labels.clamp_min(0).long()[..., None])[..., 0] * rows).sum() / rows.sum()
    torch.testing.assert_close(nll(x, labels, weight), written)
    return written


def weighted_bce(x: torch.Tensor, y: torch.Tensor, pos_weight: torch.Tensor) -> torch.Tensor:
    """PyTorch's own doesn't differentiate the weight."""
    written = -(pos_weight * y * F.logsigmoid(x) + (1 - y) * F.logsigmoid(-x)).mean()
    same = F.binary_cross_entropy_with_logits(x, y, pos_weight=pos_weight.detach())
    torch.testing.assert_close(same, written)
    return written


def nce(a: torch.Tensor, b: torch.Tensor, temperature: float) -> torch.Tensor:
    return F.cross_entropy(F.normalize(a) @ F.normalize(b).T / temperature, torch.arange(len(a)))


CASES = [
    *(case("cross_entropy", f"{d}[4, 5]", labels(5, "i64[4]"), torch=cross, slack=2) for d in FLOATS),
    case("cross_entropy", "f32[4, 3, 5]", labels(5, "i64[4, 3]"), torch=cross),
    case("cross_entropy", "f32[4, 3, 2, 5]", labels(5, "i32[4, 3, 2]"), torch=cross),
    case("cross_entropy", "f32[4, 3, 5]", labels(5, "u8[4, 3]"), torch=cross),
    case("cross_entropy", "f32[5]", labels(5, "i64[]"), torch=cross),
    case("cross_entropy", "f32[6, 5]", labels(5, "i64[6]", ignored=-100), None, positive("f32[]"), label_smoothing=0.1, torch=part),
    case("cross_entropy", "f32[6, 5]", labels(5, "i64[6]"), positive("f32[5]"), positive("f32[]"), label_smoothing=0.1, torch=part),
    case("cross_entropy", "f32[6, 5]", labels(5, "i64[6]", ignored=-100), torch=cross),
    case("cross_entropy", "f32[6, 5]", labels(5, "i64[6]", ignored=0), ignore_index=0, torch=lambda x, y: F.cross_entropy(x, y, ignore_index=0)),
    case("cross_entropy", "f32[6, 5]", labels(5, "i64[6]"), WEIGHT, torch=cross),
    case("cross_entropy", "f32[6, 5]", labels(5, "i64[6]"), label_smoothing=0.1, torch=smooth),
    case("cross_entropy", "f32[6, 5]", labels(5, "i64[6]", ignored=-100), WEIGHT, label_smoothing=0.1, torch=smooth),
    case("cross_entropy", "f32[4, 3, 5]", labels(5, "i64[4, 3]", ignored=-100), label_smoothing=0.1, torch=smooth),
    case("cross_entropy", numbers([[1e4, 0, -1e4], [-1e4, 1e4, 0]]), numbers([2, 1], "int64"), torch=cross),
    case("nll", log_probabilities("f32[6, 5]"), labels(5, "i64[6]"), torch=nll),
    case("nll", log_probabilities("f32[6, 3, 5]"), labels(5, "i32[6, 3]", ignored=-100), WEIGHT, torch=weighted_nll),
    case("nll", log_probabilities("f32[6, 5]"), labels(5, "u8[6]"), torch=nll),
    case("nll", log_probabilities("f64[6, 5]"), labels(5, "i64[6]", ignored=2), ignore_index=2, torch=lambda x, y: F.nll_loss(x, y, ignore_index=2)),
    *(case("bce_with_logits", f"{d}[4, 3]", probabilities(f"{d}[4, 3]"), torch=F.binary_cross_entropy_with_logits) for d in ("f16", "f32")),
    case("bce_with_logits", "f64[4, 3]", probabilities("f64[4, 3]"), torch=F.binary_cross_entropy_with_logits, runs=False),
    case("bce_with_logits", numbers([-1e4, -50.0, 50.0, 1e4]), numbers([1.0, 0.0, 1.0, 0.0]), torch=F.binary_cross_entropy_with_logits),
    case("bce_with_logits", "f32[4, 3]", probabilities("f32[4, 3]"), positive("f32[3]"), torch=weighted_bce),
    case("bce_with_logits", "f32[4, 3]", probabilities("f32[4, 3]"), numbers(2.0), torch=weighted_bce),
    case("kl_div", log_probabilities("f32[4, 5]"), probabilities("f32[4, 5]"), torch=lambda x, y: F.kl_div(x, y.clamp_min(1e-37), reduction="batchmean")),
    case("kl_div", log_probabilities("f64[4, 2, 5]"), probabilities("f64[4, 2, 5]"), torch=lambda x, y: F.kl_div(x, y, reduction="none").sum(-1).mean()),
    *(case(op, f"{d}[4, 3]", f"{d}[4, 3]", torch=f) for op, f in (("mse", F.mse_loss), ("mae", F.l1_loss), ("huber", F.huber_loss)) for d in FLOATS),
    *(case(op, "f32[]", "f32[]", torch=f) for op, f in (("mse", F.mse_loss), ("mae", F.l1_loss), ("huber", F.huber_loss))),
    case("huber", "f32[4, 3]", "f32[4, 3]", delta=0.3, torch=lambda x, y: F.huber_loss(x, y, delta=0.3)),
    *(case("contrastive", positive("f32[4]"), same, torch=contrast) for same in (SAME, SIGN, numbers([True, False, True, False], "bool"))),
    case("contrastive", positive("f64[4]"), SAME, margin=2.5, torch=lambda d, s: contrast(d, s, 2.5)),
    *(case("triplet", f"{d}[4, 8]", f"{d}[4, 8]", f"{d}[4, 8]", torch=F.triplet_margin_loss) for d in ("f32", "f64")),
    case("triplet", "f32[4, 8]", "f32[4, 8]", "f32[4, 8]", margin=3.0, torch=lambda a, p, n: F.triplet_margin_loss(a, p, n, margin=3.0)),
    *(case("cosine_embedding", f"{d}[4, 8]", f"{d}[4, 8]", SIGN, torch=F.cosine_embedding_loss) for d in ("f32", "f64")),
    case("cosine_embedding", "f32[4, 8]", "f32[4, 8]", SAME, margin=0.2, torch=lambda a, b, s: F.cosine_embedding_loss(a, b, 2 * s - 1, margin=0.2)),
    *(case("info_nce", f"{d}[5, 8]", f"{d}[5, 8]", torch=lambda a, b: nce(a, b, 0.07), slack=3) for d in ("f32", "f64")),
    case("info_nce", "f32[5, 8]", "f32[5, 8]", temperature=0.5, symmetric=True, torch=lambda a, b: (nce(a, b, 0.5) + nce(b, a, 0.5)) / 2),
]  # fmt: skip
