"""The blocks of the standard library with their counterparts in PyTorch: what they are applied to, in which sizes."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from tests.examples.twins import images, transformers
from tests.std import twins
from tests.std.case import Case, one
from tests.std.pytorch import (
    both_ways,
    cell,
    decode,
    decoder,
    directions,
    encoder,
    first,
    inverted,
    inverted_once,
    items,
    layer_names,
    levels,
    look_up_by_masks,
    look_up_the_past,
    projections,
)

ROWS = one((1, 3), (4, 3), (32, 3))
SEQUENCE = one((1, 1, 6), (3, 5, 6), (2, 17, 6))
IMAGE = one((1, 6, 9, 9), (2, 6, 8, 11), (3, 6, 16, 7))
SIGNAL = one((1, 6, 7), (4, 6, 20))
VOLUME = one((1, 2, 5, 6, 7), (2, 2, 8, 5, 5))
TOKENS = one((1, 1, 12), (2, 7, 12), (3, 10, 12))
MASKED = (((1, 1, 12), (1, 1)), ((2, 7, 12), (2, 7)), ((3, 10, 12), (3, 10)))

CASES = (
    Case("Dense(5)", lambda: nn.Linear(3, 5), ("f32[n, 3]",), ROWS),
    Case("Dense(5, bias=false)", lambda: nn.Linear(3, 5, bias=False), ("f32[n, 3]",), ROWS),
    Case("Dense(1)", lambda: nn.Linear(6, 1), ("f32[n, t, 6]",), SEQUENCE),
    Case("Residual(Dense(3))", lambda: twins.Around(nn.Linear(3, 3)), ("f32[n, 3]",), ROWS),
    Case("Residual(Residual(Dense(3)))", lambda: twins.Around(twins.Around(nn.Linear(3, 3))), ("f32[n, 3]",), ROWS),
    *(
        Case(
            f"Bilinear(4{'' if bias else ', bias=false'})",
            lambda bias=bias: nn.Bilinear(3, 5, 4, bias=bias),  # type: ignore[misc]
            ("f32[n, 3]", "f32[n, 5]"),
            (((1, 3), (1, 5)), ((7, 3), (7, 5))),
        )
        for bias in (True, False)
    ),
    Case(
        "Bilinear(2)",
        lambda: nn.Bilinear(6, 3, 2),
        ("f32[n, t, 6]", "f32[n, t, 3]"),
        (((1, 1, 6), (1, 1, 3)), ((2, 7, 6), (2, 7, 3))),
    ),
    Case("Sequential([Dense(4)])", lambda: nn.Sequential(nn.Linear(3, 4)), ("f32[n, 3]",), ROWS, items),
    Case(
        "Sequential([Dense(5), relu, LayerNorm(), tanh, Dense(2)])",
        lambda: nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 2)),
        ("f32[n, 3]",),
        ROWS,
        items,
    ),
    Case(
        "Sequential([Embedding(11, 4), tanh, Dense(2)])",
        lambda: nn.Sequential(nn.Embedding(11, 4), nn.Tanh(), nn.Linear(4, 2)),
        ("i64[n, t]",),
        one((1, 1), (3, 5)),
        items,
    ),
    Case(
        "Sequential([Conv2d(4, stride=2, pad=1), Sequential([relu, Conv2d(3, kernel=1)]), flatten])",
        lambda: nn.Sequential(nn.Conv2d(6, 4, 3, 2, 1), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 3, 1)), nn.Flatten()),
        ("f32[n, 6, 9, 9]",),
        one((1, 6, 9, 9), (2, 6, 9, 9)),
        lambda name: items(name).replace("layers.1.", "layers.1.layers."),
    ),
    # convolutions
    Case("Conv1d(4)", lambda: nn.Conv1d(6, 4, 3), ("f32[n, 6, t]",), SIGNAL),
    Case(
        "Conv1d(4, kernel=5, stride=2, pad=3, dilation=2, groups=2, bias=false)",
        lambda: nn.Conv1d(6, 4, 5, 2, 3, 2, 2, bias=False),
        ("f32[n, 6, t]",),
        SIGNAL,
    ),
    Case("Conv2d(4, kernel=1)", lambda: nn.Conv2d(6, 4, 1), ("f32[n, 6, h, w]",), IMAGE),
    Case("Conv2d(4, kernel=3, pad=1)", lambda: nn.Conv2d(6, 4, 3, padding=1), ("f32[n, 6, h, w]",), IMAGE),
    Case(
        "Conv2d(4, kernel=[3, 2], stride=[2, 1], pad=[0, 2], dilation=[1, 2], groups=2, bias=false)",
        lambda: nn.Conv2d(6, 4, (3, 2), (2, 1), (0, 2), (1, 2), 2, bias=False),
        ("f32[n, 6, h, w]",),
        IMAGE,
    ),
    Case("Conv3d(3, kernel=[1, 3, 2])", lambda: nn.Conv3d(2, 3, (1, 3, 2)), ("f32[n, 2, d, h, w]",), VOLUME),
    Case(
        "Conv3d(4, stride=2, pad=1, groups=2)",
        lambda: nn.Conv3d(2, 4, 3, 2, 1, groups=2),
        ("f32[n, 2, d, h, w]",),
        VOLUME,
    ),
    Case("DepthwiseConv2d(pad=1)", lambda: nn.Conv2d(6, 6, 3, padding=1, groups=6), ("f32[n, 6, h, w]",), IMAGE),
    Case(
        "DepthwiseConv2d(kernel=[2, 3], stride=2, multiplier=2, bias=false)",
        lambda: nn.Conv2d(6, 12, (2, 3), 2, groups=6, bias=False),
        ("f32[n, 6, h, w]",),
        IMAGE,
    ),
    Case("ConvTranspose1d(4)", lambda: nn.ConvTranspose1d(6, 4, 3), ("f32[n, 6, t]",), SIGNAL),
    Case(
        "ConvTranspose1d(4, kernel=4, stride=3, pad=1, output_pad=2, groups=2)",
        lambda: nn.ConvTranspose1d(6, 4, 4, 3, 1, 2, 2),
        ("f32[n, 6, t]",),
        SIGNAL,
    ),
    Case(
        "ConvTranspose2d(4, kernel=4, stride=2, pad=1)",
        lambda: nn.ConvTranspose2d(6, 4, 4, 2, 1),
        ("f32[n, 6, h, w]",),
        IMAGE,
    ),
    Case(
        "ConvTranspose2d(4, kernel=[3, 2], stride=[2, 3], output_pad=[1, 0], dilation=[1, 2], groups=2, bias=false)",
        lambda: nn.ConvTranspose2d(6, 4, (3, 2), (2, 3), 0, (1, 0), 2, False, (1, 2)),
        ("f32[n, 6, h, w]",),
        IMAGE,
    ),
    Case("ResNetBlock(6)", lambda: images.BasicBlock(6, 6), ("f32[n, 6, h, w]",), IMAGE),
    Case("ResNetBlock(4)", lambda: images.BasicBlock(6, 4), ("f32[n, 6, h, w]",), IMAGE),
    Case("ResNetBlock(6, stride=2)", lambda: images.BasicBlock(6, 6, 2), ("f32[n, 6, h, w]",), IMAGE),
    Case("Bottleneck(6)", lambda: twins.Bottleneck(6, 6, 1), ("f32[n, 6, h, w]",), IMAGE),
    Case("Bottleneck(8, stride=2)", lambda: twins.Bottleneck(6, 8, 2, 2), ("f32[n, 6, h, w]",), IMAGE),
    Case(
        "Bottleneck(8, width=6, groups=3, dilation=2)",
        lambda: twins.Bottleneck(6, 8, 6, 1, 3, 2),
        ("f32[n, 6, h, w]",),
        IMAGE,
    ),
    Case("SqueezeExcite(2)", lambda: twins.SqueezeExcitation(6, 2), ("f32[n, 6, h, w]",), IMAGE),
    Case(
        "SqueezeExcite(3, silu, tanh)",
        lambda: twins.SqueezeExcitation(6, 3, F.silu, torch.tanh),
        ("f32[n, 6, h, w]",),
        one((1, 6, 1, 1), (3, 6, 5, 2)),
    ),
    Case("InvertedResidual(6)", lambda: twins.InvertedResidual(6, 6), ("f32[n, 6, h, w]",), IMAGE, inverted),
    Case(
        "InvertedResidual(4, stride=2, expand=2, kernel=5)",
        lambda: twins.InvertedResidual(6, 4, 2, 2, 5),
        ("f32[n, 6, h, w]",),
        IMAGE,
        inverted,
    ),
    Case(
        "InvertedResidual(6, expand=1)",
        lambda: twins.InvertedResidual(6, 6, expand=1),
        ("f32[n, 6, h, w]",),
        IMAGE,
        inverted_once,
    ),
    Case(
        "FeaturePyramid(4)",
        lambda: twins.FeaturePyramid([3, 5], 4),
        ("f32[n, 3, h, w]", "f32[n, 5, h // 2, w // 2]"),
        (((1, 3, 4, 6), (1, 5, 2, 3)), ((2, 3, 9, 7), (2, 5, 4, 3))),
    ),
    Case(
        "FeaturePyramid(4)",
        lambda: twins.FeaturePyramid([3, 5, 2], 4),
        ("f32[n, 3, a, b]", "f32[n, 5, c, d]", "f32[n, 2, e, f]"),
        (((1, 3, 8, 4), (1, 5, 4, 2), (1, 2, 2, 1)), ((2, 3, 17, 21), (2, 5, 9, 11), (2, 2, 4, 5))),
    ),
    Case(
        "FeaturePyramid(3)",
        lambda: twins.FeaturePyramid([1, 2, 3, 4, 5], 3),
        tuple(f"f32[n, {i + 1}, {16 >> i}, {16 >> i}]" for i in range(5)),
        tuple(tuple((n, i + 1, 16 >> i, 16 >> i) for i in range(5)) for n in (1, 2)),
    ),
    # regularisation: nothing but in training
    Case("Dropout(0.3)", lambda: nn.Dropout(0.3), ("f32[n, 3]",), ROWS),
    # embeddings
    Case("Embedding(11, 4)", lambda: nn.Embedding(11, 4), ("i64[n, t]",), one((1, 1), (3, 5))),
    Case("Embedding(11, 4)", lambda: nn.Embedding(11, 4), ("i64[n]",), one((1,), (6,))),
    Case("PositionalEncoding()", twins.Waves, ("f32[n, t, 6]",), SEQUENCE),
    # normalisations
    Case("LayerNorm()", lambda: nn.LayerNorm(6), ("f32[n, t, 6]",), SEQUENCE),
    Case("LayerNorm(eps=0.1, bias=false)", lambda: nn.LayerNorm(6, 0.1, bias=False), ("f32[n, t, 6]",), SEQUENCE),
    Case("RMSNorm(eps=0.01)", lambda: nn.RMSNorm(6, 0.01), ("f32[n, t, 6]",), SEQUENCE),
    Case("BatchNorm()", lambda: nn.BatchNorm1d(3), ("f32[n, 3]",), ROWS),
    Case("BatchNorm(eps=0.1)", lambda: nn.BatchNorm1d(6, 0.1), ("f32[n, 6, t]",), SIGNAL),
    Case("BatchNorm()", lambda: nn.BatchNorm2d(6), ("f32[n, 6, h, w]",), IMAGE),
    Case("BatchNorm()", lambda: nn.BatchNorm3d(2), ("f32[n, 2, d, h, w]",), VOLUME),
    Case("GroupNorm(3)", lambda: nn.GroupNorm(3, 6), ("f32[n, 6, h, w]",), IMAGE),
    Case("GroupNorm(1, eps=0.1)", lambda: nn.GroupNorm(1, 6, 0.1), ("f32[n, 6, t]",), SIGNAL),
    Case("GroupNorm(6)", lambda: nn.GroupNorm(6, 6), ("f32[n, 6, t]",), SIGNAL),
    Case("InstanceNorm()", lambda: nn.InstanceNorm1d(6, affine=True), ("f32[n, 6, t]",), SIGNAL),
    Case("InstanceNorm(eps=0.1)", lambda: nn.InstanceNorm2d(6, 0.1, affine=True), ("f32[n, 6, h, w]",), IMAGE),
    Case("InstanceNorm()", lambda: nn.InstanceNorm3d(2, affine=True), ("f32[n, 2, d, h, w]",), VOLUME),
    # recurrent
    Case("RNNCell(4)", lambda: nn.RNNCell(3, 4), ("f32[n, 3]", "f32[n, 4]"), (((1, 3), (1, 4)), ((5, 3), (5, 4)))),
    Case("GRUCell(4)", lambda: nn.GRUCell(3, 4), ("f32[n, 3]", "f32[n, 4]"), (((1, 3), (1, 4)), ((5, 3), (5, 4)))),
    Case(
        "LSTMCell(4)",
        lambda: nn.LSTMCell(3, 4),
        ("f32[n, 3]", "f32[n, 4]", "f32[n, 4]"),
        (((1, 3), (1, 4), (1, 4)), ((5, 3), (5, 4), (5, 4))),
        call=lambda module, x, h, c: module(x, (h, c)),
    ),
    *(
        Case(
            f"{kind.__name__}(4{', reverse=true' if reverse else ''})",
            lambda kind=kind: kind(6, 4, batch_first=True),  # type: ignore[misc]
            ("f32[n, t, 6]",),
            SEQUENCE,
            rename=cell,
            call=(lambda module, x: module(x.flip(1))[0].flip(1)) if reverse else first,
        )
        for kind in (nn.RNN, nn.GRU, nn.LSTM)
        for reverse in (False, True)
    ),
    Case(
        "Bidirectional(GRU(4), GRU(4, reverse=true))",
        lambda: nn.GRU(6, 4, batch_first=True, bidirectional=True),
        ("f32[n, t, 6]",),
        SEQUENCE,
        rename=directions,
        call=first,
    ),
    Case(
        "Bidirectional(LSTM(4), LSTM(4, reverse=true))",
        lambda: nn.LSTM(6, 4, batch_first=True, bidirectional=True),
        ("f32[n, t, 6]",),
        SEQUENCE,
        rename=directions,
        call=first,
    ),
    *(
        Case(
            f"{kind.__name__}(4, layers={depth}, bidirectional=true, dropout=0.3)",
            lambda kind=kind, depth=depth: kind(6, 4, depth, batch_first=True, bidirectional=True),  # type: ignore[misc]
            ("f32[n, t, 6]",),
            SEQUENCE,
            both_ways,
            first,
        )
        for kind in (nn.RNN, nn.GRU, nn.LSTM)
        for depth in (1, 2)
    ),
    *(
        Case(
            f"{kind.__name__}(4, layers=3{', reverse=true' if reverse else ''})",
            lambda kind=kind: kind(6, 4, 3, batch_first=True),  # type: ignore[misc]
            ("f32[n, t, 6]",),
            SEQUENCE,
            levels,
            call=(lambda module, x: module(x.flip(1))[0].flip(1)) if reverse else first,
        )
        for kind in (nn.RNN, nn.GRU, nn.LSTM)
        for reverse in (False, True)
    ),
    # attention
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
            lambda kv=kv, causal=causal, base=base: twins.Llama(16, 4, kv, causal, base),  # type: ignore[misc]
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
            f"Attention(3, bias=false, scale=1.0, relative=RelativeBias(causal={word}), causal={word})",
            lambda causal=causal: twins.T5(12, 3, causal),  # type: ignore[misc]
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
        Case("CrossAttention(6, kv_heads=2)", lambda: twins.GroupedCross(12, 5, 6, 2), types, runs)
        for types, runs in (
            (("f32[n, t, 12]", "f32[n, s, 5]"), (((1, 1, 12), (1, 1, 5)), ((2, 4, 12), (2, 9, 5)))),
            (
                ("f32[n, t, 12]", "f32[n, s, 5]", "bool[n, s]"),
                (((1, 1, 12), (1, 1, 5), (1, 1)), ((2, 4, 12), (2, 9, 5), (2, 9))),
            ),
        )
    ),
    Case(
        "EncoderLayer(6, 20, kv_heads=2, relative=RelativeBias())",
        lambda: twins.GroupedLayer(12, 6, 2, 20),
        ("f32[n, t, 12]",),
        TOKENS,
        lambda name: name.replace("attn.relative", "relative"),
    ),
    Case(
        "DecoderLayer(6, 20, kv_heads=3, relative=RelativeBias(), causal=false)",
        lambda: twins.GroupedLayer(12, 6, 3, 20, 5),
        ("f32[n, t, 12]", "f32[n, s, 5]"),
        (((1, 1, 12), (1, 1, 5)), ((2, 4, 12), (2, 9, 5))),
        lambda name: name.replace("attn.relative", "relative"),
    ),
    *(
        Case(
            f"RelativeBias({ours})",
            lambda theirs=theirs: twins.Bias(3, **theirs),  # type: ignore[misc]
            ("f32[n, 3, t, 2]", "f32[n, 3, s, 2]"),
            (((1, 3, 1, 2), (1, 3, 1, 2)), ((1, 3, 5, 2), (1, 3, 9, 2)), ((1, 3, 300, 2), (1, 3, 300, 2))),
        )
        for ours, theirs in (
            ("", {}),
            ("causal=true", {"causal": True}),
            ("buckets=12, distance=40", {"buckets": 12, "distance": 40}),
        )
    ),
    Case("RotaryEncoding()", twins.Turned, ("f32[n, h, t, 6]",), one((1, 1, 1, 6), (2, 3, 50, 6))),
    Case(
        "CrossAttention(heads=2, scale=0.7)",
        lambda: twins.Scaled(12, 2, 0.7),
        ("f32[n, t, 12]", "f32[n, s, 12]"),
        (((1, 1, 12), (1, 1, 12)), ((2, 4, 12), (2, 9, 12))),
    ),
    Case("FeedForward(20)", lambda: transformers.FeedForward(6, 20), ("f32[n, t, 6]",), SEQUENCE),
    Case("GatedFeedForward(20)", lambda: twins.Gated(6, 20, F.silu), ("f32[n, t, 6]",), SEQUENCE),
    Case("GatedFeedForward(7, gelu, bias=true)", lambda: twins.Gated(6, 7, F.gelu, True), ("f32[n, t, 6]",), SEQUENCE),
    Case(
        "GatedFeedForward(20, activation=sigmoid, dropout=0.2)",
        lambda: twins.Gated(6, 20, torch.sigmoid),
        ("f32[n, t, 6]",),
        SEQUENCE,
    ),
    Case("EncoderLayer(heads=3, width=20)", encoder(activation=F.gelu), ("f32[n, t, 12]",), TOKENS, layer_names),
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
            decoder(**theirs),  # type: ignore[arg-type]
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
        "DecoderLayer(3, 20, relu)",
        decoder(),
        ("f32[n, t, 12]", "f32[n, s, 12]", "bool[n, t]", "bool[n, s]"),
        (((1, 1, 12), (1, 1, 12), (1, 1), (1, 1)), ((2, 5, 12), (2, 9, 12), (2, 5), (2, 9))),
        layer_names,
        decode,
    ),
)
