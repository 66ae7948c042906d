"""Semantic tokens: keywords are those of the lexer, positions are those of the protocol, changes are small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.examples.test_bytes import EXAMPLES, FOLDER
from tests.lsp.documents import opened
from tests.lsp.editor import Editor, position
from wsdl.highlighting.lexer import WsdlLexer
from wsdl.lsp.semantic_tokens import tokens

TEXT = """\
load "😀.safetensors" into m.tok
model m(ids: i64[n]) -> (y: f32[n, 4]) {
    layer tok = Dense(4)
    layer layer = Dense(4)
    x = cast(ids, f32).reshape(n, 1)
    return tok(x) + tok(x) + layer(x)
}
"""


@pytest.mark.parametrize("path", EXAMPLES[::4], ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_keywords_are_those_of_the_lexer(path: Path) -> None:
    """As the lexer has them for Pygments: neighbors decide there, here the parser does."""
    text = path.read_text(encoding="utf-8")
    colored = {
        start: str(kind).removeprefix("Token.") for start, kind, part in WsdlLexer().get_tokens_unprocessed(text)
    }
    for token in tokens(opened(path, text)):
        kind = colored.get(token.place.start, "inside of another token")
        is_keyword = kind.startswith("Keyword") and kind != "Keyword.Constant" and kind != "Keyword.Type"
        assert (token.type == "keyword") == (is_keyword or kind == "Operator.Word"), (token.place, kind)


def rows(data: list[int]) -> list[list[int]]:
    return [data[i : i + 5] for i in range(0, len(data), 5)]


def test_columns_and_shared(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "m.wsd"
    editor.open(path, TEXT.replace("\n", "\r\n"))
    legend = editor.capabilities["semanticTokensProvider"]["legend"]
    [load, into, m, tok, model, *_] = rows(editor.ask("semanticTokens/full", path)["data"])
    assert load[:3] == [0, 0, 4]
    assert into[:2] == [0, position(TEXT, "into")["character"]]
    shared = 1 << legend["tokenModifiers"].index("shared")
    assert (legend["tokenTypes"][m[3]], m[4] & shared) == ("class", 0)
    assert (legend["tokenTypes"][tok[3]], tok[4] & shared) == ("property", shared)
    assert model[:3] == [1, 0, 5]
    inside = {"start": position(TEXT, "layer tok"), "end": position(TEXT, "x = ")}
    part = rows(editor.ask("semanticTokens/range", path, range=inside)["data"])
    assert part[0][:3] == [1, 0, 5]


def test_changes(editor: Editor, tmp_path: Path) -> None:
    """The change brings the old answer to the new one."""
    path = tmp_path / "m.wsd"
    editor.open(path, text := TEXT)
    answer = editor.ask("semanticTokens/full", path)
    name, data = answer["resultId"], answer["data"]
    for old, new, most in (("return tok", "return  tok", 5), ("layer layer", "\n\nlayer layer", 5), ("}\n", "", 1000)):
        text = text.replace(old, new, 1)
        editor.change(path, text)
        delta = editor.ask("semanticTokens/full/delta", path, previousResultId=name)
        for edit in delta["edits"]:
            assert len(edit.get("data", ())) <= most
            data = with_edit(data, edit)
        name = delta["resultId"]
        fresh = editor.ask("semanticTokens/full", path)
        assert (data, name) == (fresh["data"], fresh["resultId"])
    assert editor.ask("semanticTokens/full/delta", path, previousResultId=name)["edits"] == []
    assert editor.ask("semanticTokens/full/delta", path, previousResultId="unknown")["data"] == data


def with_edit(data: list[int], edit: Any) -> list[int]:
    return [*data[: edit["start"]], *edit.get("data", ()), *data[edit["start"] + edit["deleteCount"] :]]
