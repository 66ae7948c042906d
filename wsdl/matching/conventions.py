"""How frameworks name and lay out weights: tables that `wsdl match` reads, to be extended here.

A name is written in snake case, with `.` between its parts (`LayerNorm` is `layer_norm`). Both sides, the file and the
program, are rewritten to one vocabulary, which is that of the standard blocks: `attn.query`, `ffn.up`, `norm1`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Phrase:
    """Consecutive parts of a name, and what they mean. `#` is a number, the same on both sides; `source` is where they
    are written like this."""

    written: str
    meaning: str
    source: str


# Each is applied to what those above it made of a name, so special ones stand before general ones.
PHRASES = (
    # -- normalizations inside of a layer: numbered in the order in which they are applied
    Phrase("attention.output.layer_norm", "norm1", "BERT"),
    Phrase("crossattention.output.layer_norm", "norm2", "BERT"),
    Phrase("attention.layer_norm", "norm1", "ALBERT"),
    Phrase("output.layer_norm", "norm3", "BERT"),
    Phrase("full_layer_layer_norm", "norm3", "ALBERT"),
    Phrase("layernorm_before", "norm1", "ViT"),
    Phrase("layernorm_after", "norm3", "ViT"),
    Phrase("sa_layer_norm", "norm1", "DistilBERT"),
    Phrase("output_layer_norm", "norm3", "DistilBERT"),
    Phrase("self_attn_layer_norm", "norm1", "BART, OPT, Whisper"),
    Phrase("encoder_attn_layer_norm", "norm2", "BART, Whisper"),
    Phrase("layers.#.final_layer_norm", "layers.#.norm3", "BART, OPT, Whisper"),
    Phrase("input_layernorm", "norm1", "Llama, GPT-NeoX"),
    Phrase("post_attention_layernorm", "norm2", "Llama, GPT-NeoX"),
    Phrase("pre_feedforward_layernorm", "norm3", "Gemma"),
    Phrase("post_feedforward_layernorm", "norm4", "Gemma"),
    Phrase("attention_norm", "norm1", "Meta's Llama"),
    Phrase("ffn_norm", "norm2", "Meta's Llama"),
    Phrase("block.#.layer.0.layer_norm", "block.#.norm1", "T5"),
    Phrase("block.#.layer.1.layer_norm", "block.#.norm2", "T5"),
    Phrase("block.#.layer.2.layer_norm", "block.#.norm3", "T5"),
    # -- others
    Phrase("depthwise_kernel", "depthwise.kernel", "Keras"),
    Phrase("pointwise_kernel", "pointwise.kernel", "Keras"),
    Phrase("layernorm_embedding", "embed.norm", "BART"),
    Phrase("embeddings.layer_norm", "embed.norm", "BERT"),
    Phrase("pre_layrnorm", "pre.norm", "CLIP"),
    Phrase("ln_f", "final.norm", "GPT-2"),
    Phrase("norm_f", "final.norm", "Mamba"),
    Phrase("post_layernorm", "final.norm", "CLIP"),
    Phrase("final_layer_norm", "final.norm", "T5, CLIP"),
    Phrase("final_layernorm", "final.norm", "Phi"),
    Phrase("norm_out", "final.norm", "examples"),
    # -- attention
    Phrase("block.#.layer.#.self_attention", "block.#.attn", "T5"),
    Phrase("block.#.layer.#.enc_dec_attention", "block.#.cross", "T5"),
    Phrase("block.#.layer.#.dense_relu_dense", "block.#.ffn", "T5"),
    Phrase("crossattention.self", "cross", "BERT"),
    Phrase("crossattention.output.dense", "cross.out", "BERT"),
    Phrase("attention.self", "attn", "BERT"),
    Phrase("attention.attention", "attn", "ViT"),
    Phrase("attention.output.dense", "attn.out", "BERT, ViT"),
    Phrase("attention.dense", "attn.out", "ALBERT, GPT-NeoX"),
    Phrase("encoder_attn", "cross", "BART, Whisper"),
    Phrase("multihead_attn", "cross", "torch.nn.TransformerDecoderLayer"),
    Phrase("cross_attn", "cross", "timm"),
    Phrase("cross_attention", "cross", "Keras"),
    Phrase("self_attn", "attn", "torch.nn, Llama, BART"),
    Phrase("self_attention", "attn", "torchvision, BLOOM"),
    Phrase("attention", "attn", "GPT-NeoX"),
    Phrase("multi_head_attention", "attn", "Keras"),
    Phrase("in_proj_weight", "qkv.weight", "torch.nn.MultiheadAttention"),
    Phrase("in_proj_bias", "qkv.bias", "torch.nn.MultiheadAttention"),
    Phrase("q_proj_weight", "query.weight", "torch.nn.MultiheadAttention(kdim=…)"),
    Phrase("k_proj_weight", "key.weight", "torch.nn.MultiheadAttention(kdim=…)"),
    Phrase("v_proj_weight", "value.weight", "torch.nn.MultiheadAttention(kdim=…)"),
    Phrase("c_attn", "qkv", "GPT-2"),
    Phrase("qkv_proj", "qkv", "Phi-3"),
    Phrase("wqkv", "qkv", "ModernBERT"),
    Phrase("attn.c_proj", "attn.out", "GPT-2"),
    Phrase("attn.proj", "attn.out", "timm"),
    Phrase("attn.dense", "attn.out", "BERT"),
    Phrase("attn.to_out.0", "attn.out", "diffusers"),
    *(
        Phrase(written, meaning, "attention of many")
        for meaning, names in {
            "query": "q_proj q_lin q wq to_q query_proj",
            "key": "k_proj k_lin k wk to_k key_proj",
            "value": "v_proj v_lin v wv to_v value_proj",
        }.items()
        for written in names.split()
    ),
    *(
        Phrase(f"{kind}.{written}", f"{kind}.out", "attention of many")
        for kind in ("attn", "cross")
        for written in ("out_proj", "o_proj", "out_lin", "o", "wo", "to_out", "output", "attention_output")
    ),
    # -- the layers between
    Phrase("ffn.weight", "ffn.up.weight", "ALBERT"),
    Phrase("ffn.bias", "ffn.up.bias", "ALBERT"),
    Phrase("ffn_output", "ffn.down", "ALBERT"),
    Phrase("intermediate.dense", "ffn.up", "BERT, ViT"),
    Phrase("output.dense", "ffn.down", "BERT, ViT"),
    Phrase("linear1", "ffn.up", "torch.nn.TransformerEncoderLayer"),
    Phrase("linear2", "ffn.down", "torch.nn.TransformerEncoderLayer"),
    Phrase("layers.#.fc1", "layers.#.ffn.up", "BART, OPT, Whisper"),
    Phrase("layers.#.fc2", "layers.#.ffn.down", "BART, OPT, Whisper"),
    Phrase("mlp", "ffn", "GPT-2, Llama, timm"),
    Phrase("feed_forward", "ffn", "Meta's Llama"),
    Phrase("ffn.gate_up_proj", "ffn.gate_up", "Phi-3"),
    *(
        Phrase(f"ffn.{written}", f"ffn.{meaning}", "feed-forward layers of many")
        for meaning, names in {
            "up": "fc1 lin1 c_fc wi wi_1 up_proj w3 dense_h_to_4h",
            "down": "fc2 lin2 c_proj wo down_proj w2 dense_4h_to_h",
            "gate": "wi_0 gate_proj w1",
        }.items()
        for written in names.split()
    ),
    # -- embeddings, beginnings and ends
    *(
        Phrase(written, meaning, "embeddings of many")
        for meaning, names in {
            "tok.embed": "word_embeddings embed_tokens wte tok_embeddings token_embedding token_embeddings shared",
            "pos.embed": "position_embeddings embed_positions wpe position_embedding pos_embed pos_embedding "
            "positional_embedding",
            "segment.embed": "token_type_embeddings token_type_embedding",
            "patch.embed": "patch_embeddings.projection patch_embed.proj patch_embedding conv_proj",
            "cls": "cls_token class_embedding class_token",
        }.items()
        for written in names.split()
    ),
    *(Phrase(written, "head", "heads of many") for written in ("lm_head", "classifier", "score", "fc", "proj_out")),
    Phrase("weight_ih_l#_reverse", "backward.#.cell.weight_ih", "torch.nn.LSTM, GRU, RNN"),
    *(
        Phrase(f"{leaf}_l#{end}", f"{way}.#.cell.{leaf}", "torch.nn.LSTM, GRU, RNN")
        for end, way in (("_reverse", "backward"), ("", "forward"))
        for leaf in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ),
)

# Words with one meaning.
SYNONYMS = {
    written: meaning
    for meaning, words in {
        "pre": "before",
        "final": "post after last",
        "norm": "ln layernorm layrnorm batchnorm bn rmsnorm groupnorm normalization",
        "conv": "convolution conv1d conv2d conv3d",
        "dense": "linear lin fc proj projection",
        "embed": "emb embedding embeddings",
        "pos": "position positions positional",
        "tok": "token tokens word words vocab",
        "text": "textual language",
        "vision": "visual image",
        "enc": "encoder",
        "dec": "decoder",
        "attn": "attention",
        "out": "output",
        "patch": "patches",
        "relative": "rel",
        "layer": "layers block blocks stage stages group groups h levels forward",
        "down": "downsample shortcut",
        "cls": "class",
    }.items()
    for written in words.split()
}

# Words that say nothing by themselves.
EMPTY = frozenset({"layer", "model", "module", "transformer", "net", "network", "self", "backbone", "base"})

# The last part of a name: what kind of parameter it is.
LEAVES = {
    written: meaning
    for meaning, words in {
        "weight": "weight weights kernel gamma scale embedding embeddings w table",
        "bias": "bias beta b offset",
        "running_mean": "running_mean moving_mean",
        "running_var": "running_var moving_variance moving_var",
        "weight_ih": "weight_ih",
        "weight_hh": "weight_hh recurrent_kernel",
        "bias_ih": "bias_ih",
        "bias_hh": "bias_hh",
    }.items()
    for written in words.split()
}

# Layers whose matrices are the rows of several others, in this order.
FUSED = {"qkv": ("query", "key", "value"), "kv": ("key", "value"), "gate_up": ("gate", "up")}

# Layers that keep their matrices as [inputs, outputs] (transformers' Conv1D), by the last part but one of a name; and
# the last part that says so of any layer (Keras, Flax), convolutions included: [height, width, inputs, outputs].
TRANSPOSED_LAYERS = frozenset({"c_attn", "c_proj", "c_fc", "q_attn"})
TRANSPOSED_LEAVES = frozenset({"kernel", "recurrent_kernel", "depthwise_kernel", "pointwise_kernel"})

# What comes after what, against the order of the alphabet, in which files may be.
AFTER = {"decoder": "encoder"}

# What files have and no program needs: counters, positions, masks, frequencies.
IGNORED = {
    "num_batches_tracked": "a counter of batches",
    "position_ids": "the numbers 0, 1, 2, …",
    "token_type_ids": "zeros",
    "inv_freq": "frequencies of the rotary encoding",
    "relative_position_index": "positions",
    "exp_avg": "a state of the optimizer",
    "exp_avg_sq": "a state of the optimizer",
    "momentum_buffer": "a state of the optimizer",
    "attn.masked_bias": "a constant of the causal mask",
    "attn.bias": "the causal mask of GPT-2",
}

# Embeddings of which files have more rows than are used, and which rows are: positions begin behind some for padding,
# vocabularies end with some that round up their size.
CUT = {"pos": "last", "tok": "first"}

# A layer that often shares the matrix of an embedding, which then is in a file once.
TIED = (("head", "tok"), ("tok", "tok"))
