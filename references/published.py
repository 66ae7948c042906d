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
    model of this name, `call` gives the results of the class for them.
    """

    name: str
    of: str
    sizes: Sizes
    options: Mapping[str, Any]
    batches: Callable[[], list[Arrays]]
    call: Callable[[Any, dict[str, Tensor]], dict[str, Tensor]]

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
                torch.nn.init.normal_(parameter, std=2 / parameter[0].numel() ** 0.5, generator=generator)
        shake(module)
        return module

    def program(self, folder: Path, twin: Any, **sharding: Any) -> wsdl.Program:
        """The example in small, with the weights that `save_pretrained` of the twin writes into a folder beside it."""
        text = self.path.read_text("utf-8")
        saved = text.partition('load "')[2].partition("/")[0]
        twin.save_pretrained(folder / saved, **sharding)
        source = Source(str(folder / self.path.name), text)
        return wsdl.compile(with_constants(source, {name: str(value) for name, value in self.sizes.items()}))


def _padded(padding: str, *, at_least: int = 0) -> Callable[[], list[Arrays]]:
    """A single word, and sentences of several lengths, one of them empty."""

    def batches() -> list[Arrays]:
        rng = np.random.default_rng(0)
        lengths = np.maximum([9, 4, 1, 0], at_least)[:, None]
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


_of_text = _logits(ids="input_ids", mask="attention_mask", segment="token_type_ids")
_bert = {"d": "hidden_size", "depth": "num_hidden_layers", "heads": "num_attention_heads", "width": "intermediate_size"}
_llama = {**_bert, "kv_heads": "num_key_value_heads"}
_ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
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
)
