"""What the data sets of recordings, characters, words and sentences hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from references.training.catalogue import arrays, file

Arrays = Mapping[str, NDArray[Any]]


def both(data: str) -> tuple[Arrays, Arrays]:
    """The rows to learn from, and those of the test."""
    train, test = (file(data, part) for part in ("train", "test"))
    if not (train.exists() and test.exists()):
        pytest.skip(f"the data of {data} is not here: `make data` fetches it")
    return arrays(train), arrays(test)


def spelled(letters: NDArray[Any]) -> list[str]:
    return ["".join(chr(96 + int(n)) for n in row if n) for row in letters]


def test_recordings() -> None:
    train, test = both("japanese_vowels")
    assert np.bincount(train["speaker"]).tolist() == [30] * 9
    assert np.bincount(test["speaker"]).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    for part, longest in ((train, 26), (test, 29)):
        assert (part["length"].min(), part["length"].max()) == (7, longest)
        ended = np.arange(29) >= part["length"][:, None]
        assert not part["frames"][ended].any()
        assert part["frames"][~ended].any(1).all()


def test_characters() -> None:
    train, test = (bytes(part["text"][:, :-1].ravel()).decode("ascii") for part in both("shakespeare"))
    assert test.startswith("Hamlet\n")
    assert "To be, or not to be: that is the question:" in test
    assert "Ophelia" not in train
    assert "#" not in train
    assert "To-morrow, and to-morrow, and to-morrow," in train
    for part in both("shakespeare"):
        assert (
            part["text"][1:, 0] == part["text"][:-1, -1]
        ).all()  # a row begins with the last character of the one before


def test_words() -> None:
    train, test = both("words")
    known, kept = spelled(train["letters"]), spelled(test["letters"])
    assert len({*known, *kept}) == len(known) + len(kept)
    at = known.index("together")
    assert (train["count"][at] + 1, train["place"][at] + 1) == (3, 2)
    assert all((part["place"] <= part["count"]).all() for part in (train, test))


def test_sentences() -> None:
    train, test = both("reviews")
    assert [part["praise"].sum() for part in (train, test)] == [200, 300]
    seen = {row.tobytes() for row in train["ids"]}
    assert not any(row.tobytes() in seen for row in test["ids"])
    for part in (train, test):
        assert ((part["ids"] == 0) == (part["mask"] == 0)).all()
