"""T5, GPT-2 and ViT of `transformers` with random weights, and the same weights under the names of the examples.

T5 and GPT-2 are made narrower.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import torch

import wsdl
from references.examples.catalogue import FOLDER

VOCAB = 211


def text(name: str, **sizes: int) -> str:
    """An example with other numbers in its `let`s, and other ones for what it calls by number."""
    found = (FOLDER / f"{name}.wsd").read_text("utf-8")
    for what, size in sizes.items():
        pattern = rf"(?<=let {what} = )\d+" if what.isalpha() else what.removeprefix("_")
        found, count = re.subn(pattern, str(size), found)
        assert count, f"{name} has no {what}"
    return found


def t5_name(theirs: str) -> str:
    """`encoder.block.0.layer.0.SelfAttention.q.weight` is `encoder.blocks.0.attn.query.weight`."""
    places = {"SelfAttention": "attn", "EncDecAttention": "cross", "DenseReluDense": "ffn"}
    maps = {"q": "query", "k": "key", "v": "value", "o": "out"}
    if theirs.endswith("relative_attention_bias.weight"):
        return f"{theirs.partition('.')[0]}.bias.weight"
    name = re.sub(r"block\.(\d+)\.layer\.(\d+)\.layer_norm", lambda m: f"blocks.{m[1]}.norm{int(m[2]) + 1}", theirs)
    name = re.sub(
        r"block\.(\d+)\.layer\.\d+\.(\w+)\.(\w+)",
        lambda m: f"blocks.{m[1]}.{places[m[2]]}.{maps.get(m[3], m[3])}",
        name,
    )
    return name.replace("final_layer_norm", "norm").replace("shared.", "embed.").replace("lm_head.", "head.")


@cache
def t5() -> tuple[Any, wsdl.Program]:
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    config = T5Config(vocab_size=VOCAB, d_model=64, d_kv=8, num_heads=8, d_ff=256, num_layers=6)
    config.decoder_start_token_id = 0
    theirs = T5ForConditionalGeneration(config).eval()
    weights = {t5_name(n): v.numpy() for n, v in theirs.state_dict().items() if "embed_tokens" not in n}
    return theirs, wsdl.compile(text("t5", vocab=VOCAB, d=64), weights=weights)


@cache
def gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    ends: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 0}
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCAB, n_embd=48, n_layer=12, n_head=12, **ends)).eval()


def gpt2_text() -> str:
    return text("gpt2", d=48, _50257=VOCAB)


def vit_name(theirs: str) -> str:
    name = theirs.removeprefix("vit.").removeprefix("embeddings.").replace("patch_embeddings.", "")
    for part, ours in {
        "layers.": "blocks.", "attention.q_proj": "attn.query", "attention.k_proj": "attn.key",
        "attention.v_proj": "attn.value", "attention.o_proj": "attn.out", "mlp.fc1": "ffn.up", "mlp.fc2": "ffn.down",
        "layernorm_before": "norm1", "layernorm_after": "norm2", "layernorm": "norm",
    }.items():  # fmt: skip
        name = name.replace(part, ours)
    return name
