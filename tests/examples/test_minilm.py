"""MiniLM, written in the language and with the weights that were published, computes what `transformers` computes."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wsdl
from references.examples.catalogue import FOLDER, present
from wsdl.onnx.proof import prove
from wsdl.runtime.session import Session
from wsdl.weights.open_source import open_source

WEIGHTS = FOLDER / "data" / "minilm"

pytestmark = pytest.mark.skipif(
    not (WEIGHTS / "model.safetensors").exists(), reason="the weights are not here: `make data` fetches them"
)


@cache
def program() -> wsdl.Program:
    return wsdl.compile(FOLDER / "minilm.wsd")


@cache
def session() -> Session:
    return program().session("minilm")


@cache
def bert() -> Any:
    from transformers import BertModel

    return BertModel.from_pretrained(WEIGHTS, local_files_only=True).eval()


def expected(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Pooled as in sentence-transformers: the mean over the words that are there, brought to length 1."""
    with torch.no_grad():
        hidden = bert()(torch.from_numpy(ids), torch.from_numpy(mask)).last_hidden_state
        there = torch.from_numpy(mask)[:, :, None].float()
        mean = (hidden * there).sum(1) / there.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(mean).numpy()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (4, 17), (2, 128)], ids=str)
def test_equal_to_transformers(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    ids, mask = rng.integers(0, 30522, size), present(rng, size).astype(np.int64)
    vector = session()(ids=ids, mask=mask)["vector"]
    np.testing.assert_allclose(vector, expected(ids, mask), rtol=1e-4, atol=1e-6)


def test_stored_once(tmp_path: Path) -> None:
    [path] = program().models["minilm"].save(tmp_path / "minilm.onnx")
    proofs = prove(path)
    assert proofs.holds, proofs
    assert path.stat().st_size <= 1.01 * program().inventory.sizes().bytes + 64 * 1024


def test_sentences() -> None:
    """Sentences of one meaning are near each other, however they are filled up."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(WEIGHTS / "tokenizer.json"))
    tokenizer.enable_padding(length=24)
    sentences = ["A man is playing a guitar.", "Someone plays an instrument.", "The stock market fell sharply today."]
    encoded = tokenizer.encode_batch(sentences)
    ids, mask = (np.array([getattr(e, part) for e in encoded], np.int64) for part in ("ids", "attention_mask"))
    vectors = session()(ids=ids, mask=mask)["vector"]
    np.testing.assert_allclose(vectors, expected(ids, mask), rtol=1e-4, atol=1e-6)
    near, far = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert near > 0.5 > 0.2 > far


RECURSIVE = """
model queries(x: f32[n, 384]) -> (y: f32[n, 384]) {
    layer blocks[6] = Dense(384)
    share as Delta(rank=4) { blocks[*] except bias }
    for block in blocks {
        x = block(x)
    }
    return x
}

load "MODEL" into queries fit 0.9 {
    "encoder.layer.{i}.attention.self.query.{p}" -> blocks[i].{p}
}
"""


def test_six_matrices_as_one_with_changes_of_low_rank(tmp_path: Path) -> None:
    """`load … fit` loses what it says, and no more than some rounds of means and of singular value decompositions."""
    path = tmp_path / "queries.wsd"
    path.write_text(RECURSIVE.replace("MODEL", "model.safetensors"), "utf-8")
    (tmp_path / "model.safetensors").symlink_to((WEIGHTS / "model.safetensors").resolve())
    fitted = wsdl.compile(path)
    published = open_source(tmp_path / "model.safetensors")
    wanted = np.stack([published.read(f"encoder.layer.{i}.attention.self.query.weight") for i in range(6)])
    stored = fitted.stored
    slots = [f"queries.blocks.{i}.weight" for i in range(6)]
    found = stored[slots[0]] + np.stack([stored[f"{slot}.up"] @ stored[f"{slot}.down"] for slot in slots])
    norms = np.linalg.norm(wanted, axis=(1, 2))
    shares = np.linalg.norm(found - wanted, axis=(1, 2)) / norms
    np.testing.assert_allclose(shares, [fitted.lost[f"queries.blocks[{i}].weight"] for i in range(6)], rtol=1e-4)
    changes = np.zeros_like(wanted)
    for _ in range(3):
        base = (wanted - changes).mean(0)
        left, values, right = np.linalg.svd(wanted - base)
        changes = left[:, :, :4] * values[:, None, :4] @ right[:, :4]
    assert np.linalg.norm(found - wanted) <= np.linalg.norm(base + changes - wanted)
    assert shares.min() > 0.8  # six layers have little in common
