"""Feed-forwards and layers of transformers."""

from __future__ import annotations

from functools import partial

import torch
from torch.nn import functional as F

from references.examples import transformers
from tests.std import twins
from tests.std.case import MASKED, SEQUENCE, TOKENS, Case, one
from tests.std.names import decode, decoder, encoder, in_layer, layer_names, look_up_by_masks, look_up_the_past

CASES = (
    Case("FeedForward(20)", lambda: transformers.FeedForward(6, 20), ("f32[n, t, 6]",), SEQUENCE),
    Case(
        "FeedForward(7, activation=relu, dropout=0.2, bias=false)",
        lambda: twins.Plain(6, 7),
        ("f32[n, t, 6]",),
        SEQUENCE,
    ),
    Case(
        'FeedForward(7, activation=gelu(approximate="tanh"), bias=false)',
        lambda: twins.Plain(6, 7, partial(F.gelu, approximate="tanh")),
        ("f32[n, t, 6]",),
        SEQUENCE,
    ),
    Case("GatedFeedForward(20)", lambda: twins.Gated(6, 20, F.silu), ("f32[n, t, 6]",), SEQUENCE),
    Case("GatedFeedForward(7, gelu, bias=true)", lambda: twins.Gated(6, 7, F.gelu, True), ("f32[n, t, 6]",), SEQUENCE),
    Case(
        "GatedFeedForward(20, activation=sigmoid, dropout=0.2)",
        lambda: twins.Gated(6, 20, torch.sigmoid),
        ("f32[n, t, 6]",),
        SEQUENCE,
    ),
    Case("EncoderLayer(heads=3, width=20)", encoder(activation=F.gelu), ("f32[n, t, 12]",), TOKENS, layer_names),
    Case(
        "EncoderLayer(3, 20, bias=false)",
        encoder(activation=F.gelu, bias=False),
        ("f32[n, t, 12]",),
        TOKENS,
        layer_names,
    ),
    *(
        Case(
            "EncoderLayer(6, 20, causal=true, kv_heads=2, relative=RelativeBias(causal=true))",
            lambda: twins.Layer(12, 20, twins.Grouped(12, 6, 2, causal=True)),
            types,
            runs,
            in_layer,
        )
        for types, runs in ((("f32[n, t, 12]",), TOKENS), (("f32[n, t, 12]", "bool[n, t]"), MASKED))
    ),
    Case(
        "EncoderLayer(4, 20, bias=false, causal=true, kv_heads=2, rotary=RotaryEncoding())",
        lambda: twins.Layer(16, 20, twins.Llama(16, 4, 2), bias=False),
        ("f32[n, t, 16]",),
        one((1, 1, 16), (2, 7, 16)),
        in_layer,
    ),
    Case("EncoderLayer(3, 20, dropout=0.1)", encoder(activation=F.gelu), ("f32[n, t, 12]",), TOKENS, layer_names),
    Case(
        "EncoderLayer(heads=3, width=20, activation=relu, norm_first=true, eps=0.1)",
        encoder(norm_first=True, layer_norm_eps=0.1),
        ("f32[n, t, 12]",),
        TOKENS,
        layer_names,
    ),
    Case(
        "EncoderLayer(heads=3, width=20)",
        encoder(activation=F.gelu),
        ("f32[n, t, 12]", "bool[n, t]"),
        MASKED,
        layer_names,
        look_up_by_masks,
    ),
    Case(
        "EncoderLayer(heads=3, width=20, norm_first=true, causal=true)",
        encoder(activation=F.gelu, norm_first=True),
        ("f32[n, t, 12]",),
        TOKENS,
        layer_names,
        look_up_the_past,
    ),
    *(
        Case(
            f"DecoderLayer(heads=3, width=20{ours})",
            decoder(**theirs),
            ("f32[n, t, 12]", "f32[n, s, 12]"),
            (((1, 1, 12), (1, 1, 12)), ((2, 5, 12), (2, 9, 12))),
            layer_names,
            decode,
        )
        for ours, theirs in (
            ("", {"activation": F.gelu}),
            (", activation=relu, norm_first=true, eps=0.1, dropout=0.1", {"norm_first": True, "layer_norm_eps": 0.1}),
        )
    ),
    Case(
        "DecoderLayer(3, 20, bias=false)",
        decoder(activation=F.gelu, bias=False),
        ("f32[n, t, 12]", "f32[n, s, 12]"),
        (((1, 1, 12), (1, 1, 12)), ((2, 5, 12), (2, 9, 12))),
        layer_names,
        decode,
    ),
    Case(
        "DecoderLayer(6, 20, causal=false, kv_heads=2, relative=RelativeBias())",
        lambda: twins.Layer(12, 20, twins.Grouped(12, 6, 2), twins.GroupedCross(12, 6, 2, 5)),
        ("f32[n, t, 12]", "f32[n, s, 5]", "bool[n, t]", "bool[n, s]"),
        (((1, 1, 12), (1, 1, 5), (1, 1), (1, 1)), ((2, 5, 12), (2, 9, 5), (2, 5), (2, 9))),
        in_layer,
    ),
    Case(
        "DecoderLayer(4, 20, bias=false, kv_heads=2, rotary=RotaryEncoding())",
        lambda: twins.Layer(16, 20, twins.Llama(16, 4, 2), twins.GroupedCross(16, 4, 2, 5, bias=False), bias=False),
        ("f32[n, t, 16]", "f32[n, s, 5]"),
        (((1, 1, 16), (1, 1, 5)), ((2, 5, 16), (2, 9, 5))),
        in_layer,
    ),
    *(
        Case(
            "TransformerLayer(Attention(4, causal=true, bias=false, kv_heads=2, rotary=RotaryEncoding()), "
            f"GatedFeedForward(20), RMSNorm(eps=0.1), dropout={dropout})",
            lambda: twins.LlamaLayer(16, 20, 4, 2),
            types,
            runs,
            in_layer,
        )
        for dropout, types, runs in (
            (0.1, ("f32[n, t, 16]",), one((1, 1, 16), (2, 7, 16))),
            (0.0, ("f32[n, t, 16]", "bool[n, t]"), (((1, 1, 16), (1, 1)), ((2, 7, 16), (2, 7)))),
        )
    ),
    *(
        Case(
            f"TransformerLayer(Attention(3, true), FeedForward(20), norm_first={first}, cross=CrossAttention(3))",
            decoder(activation=F.gelu, norm_first=first == "true"),
            ("f32[n, t, 12]", "bool[n, t]", "f32[n, s, 12]", "bool[n, s]"),
            (((1, 1, 12), (1, 1), (1, 1, 12), (1, 1)), ((2, 5, 12), (2, 5), (2, 9, 12), (2, 9))),
            layer_names,
            lambda module, x, mask, memory, seen: decode(module, x, memory, mask, seen),
        )
        for first in ("true", "false")
    ),
    Case(
        "DecoderLayer(3, 20, relu)",
        decoder(),
        ("f32[n, t, 12]", "f32[n, s, 12]", "bool[n, t]", "bool[n, s]"),
        (((1, 1, 12), (1, 1, 12), (1, 1), (1, 1)), ((2, 5, 12), (2, 9, 12), (2, 5), (2, 9))),
        layer_names,
        decode,
    ),
)
