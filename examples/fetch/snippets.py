"""Sentences from tweets, editorials of the New York Times, and reviews of goods and of films, in the words of MiniLM:
`make data`.

They come with the source of VADER, as those in `reviews` do (Hutto and Gilbert 2014). `ids` is i64 [rows, 24], the
numbers of the first word pieces, and `mask` 1 where there is one. Sentences of all four kinds are in each part: 512 in
`select`, for choosing settings, 512 in `test`, the others in `train`.
"""

from __future__ import annotations

import html

import numpy as np

from examples.fetch import save
from examples.fetch.reviews import rated, words

LENGTH, HELD_OUT = 24, 512
KINDS = ("tweets", "nytEditorialSnippets", "amazonReviewSnippets", "movieReviewSnippets")


def main() -> None:
    sentences = list(dict.fromkeys(html.unescape(sentence) for kind in KINDS for _, sentence in rated(kind)))
    arrays = words([sentences[i] for i in np.random.default_rng(0).permutation(len(sentences))], LENGTH)
    parts = {"select": slice(HELD_OUT), "test": slice(HELD_OUT, 2 * HELD_OUT), "train": slice(2 * HELD_OUT, None)}
    save("snippets", **{part: {name: array[rows] for name, array in arrays.items()} for part, rows in parts.items()})


if __name__ == "__main__":
    main()
