"""When a number that was computed in few bits is that of the twin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

# Half the distance from 1 to the next number; of f64 that of what ONNX keeps as f32, such as an epsilon or a slope.
UNIT = {"f64": 2.0**-26, "f32": 2.0**-24, "f16": 2.0**-11, "bf16": 2.0**-8}
SAMPLES = 3
WIDE = 6  # further samples, with WIDER noise, that look for a jump (of `floor`, of a comparison) nearby
WIDER = 4.0
# The twin is disturbed by NOISE units in every step that it computes, forward and backward; a result may be off by as
# much as FACTOR times what that makes of it. A wrong value is off by far more, and rounding by far less.
NOISE, FACTOR = 16.0, 8.0
NOISE_16 = 3.0  # where a unit is a thousandth
SLACK = 8  # units of the largest number that a result may be off by anyhow
VAGUE = 0.2  # of the largest number: a result that noise moves so far shows nothing


class Wrong(Exception):
    """What a program came to that it should not have."""


def noise(dtype: str, sample: int) -> dict[str, Any]:
    """The settings of a machine that is off as one is that computes in a dtype; `bf16` is for what is stored only."""
    unit = UNIT["f32" if dtype == "bf16" else dtype] * (1 if sample < SAMPLES else WIDER)
    return {
        "noise": (NOISE_16 if dtype == "f16" else NOISE) * unit,
        "stored_noise": UNIT[dtype] * (1 if sample < SAMPLES else WIDER) if dtype in ("f16", "bf16") else 0.0,
        "least": 2.0**-25 if dtype == "f16" else 0.0,
        "noise_seed": sample + 1,
    }


def compare(
    what: str,
    found: Any,
    exact: Tensor,
    noisy: Callable[[], Sequence[Tensor]],
    counts: Counter[str],
    *,
    dtype: str = "f32",
    slack: float = 0.0,
) -> None:
    """Raises `Wrong` where something is off by more than rounding explains, and by more than `slack`. `noisy` are the
    samples of the twin with noise, which are asked for where it takes them to tell."""
    got, expected = np.asarray(found), exact.detach().numpy().astype(np.float64)
    if got.shape != expected.shape:
        raise Wrong(f"{what}: of shape {got.shape}, not {expected.shape}")
    counts["values"] += 1
    if not got.size:
        return
    got = got.astype(np.float64)
    if not np.isfinite(got).all():
        raise Wrong(f"{what}: not finite\n{got}\nnot\n{expected}")
    off, scale = np.abs(got - expected), float(np.abs(expected).max())
    slack += 2.0**-23 if dtype == "f16" else 0.0  # below are no numbers
    allowed = SLACK * UNIT["f32" if dtype == "bf16" else dtype] * scale + slack + 1e-30
    if float(off.max()) <= allowed:
        return
    spreads = [float(np.abs(other.detach().numpy() - expected).max()) for other in noisy()]
    allowed += FACTOR * max(spreads[:SAMPLES], default=0.0)
    if float(off.max()) > allowed:
        if not max(spreads, default=0.0) <= VAGUE * max(scale, 1e-6):
            counts["vague"] += 1
            return
        at = tuple(int(i) for i in np.unravel_index(off.argmax(), off.shape))
        values = f"{got[at]:.9g} at {list(at)}, not {expected[at]:.9g}"
        raise Wrong(f"{what}: {values} (off by {off[at]:.3g}, allowed {allowed:.3g})")
