"""A prompt and a step over one set of weights, with the standard `Attention`: the decoders of `transformers`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wsdl
from references.weights import shake

FOLDER = Path(__file__).parent / "decoders"
VOCAB, D, DEPTH = 50, 32, 3
OPTIONS: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 0, "attn_implementation": "eager"}
NAMES = {
    "transformer.": "", "model.": "", "h.": "layers.", "wte.": "tok.", "wpe.": "pos.", "embed_tokens.": "tok.",
    "post_attention_layernorm": "norm2", "input_layernorm": "norm1", "ln_1": "norm1", "ln_2": "norm2", "ln_f": "norm",
    "self_attn": "attn", "q_proj": "query", "k_proj": "key", "v_proj": "value", "o_proj": "out", "_proj": "",
    "attn.c.": "attn.out.", "mlp.c_fc.": "ffn.up.", "mlp.c.": "ffn.down.", "mlp": "ffn",
}  # fmt: skip


def llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(
        vocab_size=VOCAB, hidden_size=D, intermediate_size=48, num_hidden_layers=DEPTH, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=True, **OPTIONS,
    ))  # fmt: skip


def gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCAB, n_positions=40, n_embd=D, n_layer=DEPTH, n_head=4, **OPTIONS))


def weights_of(model: Any) -> dict[str, Any]:
    """The weights by our names; GPT-2 has its matrices transposed, and queries, keys and values in one."""
    weights: dict[str, torch.Tensor] = {}
    for name, value in model.named_parameters():
        if ".c_" in name and value.dim() == 2:
            value = value.T
        for theirs, ours in NAMES.items():
            name = name.replace(theirs, ours)
        if ".c_attn." in name:
            parts = zip(("query", "key", "value"), value.chunk(3), strict=True)
            weights.update({name.replace("c_attn", part): piece for part, piece in parts})
        else:
            weights[name] = value
    return {name: value.detach().contiguous().numpy() for name, value in weights.items()}


@pytest.mark.parametrize("make", [llama, gpt2])
def test_prompt_and_steps(make: Callable[[], Any]) -> None:
    torch.manual_seed(0)
    theirs = make().eval()
    shake(theirs)
    program = wsdl.compile(FOLDER / f"{make.__name__}.wsd", weights=weights_of(theirs))
    prompt, step = program.session("prompt"), program.session("step")
    ids = torch.randint(0, VOCAB, (3, 12), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(12) >= torch.tensor([[0], [2], [4]])  # padding on the left
    ours = prompt.run({"ids": ids[:, :7].numpy(), "mask": mask[:, :7].numpy()})
    for end in range(7, 13):
        seen = mask[:, :end]
        with torch.no_grad():
            places = (seen.cumsum(1) - 1).clamp(0)
            whole = theirs(ids[:, :end], attention_mask=seen.long(), position_ids=places, use_cache=True)
        np.testing.assert_allclose(ours["logits"], whole.logits[:, -1], rtol=1e-4, atol=1e-5)
        for i, layer in enumerate(whole.past_key_values.layers):
            for name, cache in (("key", layer.keys), ("value", layer.values)):
                kept = torch.from_numpy(ours[f"{name}.{i}"])
                assert torch.allclose(kept.movedim(2, 1)[seen], cache.movedim(2, 1)[seen], rtol=1e-4, atol=1e-5)
        if end < 12:
            past = {f"past_{name}": value for name, value in ours.items() if name != "logits"}
            ours = step.run({"id": ids[:, end].numpy(), "mask": mask[:, : end + 1].numpy(), **past})
