"""What a step of a language model costs with a list of caches and with stacked ones: `python -m benchmarks.caches`.
Twelve layers of width 256, one sequence, one thread; the lower quartile of the CPU time of blocks of steps, taken by
turns."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import wsdl
from benchmarks.timing import quartiles
from wsdl.diagnostics.span import Source

DEPTH, D, HEADS = 12, 256, 8
PASTS = (128, 1024)
SECONDS = 4.0  # for each length
PROGRAM = f"""
let depth = {DEPTH}

block Layer()(x: [n, t, {D}], past_key: [n, h, p, e], past_value: [n, h, p, e]) {{
    layer attn = Attention({HEADS}, causal=true, rotary=RotaryEncoding(), cache=true)
    layer ffn = GatedFeedForward({2 * D})
    layer norm1 = RMSNorm()
    layer norm2 = RMSNorm()
    y, key, value = attn(norm1(x), none, past_key, past_value)
    x = x + y
    return x + ffn(norm2(x)), key, value
}}

layer layers[depth] = Layer()

model listed(
    x: f32[n, 1, {D}],
    past_key[depth]: f32[n, {HEADS}, p, {D // HEADS}],
    past_value[depth]: f32[n, {HEADS}, p, {D // HEADS}],
) -> (
    y: f32[n, 1, {D}],
    key[depth]: f32[n, {HEADS}, p + 1, {D // HEADS}],
    value[depth]: f32[n, {HEADS}, p + 1, {D // HEADS}],
) {{
    keys = []
    values = []
    for f, past_k, past_v in layers, past_key, past_value {{
        x, k, v = f(x, past_k, past_v)
        keys, values = keys + [k], values + [v]
    }}
    return x, keys, values
}}

model stacked(
    x: f32[n, 1, {D}],
    past_key: f32[depth, n, {HEADS}, p, {D // HEADS}],
    past_value: f32[depth, n, {HEADS}, p, {D // HEADS}],
) -> (
    y: f32[n, 1, {D}],
    key: f32[depth, n, {HEADS}, p + 1, {D // HEADS}],
    value: f32[depth, n, {HEADS}, p + 1, {D // HEADS}],
) {{
    keys = []
    values = []
    for f, i in layers, 0..depth {{
        x, k, v = f(x, past_key[i], past_value[i])
        keys, values = keys + [k], values + [v]
    }}
    return x, stack(keys, axis=0), stack(values, axis=0)
}}
"""


def steps(program: wsdl.Program, past: int) -> dict[str, Callable[[Any], object]]:
    """A step of each model behind `past` positions."""
    rng = np.random.default_rng(0)
    x, cache = (rng.normal(size=s).astype("f4") for s in ((1, 1, D), (2, DEPTH, 1, HEADS, past, D // HEADS)))
    listed = {f"{name}.{i}": cache[j, i] for j, name in enumerate(("past_key", "past_value")) for i in range(DEPTH)}
    feeds = {"listed": listed, "stacked": {"past_key": cache[0], "past_value": cache[1]}}
    return {name: partial(_run, program.session(name), {"x": x, **of_past}) for name, of_past in feeds.items()}


def _run(session: Any, feeds: dict[str, Any], _: object) -> object:
    return session.run(feeds)


def main() -> None:
    program = wsdl.compile(Source("caches.wsd", PROGRAM))
    print("| past positions | a list, ms | stacked, ms | stacked / list |\n|---|---|---|---|")
    for past in PASTS:
        times = quartiles(steps(program, past), [None], 1, SECONDS)
        listed, stacked = times["listed"] * 1e3, times["stacked"] * 1e3
        print(f"| {past:,} | {listed:.2f} | {stacked:.2f} | {stacked / listed:.2f} |")


if __name__ == "__main__":
    main()
