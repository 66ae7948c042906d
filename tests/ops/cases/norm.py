"""Normalization and attention."""

# ruff: noqa: E501  (a table has one row in a line)

from __future__ import annotations

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from tests.ops.case import FLOATS, Case, Given, case, numbers, positive

W = ("f32[3]", "f32[3]")


def attention(
    q: str, k: str, v: str, mask: Given = None, causal: bool = False, scale: float | None = None, runs: bool = True
) -> Case:
    def expected(q, k, v, mask):  # type: ignore[no-untyped-def] # torch is untyped
        if mask is None or not causal:
            return F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal, scale=scale)
        past = np.tri(q.shape[-2], k.shape[-2], dtype=bool)
        if mask.dtype.is_floating_point:
            mask = mask.masked_fill(~mask.new_tensor(past).bool(), -np.inf)
        else:
            mask = mask & mask.new_tensor(past)
        return F.scaled_dot_product_attention(q, k, v, mask, scale=scale)

    return case("attention", q, k, v, mask, causal=causal, scale=scale, torch=expected, runs=runs)


def attention_weights(q: str, k: str, mask: Given = None, causal: bool = False, runs: bool = True) -> Case:
    """Attention to the unit vectors."""

    def expected(q, k, mask):  # type: ignore[no-untyped-def] # torch is untyped
        units = torch.eye(k.shape[-2], dtype=q.dtype).expand(*k.shape[:-1], k.shape[-2])
        return F.scaled_dot_product_attention(q, k, units, mask, is_causal=causal)

    return case("attention_weights", q, k, mask, causal=causal, torch=expected, runs=runs)


HEADS = ("f32[2, 3, 5, 4]", "f32[2, 3, 6, 4]", "f32[2, 3, 6, 7]")
SOME_ROWS = numbers([[True, False, True], [False, False, False], [True, True, True]], "bool")
MINUS_INF = numbers([[0.5, -np.inf, 0.0], [-np.inf, -np.inf, -np.inf], [0.0, 1.0, 2.0]])


def standardized(x: torch.Tensor, axes: int, eps: float = 1e-5) -> tuple[torch.Tensor, torch.Tensor]:
    last = tuple(range(-axes, 0))
    return F.layer_norm(x, x.shape[-axes:], eps=eps), 1 / (x.var(last, correction=0, keepdim=True) + eps).sqrt()


def batch_norm(x, weight, bias, mean, var):  # type: ignore[no-untyped-def] # torch is untyped
    """PyTorch's own has no gradient for the statistics."""
    if not mean.requires_grad:
        return F.batch_norm(x, mean, var, weight, bias)
    scale, shift, middle, spread = (t.reshape(-1, *[1] * (x.ndim - 2)) for t in (weight, bias, mean, var))
    return (x - middle) / (spread + 1e-5).sqrt() * scale + shift


def trained(x, weight, bias, mean, var, momentum=0.1):  # type: ignore[no-untyped-def] # torch is untyped
    """PyTorch changes its statistics in place: what it gives without that, and in formulas what it leaves there."""
    others = (0, *range(2, x.ndim))
    moved = [(1 - momentum) * old + momentum * new for old, new in ((mean, x.mean(others)), (var, x.var(others)))]
    left = [t.detach().clone() for t in (mean, var)]
    F.batch_norm(x.detach(), left[0], left[1], weight.detach(), bias.detach(), training=True, momentum=momentum)
    torch.testing.assert_close(left, [t.detach() for t in moved], rtol=1e-4, atol=1e-5)
    return F.batch_norm(x, None, None, weight, bias, training=True), *moved


CASES = [
    *(case("standardize", f"f32[{shape}]", axes=axes, torch=lambda x, a=axes: standardized(x, a))
      for shape, axes in (("2, 4, 3", 1), ("2, 4, 3", 2), ("3", 1), ("0, 3", 1))),
    case("standardize", "f32[2, 5]", eps=0.1, torch=lambda x: standardized(x, 1, 0.1)),
    *(case("standardize", f"{d}[2, 5]", torch=lambda x: standardized(x, 1), slack=4) for d in ("f16", "bf16", "f64")),
    *(case("batch_norm_training", f"f32[{shape}]", *["f32[3]"] * 3, positive("f32[3]"), torch=trained, slack=3)
      for shape in ("4, 3", "2, 3, 4", "2, 3, 4, 5", "1, 3, 2, 3, 2")),
    case("batch_norm_training", "f32[4, 3, 2]", *["f32[3]"] * 3, positive("f32[3]"), momentum=0.3,
         torch=partial(trained, momentum=0.3), slack=3),
    *(case("layer_norm", f"{d}[2, 4, 3]", f"{d}[3]", f"{d}[3]", torch=lambda x, w, b: F.layer_norm(x, w.shape, w, b)) for d in FLOATS),
    case("layer_norm", "f32[2, 4, 3]", "f32[4, 3]", torch=lambda x, w: F.layer_norm(x, w.shape, w)),
    case("layer_norm", "f32[2, 3]", *W, eps=0.1, torch=lambda x, w, b: F.layer_norm(x, w.shape, w, b, 0.1)),
    case("layer_norm", "f32[3]", *W, torch=lambda x, w, b: F.layer_norm(x, w.shape, w, b)),
    case("layer_norm", "f32[0, 3]", *W, torch=lambda x, w, b: F.layer_norm(x, w.shape, w, b)),
    *(case("rms_norm", f"{d}[2, 4, 3]", f"{d}[3]", torch=lambda x, w: F.rms_norm(x, w.shape, w, 1e-6)) for d in FLOATS),
    case("rms_norm", "f32[2, 4, 3]", "f32[4, 3]", eps=0.1, torch=lambda x, w: F.rms_norm(x, w.shape, w, 0.1)),
    case("rms_norm", "f32[0, 3]", "f32[3]", torch=lambda x, w: F.rms_norm(x, w.shape, w, 1e-6)),
    *(
        case("group_norm", f"f32[{shape}]", *weights, groups=groups, torch=lambda x, *w, g=groups: F.group_norm(x, g, *w))
        for shape in ("2, 6, 5", "2, 6, 4, 3", "2, 6, 2, 3, 2", "0, 6, 5")
        for groups in (1, 2, 6)
        for weights in ((), ("f32[6]",), ("f32[6]", "f32[6]"))
    ),
    case("group_norm", "f32[4, 6]", "f32[6]", "f32[6]", groups=2, torch=lambda x, w, b: F.group_norm(x, 2, w, b)),
    *(case("group_norm", f"{d}[2, 4, 5]", groups=2, torch=lambda x: F.group_norm(x, 2), runs=d != "f64") for d in ("f16", "bf16", "f64")),
    *(case("instance_norm", f"f32[{shape}]", *weights, torch=lambda x, *w: F.instance_norm(x, None, None, *w))
      for shape in ("2, 3, 5", "2, 3, 4, 5", "1, 3, 2, 3, 2") for weights in ((), ("f32[3]",), W)),
    *(case("instance_norm", f"{d}[2, 4, 5]", torch=F.instance_norm, runs=d != "f64") for d in ("f16", "bf16", "f64")),
    *(
        case("batch_norm", f"{d}[{shape}]", f"{d}[3]", f"{d}[3]", f"{d}[3]", positive(f"{d}[3]"),
             torch=batch_norm)
        for shape, d in (("2, 3", "f32"), ("2, 3, 4", "f32"), ("2, 3, 4, 5", "f32"), ("0, 3, 4", "f32"), ("2, 3, 4", "f16"),
                         ("2, 3, 4", "bf16"), ("2, 3, 4", "f64"))
    ),
    attention(*HEADS),
    attention(*HEADS, scale=0.3),
    attention(*HEADS, causal=True),
    attention(*HEADS, mask="bool[5, 6]"),
    attention(*HEADS, mask="bool[2, 1, 5, 6]", causal=True),
    attention(*HEADS, mask="bool[2, 1, 1, 6]"),
    attention(*HEADS, mask="f32[1, 6]"),
    attention(*HEADS, mask="f32[5, 6]", causal=True),
    attention("f32[3, 4]", "f32[3, 4]", "f32[3, 4]", mask=SOME_ROWS),
    attention("f32[3, 4]", "f32[3, 4]", "f32[3, 4]", mask=MINUS_INF),
    attention("f32[3, 4]", "f32[3, 4]", "f32[3, 4]", mask=SOME_ROWS, causal=True),
    attention("f32[2, 1, 4]", "f32[2, 1, 4]", "f32[2, 1, 4]", causal=True),
    attention("f32[0, 2, 3, 4]", "f32[0, 2, 3, 4]", "f32[0, 2, 3, 4]", causal=True),
    attention_weights(*HEADS[:2]),
    attention_weights(*HEADS[:2], causal=True),
    attention_weights(*HEADS[:2], mask="bool[5, 6]"),
    attention_weights("f32[3, 4]", "f32[3, 4]", mask=MINUS_INF),
    *(attention(f"{d}[2, 3, 4]", f"{d}[2, 3, 4]", f"{d}[2, 3, 4]", mask="bool[3, 3]", causal=True) for d in ("f16", "bf16", "f64")),
]  # fmt: skip
