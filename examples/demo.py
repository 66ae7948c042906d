"""Find sentences of similar meaning with a compiled model: `make demo`.

The model is all-MiniLM-L6-v2, written in `minilm.wsd` and compiled to ONNX with the weights it was published with. It
gives each sentence a vector of length 1, and similar sentences vectors that point the same way.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from tokenizers import Tokenizer

import wsdl

HERE = Path(__file__).parent
COMPILED = HERE.parent / "build" / "minilm"
SENTENCES = [
    line for line in (HERE / "sentences.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")
]
QUERIES = [
    "How do I get to my plane on time?",
    "My laptop froze and I lost my document.",
    "What should I cook tonight?",
    "He has a sore throat and a fever.",
    "Will there be a storm?",
]
NEAREST = 3
BAR = "▪"


def main(queries: list[str], compiled: Path = COMPILED) -> None:
    minilm = wsdl.load(compiled)["minilm"]
    tokenizer = Tokenizer.from_file(str(HERE / "data" / "minilm" / "tokenizer.json"))
    tokenizer.enable_padding()

    def embed(texts: list[str]) -> NDArray[np.float32]:
        encoded = tokenizer.encode_batch(texts)
        ids = np.array([e.ids for e in encoded], dtype=np.int64)
        mask = np.array([e.attention_mask for e in encoded], dtype=np.int64)
        vectors: NDArray[np.float32] = minilm(ids=ids, mask=mask)["vector"]
        return vectors

    similarity = embed(queries) @ embed(SENTENCES).T  # the cosine, as every vector has length 1

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"\nThe nearest of {len(SENTENCES)} sentences, with their similarity (1 is the same meaning):")
    for query, row in zip(queries, similarity, strict=True):
        console.print(f"\n{query}", style="bold", markup=False)
        for at in np.argsort(-row)[:NEAREST]:
            console.print(f"  {row[at]:.2f}  {BAR * round(20 * max(row[at], 0)):20}  {SENTENCES[at]}", markup=False)
    console.print('\nAsk it yourself: [bold].venv/bin/python examples/demo.py "Where can I swim?"[/bold]')


if __name__ == "__main__":
    main(sys.argv[1:] or QUERIES)
