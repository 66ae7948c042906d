"""Vim's and Emacs's files have the words that the product's tables give."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.golden import ROOT, Golden
from wsdl.highlighting import word_lists


@pytest.mark.parametrize(
    ("file", "lines"),
    [("neovim/syntax/wsdl.vim", word_lists.vim), ("emacs/wsdl-mode.el", word_lists.emacs)],
)
def test_word_lists(file: str, lines: Callable[[], str], golden: Golden) -> None:
    path = ROOT / "editors" / file
    golden(path, word_lists.with_words(path.read_text("utf-8"), lines()))
