"""The networks of `examples/transformers/` in `transformers`, small and with random weights.

`transformers` is imported where a network is made: that takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import wsdl
from references.weights import shake
from wsdl.diagnostics.span import Source
from wsdl.studies.configurations import with_constants

FOLDER = Path(__file__).parents[1] / "examples" / "transformers"
VOCAB = 67

Arrays: TypeAlias = dict[str, NDArray[Any]]
Sizes: TypeAlias = Mapping[str, int | float]


@dataclass(frozen=True)
class Published:
    """`examples/transformers/<name>.wsd` and the class of `transformers` that computes the same.

    `sizes` are the constants of the file in small, `options` those of the class. `batches` are inputs of the file's
    model of this name, `call` gives the results of the class for them. `same_for_padding`: whether rows of padding are
    compared. They attend to nothing, but T5 adds a finite number to their scores, and so attends to all.
    """

    name: str
    of: str
    sizes: Sizes
    options: Mapping[str, Any]
    batches: Callable[[], list[Arrays]]
    call: Callable[[Any, dict[str, Tensor]], dict[str, Tensor]]
    same_for_padding: bool = True

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.wsd"

    def twin(self) -> Any:
        """The class with random weights that are so large that each word, mask and position makes a difference."""
        import transformers

        made = getattr(transformers, self.of)
        module = made(made.config_class(**self.options)).eval()
        generator = torch.Generator().manual_seed(0)
        for parameter in module.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5, generator=generator)
        shake(module)
        return module

    def source(self, folder: Path, twin: Any, shards: str = "") -> Source:
        """The example in small, beside a folder with what `save_pretrained` of the twin writes; in shards of at most a
        size, such as `5KB`."""
        text = self.path.read_text("utf-8")
        saved = text.partition('load "')[2].partition("/")[0]
        twin.save_pretrained(folder / saved, **({"max_shard_size": shards} if shards else {}))
        if shards:
            text = text.replace("model.safetensors", "model.safetensors.index.json")
        source = Source(str(folder / self.path.name), text)
        return with_constants(source, {name: str(value) for name, value in self.sizes.items()})

    def program(self, folder: Path, twin: Any, shards: str = "") -> wsdl.Program:
        """The same, compiled."""
        return wsdl.compile(self.source(folder, twin, shards))


def _padded(padding: str) -> Callable[[], list[Arrays]]:
    """A single word, and sentences of several lengths, one of them empty."""

    def batches() -> list[Arrays]:
        rng = np.random.default_rng(0)
        lengths = np.array([[9], [4], [1], [0]])
        there = np.arange(9) < lengths if padding == "right" else np.arange(9) >= 9 - lengths
        masks = [np.ones((1, 1), bool), there]
        return [{"ids": rng.integers(3, VOCAB, mask.shape), "mask": mask} for mask in masks]

    return batches


def _with_segments() -> list[Arrays]:
    batches = _padded("right")()
    rng = np.random.default_rng(1)
    return [{**batch, "segment": rng.integers(0, 2, batch["ids"].shape)} for batch in batches]


def _logits(**names: str) -> Callable[[Any, dict[str, Tensor]], dict[str, Tensor]]:
    """The logits of a class whose inputs have these names."""

    def call(module: Any, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        given = {names[name]: x.long() if x.dtype == torch.bool else x for name, x in inputs.items()}
        return {"logits": module(**given).logits}

    return call


def _normal(*shape: int) -> NDArray[Any]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def _ids(*shape: int) -> NDArray[Any]:
    return np.random.default_rng(2).integers(3, VOCAB, shape)


def _two_texts() -> list[Arrays]:
    batches = _padded("right")()
    return [
        {"source": b["ids"], "mask": b["mask"], "target": _ids(len(b["ids"]), t)}
        for b, t in zip(batches, (1, 6), strict=True)
    ]


def _of_both(module: Any, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The results of CLIP."""
    images, texts, mask = inputs["image"], inputs["ids"], inputs["mask"].long()
    both = module(pixel_values=images, input_ids=texts, attention_mask=mask)
    return {"logits": both.logits_per_image, "image_embeds": both.image_embeds, "text_embeds": both.text_embeds}


def _of_words_counted(module: Any, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Logits at positions that count words, as in `generate`."""
    mask = inputs["mask"].long()
    places = (mask.cumsum(1) - 1).clamp(0)
    return {"logits": module(inputs["ids"], attention_mask=mask, position_ids=places).logits}


_of_two_texts = _logits(source="input_ids", mask="attention_mask", target="decoder_input_ids")
_of_text = _logits(ids="input_ids", mask="attention_mask", segment="token_type_ids")
_bert = {"d": "hidden_size", "depth": "num_hidden_layers", "heads": "num_attention_heads", "width": "intermediate_size"}
_llama = {**_bert, "kv_heads": "num_key_value_heads"}
_ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
_layers = {"layers": 2, "attention_heads": 4, "ffn_dim": 40}
_image = {"side": 20, "patch": 5, "d": 24, "depth": 2, "heads": 4, "width": 40}
_vision = {"image_size": 20, "patch_size": 5, **{theirs: _image[ours] for ours, theirs in _bert.items()}}
_small = {"vocab": VOCAB, "d": 24, "depth": 2, "heads": 4, "width": 40}


def _options(sizes: Sizes, names: Mapping[str, str], **others: Any) -> dict[str, Any]:
    """Sizes under the names of a configuration."""
    return {"vocab_size": VOCAB, **{names[name]: sizes[name] for name in sizes if name in names}, **others}


def _text(
    name: str, of: str, sizes: Sizes, names: Mapping[str, str], batches: Callable[[], list[Arrays]], **others: Any
) -> Published:
    return Published(name, of, sizes, _options(sizes, names, **others), batches, _of_text)


PUBLISHED = (
    _text(
        "albert",
        "AlbertForMaskedLM",
        {**_small, "embed": 12, "positions": 20},
        {**_bert, "embed": "embedding_size", "positions": "max_position_embeddings"},
        _with_segments,
    ),
    _text(
        "bert",
        "BertForSequenceClassification",
        {**_small, "positions": 20, "labels": 3},
        {**_bert, "positions": "max_position_embeddings", "labels": "num_labels"},
        _with_segments,
    ),
    _text(
        "distilbert",
        "DistilBertForSequenceClassification",
        {**_small, "positions": 20, "labels": 3},
        {"d": "dim", "depth": "n_layers", "heads": "n_heads", "width": "hidden_dim", "labels": "num_labels"},
        _padded("right"),
        max_position_embeddings=20,
    ),
    Published(
        "gpt2",
        "GPT2LMHeadModel",
        {"vocab": VOCAB, "d": 24, "depth": 2, "heads": 4, "positions": 20},
        {"vocab_size": VOCAB, "n_embd": 24, "n_layer": 2, "n_head": 4, "n_positions": 20, **_ends},
        _padded("left"),
        _of_words_counted,
    ),
    _text(
        "opt",
        "OPTForCausalLM",
        {**_small, "positions": 20},
        {**_bert, "width": "ffn_dim", "positions": "max_position_embeddings"},
        _padded("left"),
        word_embed_proj_dim=24,
        **_ends,
    ),
    _text(
        "llama",
        "LlamaForCausalLM",
        {**_small, "kv_heads": 2, "base": 500.0, "factor": 8.0, "trained": 6},
        _llama,
        _padded("left"),
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 500.0,
            "factor": 8.0,
            "original_max_position_embeddings": 6,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
        },
        **_ends,
    ),
    _text(
        "qwen2",
        "Qwen2ForCausalLM",
        {**_small, "kv_heads": 2, "base": 500.0},
        _llama,
        _padded("left"),
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
        **_ends,
    ),
    Published(
        "t5",
        "T5ForConditionalGeneration",
        {**_small, "head_size": 10},
        {"vocab_size": VOCAB, "d_model": 24, "num_layers": 2, "num_heads": 4, "d_ff": 40, "d_kv": 10},
        _two_texts,
        _of_two_texts,
        same_for_padding=False,
    ),
    Published(
        "bart",
        "BartForConditionalGeneration",
        {**_small, "positions": 20},
        {
            "vocab_size": VOCAB,
            "d_model": 24,
            "max_position_embeddings": 20,
            **{f"{part}_{name}": n for part in ("encoder", "decoder") for name, n in _layers.items()},
        },
        _two_texts,
        _of_two_texts,
    ),
    Published(
        "vit",
        "ViTForImageClassification",
        {**_image, "labels": 5},
        {**_vision, "num_labels": 5},
        lambda: [{"image": _normal(n, 3, 20, 20)} for n in (1, 3)],
        _logits(image="pixel_values"),
    ),
    Published(
        "clip",
        "CLIPModel",
        {
            **_image,
            "vocab": VOCAB,
            "positions": 20,
            "text_d": 16,
            "text_depth": 3,
            "text_heads": 2,
            "text_width": 36,
            "joint": 14,
        },
        {
            "projection_dim": 14,
            "vision_config": _vision,
            "text_config": {
                "vocab_size": VOCAB,
                "max_position_embeddings": 20,
                "hidden_size": 16,
                "num_hidden_layers": 3,
                "num_attention_heads": 2,
                "intermediate_size": 36,
                "eos_token_id": 2,  # as published: the end of a text is its largest id
            },
        },
        lambda: [{"image": _normal(n, 3, 20, 20), **batch} for n, batch in enumerate(_padded("right")(), start=1)],
        _of_both,
    ),
    Published(
        "whisper",
        "WhisperForConditionalGeneration",
        {**_small, "bands": 7, "frames": 11, "positions": 20},
        {
            "vocab_size": VOCAB,
            "d_model": 24,
            "num_mel_bins": 7,
            "max_source_positions": 11,
            "max_target_positions": 20,
            **{f"{part}_{name}": n for part in ("encoder", "decoder") for name, n in _layers.items()},
            **_ends,
        },
        lambda: [{"sound": _normal(n, 7, 22), "target": _ids(n, t)} for n, t in ((1, 1), (3, 8))],
        _logits(sound="input_features", target="decoder_input_ids"),
    ),
)
