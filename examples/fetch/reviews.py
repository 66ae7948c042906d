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

import numpy as np

from examples.fetch import DATA, Arrays, save, unpacked

LENGTH, TRAIN, TEST = 32, 400, 600
SENTENCES = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"


def main() -> None:
    rows = csv.reader(io.StringIO(read()), delimiter="\t", quoting=csv.QUOTE_NONE)
    rated = [(float(rating), sentence) for _, rating, sentence in rows]
    sides = [[s for rating, s in rated if rating < -1], [s for rating, s in rated if rating > 1]]
    rng = np.random.default_rng(0)
    picked = [[side[i] for i in rng.permutation(len(side))[: (TRAIN + TEST) // 2]] for side in sides]
    sentences = [sentence for pair in zip(*picked, strict=True) for sentence in pair]
    arrays = {**words(sentences), "praise": np.arange(len(sentences)) % 2}
    save(
        "reviews",
        train={name: array[:TRAIN] for name, array in arrays.items()},
        test={name: array[TRAIN:] for name, array in arrays.items()},
    )


def read() -> str:
    """A number, the mean rating and a sentence in each line, with tabs between them."""
    with unpacked("vaderSentiment==3.3.2", source=True) as package:
        (inner,) = package.glob("*/additional_resources/hutto_ICWSM_2014.tar.gz")
        with tarfile.open(inner) as archive:
            file = archive.extractfile(SENTENCES)
            assert file is not None
            return file.read().decode("latin-1")


def words(sentences: list[str]) -> Arrays:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(DATA / "minilm" / "tokenizer.json"))
    tokenizer.enable_truncation(LENGTH)
    tokenizer.enable_padding(length=LENGTH)
    encoded = tokenizer.encode_batch(sentences)
    return {"ids": np.array([e.ids for e in encoded]), "mask": np.array([e.attention_mask for e in encoded])}


if __name__ == "__main__":
    main()
