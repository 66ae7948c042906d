"""One server for all tests, and a folder for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lsp.editor import Editor


@pytest.fixture(scope="session")
def _server() -> Iterator[Editor]:
    editor = Editor()
    yield editor
    assert editor.end() == 0
    assert editor.log == ""


@pytest.fixture
def editor(_server: Editor) -> Iterator[Editor]:
    """A session in which no file is open; at the end of all tests the server must have nothing in its log."""
    yield _server
    for uri in _server.versions:
        _server.notify("textDocument/didClose", textDocument={"uri": uri})
    _server.versions.clear()
