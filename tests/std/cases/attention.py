"""Attention, and what tells places apart."""

from __future__ import annotations

from functools import partial

from torch import nn

from tests.std import twins
from tests.std.case import MASKED, TOKENS, Case, one
from tests.std.names import projections

CASES = (
    Case("Attention(heads=3)", lambda: twins.SelfAttention(12, 3), ("f32[n, t, 12]",), TOKENS),
    Case("Attention(heads=1, bias=false)", lambda: twins.SelfAttention(12, 1, bias=False), ("f32[n, t, 12]",), TOKENS),
    Case("Attention(heads=4, causal=true)", lambda: twins.SelfAttention(12, 4, True), ("f32[n, t, 12]",), TOKENS),
    Case("Attention(heads=3)", lambda: twins.SelfAttention(12, 3), ("f32[n, t, 12]", "bool[n, t]"), MASKED),
    Case(
        "Attention(heads=3, causal=true)",
        lambda: twins.SelfAttention(12, 3, True),
        ("f32[n, t, 12]", "bool[n, t]"),
        MASKED,
    ),
    *(
        Case(
            f"Attention(heads=3, causal={str(causal).lower()})",
            partial(twins.SelfAttention, 12, 3, causal),
            ("f32[n, t, 12]", "bool[n, t, t]"),
            (((1, 1, 12), (1, 1, 1)), ((3, 7, 12), (3, 7, 7))),
        )
        for causal in (False, True)
    ),
    *(
        Case(
            f"Attention(4, kv_heads={kv}, causal=true{configuration}, cache=true)",
            twin,
            ("f32[n, t, 16]", mask, f"f32[n, {kv}, p, 4]", f"f32[n, {kv}, p, 4]", *others),
            tuple(
                (
                    (n, t, 16),
                    (n, *([t] * three), p + t),
                    *[(n, kv, p, 4)] * 2,
                    *((n, t), (n, 4, t, p + t))[: len(others)],
                )
                for n, t, p in ((1, 1, 1), (3, 5, 4), (2, 1, 6), (2, 3, 0))
            ),
        )
        for kv, configuration, twin, others in (
            (
                2,
                ", rotary=RotaryEncoding()",
                partial(twins.Continued, 16, 4, 2, True),
                ("i64[n, t]", "f32[n, 4, t, p + t]"),
            ),
            (4, ", rotary=RotaryEncoding()", partial(twins.Continued, 16, 4, 4, True), ()),
            (2, ", relative=RelativeBias(causal=true)", partial(twins.Continued, 16, 4, 2, relative=True), ()),
        )
        for mask, three in (("bool[n, p + t]", 0), ("bool[n, t, p + t]", 1))
    ),
    Case(
        "Attention(heads=3, dropout=0.2)", lambda: twins.SelfAttention(12, 3, dropout=0.2), ("f32[n, t, 12]",), TOKENS
    ),
    Case(
        "CrossAttention(heads=3, dropout=0.2)",
        lambda: nn.MultiheadAttention(12, 3, kdim=5, vdim=5, batch_first=True),
        ("f32[n, t, 12]", "f32[n, s, 5]"),
        (((1, 1, 12), (1, 1, 5)), ((2, 4, 12), (2, 9, 5))),
        call=lambda module, x, memory: module(x, memory, memory)[0],
    ),
    Case(
        "CrossAttention(heads=2)",
        lambda: nn.MultiheadAttention(12, 2, batch_first=True),
        ("f32[n, t, 12]", "f32[n, s, 12]", "bool[n, s]"),
        (((1, 1, 12), (1, 1, 12), (1, 1)), ((2, 4, 12), (2, 9, 12), (2, 9))),
        call=lambda module, x, memory, mask: module(x, memory, memory, key_padding_mask=~mask)[0],
    ),
    *(
        Case(
            f"Attention(4, bias=false, kv_heads={kv}, rotary=RotaryEncoding({base}), causal={str(causal).lower()})",
            partial(twins.Llama, 16, 4, kv, causal, base),
            types,
            runs,
            projections,
        )
        for kv, causal, base in ((4, True, 10000.0), (2, True, 500.0), (1, False, 10000.0))
        for types, runs in (
            (("f32[n, t, 16]",), one((1, 1, 16), (2, 7, 16))),
            (("f32[n, t, 16]", "bool[n, t]"), (((1, 1, 16), (1, 1)), ((3, 7, 16), (3, 7)))),
        )
    ),
    *(
        Case(
            f"Attention(4, kv_heads=2, rotary=RotaryEncoding(), causal=true, {ours})",
            partial(twins.Llama, 16, 4, 2, relative=relative, head_size=size),
            ("f32[n, t, 16]", "bool[n, t]"),
            (((1, 1, 16), (1, 1)), ((3, 7, 16), (3, 7))),
            projections,
        )
        for relative, size, ours in (
            ("Qwen2", None, "out_bias=false"),
            ("Qwen3", 6, "bias=false, head_size=6, query_norm=RMSNorm(), key_norm=RMSNorm()"),
        )
    ),
    *(
        Case(
            f"{block}(3, head_size={size}, {without}_bias=false)",
            partial(twin, size=size, without=without),
            types,
            runs,
        )
        for size, without in ((2, "key"), (8, "query"), (4, "value"), (5, "out"))
        for block, twin, types, runs in (
            ("Attention", partial(twins.Itself, 12, 3, 3), ("f32[n, t, 12]",), TOKENS),
            (
                "CrossAttention",
                partial(twins.GroupedCross, 12, 3, 3, 5),
                ("f32[n, t, 12]", "f32[n, s, 5]"),
                (((1, 1, 12), (1, 1, 5)), ((2, 4, 12), (2, 9, 5))),
            ),
        )
    ),
    *(
        Case(
            f"Attention(3, bias=false, scale=1.0, relative=RelativeBias(causal={word}), causal={word})",
            partial(twins.T5, 12, 3, causal),
            types,
            runs,
            projections,
        )
        for causal, word in ((False, "false"), (True, "true"))
        for types, runs in ((("f32[n, t, 12]",), TOKENS), (("f32[n, t, 12]", "bool[n, t]"), MASKED))
    ),
    *(
        Case(
            f"Attention(6, kv_heads=2, relative=RelativeBias(), dropout={dropout})",
            lambda: twins.Grouped(12, 6, 2),
            types,
            runs,
        )
        for dropout in (0.0, 0.2)
        for types, runs in ((("f32[n, t, 12]",), TOKENS), (("f32[n, t, 12]", "bool[n, t]"), MASKED))
    ),
    *(
        Case(
            f"RelativeBias({ours})",
            partial(twins.Bias, 3, **theirs),
            ("f32[n, 3, t, 2]", "f32[n, 3, s, 2]"),
            (((1, 3, 1, 2), (1, 3, 1, 2)), ((1, 3, 5, 2), (1, 3, 9, 2)), ((1, 3, 300, 2), (1, 3, 300, 2))),
        )
        for ours, theirs in (
            ("", {}),
            ("causal=true", {"causal": True}),
            ("buckets=12, distance=40", {"buckets": 12, "distance": 40}),
        )
    ),
    Case(
        "RotaryEncoding(base=50.0)", lambda: twins.Turned(50.0), ("f32[n, h, t, 6]",), one((1, 1, 1, 6), (2, 3, 50, 6))
    ),
    Case("RotaryEncoding()", twins.Turned, ("f32[n, h, t, 6]",), one((1, 1, 1, 6), (2, 3, 50, 6))),
    *(
        Case(f"RotaryEncoding({ours})", twin, ("f32[n, h, t, 8]",), one((1, 1, 1, 8), (2, 3, 50, 8)))
        for ours, twin in (
            ("interleaved=true", partial(twins.TurnedInPairs, 8)),
            ("interleaved=true, size=4", partial(twins.TurnedInPairs, 4)),
            ("size=2", partial(twins.TurnedInPart, 0.25)),
            ("factor=3.0", partial(twins.Turned, kind="linear", factor=3.0)),
            (
                "factor=8.0, trained=20, low=1.5, high=2.5",
                partial(
                    twins.Turned,
                    kind="llama3",
                    factor=8.0,
                    original_max_position_embeddings=20,
                    low_freq_factor=1.5,
                    high_freq_factor=2.5,
                ),
            ),
        )
    ),
    *(
        Case(
            f"CrossAttention(heads=6, kv_heads={kv}, bias=false, dropout={dropout})",
            partial(twins.GroupedCross, 12, 6, kv, 5, bias=False),
            ("f32[n, t, 12]", "f32[n, s, 5]", *mask),
            tuple(((n, t, 12), (n, s, 5), (n, s))[: 2 + len(mask)] for n, t, s in ((1, 1, 1), (2, 4, 9), (3, 1, 2))),
        )
        for kv, dropout in ((2, 0.0), (1, 0.2), (6, 0.0))
        for mask in ((), ("bool[n, s]",))
    ),
    Case(
        "CrossAttention(heads=2, scale=0.7)",
        lambda: twins.Scaled(12, 2, 0.7),
        ("f32[n, t, 12]", "f32[n, s, 12]"),
        (((1, 1, 12), (1, 1, 12)), ((2, 4, 12), (2, 9, 12))),
    ),
)
