"""What critics say about films, and how twenty people understood it, in the words of MiniLM: `make data`.

The sentences are those on which VADER was tested (Hutto and Gilbert 2014), and come with its source, the package
`vaderSentiment` (MIT). `ids` is i64 [rows, 32], the numbers of the first word pieces, and `mask` 1 where there is one,
0 where a sentence has been filled up. `praise` is 1 for those that were rated above 1 of 4, and 0 for those below -1,
half of the rows each. Only 400 rows are for training, 600 for the test: the question is how far few examples go.
"""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Iterator

import numpy as np

from examples.fetch import DATA, Arrays, save, unpacked

LENGTH, TRAIN, TEST = 32, 400, 600


def main() -> None:
    films = list(rated("movieReviewSnippets"))
    sides = [[s for rating, s in films if rating < -1], [s for rating, s in films if rating > 1]]
    rng = np.random.default_rng(0)
    picked = [[side[i] for i in rng.permutation(len(side))[: (TRAIN + TEST) // 2]] for side in sides]
    sentences = [sentence for pair in zip(*picked, strict=True) for sentence in pair]
    arrays = {**words(sentences, LENGTH), "praise": np.arange(len(sentences)) % 2}
    save(
        "reviews",
        train={name: array[:TRAIN] for name, array in arrays.items()},
        test={name: array[TRAIN:] for name, array in arrays.items()},
    )


def rated(kind: str) -> Iterator[tuple[float, str]]:
    """The mean rating and the text of each sentence of a kind."""
    with unpacked("vaderSentiment==3.3.2", source=True) as package:
        (inner,) = package.glob("*/additional_resources/hutto_ICWSM_2014.tar.gz")
        with tarfile.open(inner) as archive:
            file = archive.extractfile(f"hutto_ICWSM_2014/{kind}_GroundTruth.txt")
            assert file is not None
            text = file.read().decode("latin-1")
    for _, rating, sentence in csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE):
        yield float(rating), sentence


def words(sentences: list[str], length: int) -> Arrays:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(DATA / "minilm" / "tokenizer.json"))
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length)
    encoded = tokenizer.encode_batch(sentences)
    return {"ids": np.array([e.ids for e in encoded]), "mask": np.array([e.attention_mask for e in encoded])}


if __name__ == "__main__":
    main()
