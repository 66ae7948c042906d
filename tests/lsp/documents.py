"""Documents without a server, and the examples that a test opens."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.examples.test_bytes import EXAMPLES, FOLDER
from wsdl.lsp.documents import Document, Documents


def opened(path: Path, text: str) -> Document:
    documents = Documents()
    documents.put(path.absolute().as_uri(), text, 1)
    document = documents.get(path.absolute().as_uri())
    assert document is not None
    return document


def of_examples(variable: str, few: Iterable[str]) -> pytest.MarkDecorator:
    """A test for each of a few examples by `path`; for each of all where an environment variable is set."""
    paths = EXAMPLES if variable in os.environ else [FOLDER / f"{name}.wsd" for name in few]
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.relative_to(FOLDER).as_posix())
