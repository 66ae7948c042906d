"""Diagnostics in the editor are those of `wsdl check`, for what is open as it is in the editor."""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.lsp.editor import Editor, position
from wsdl.api import examine
from wsdl.diagnostics import Diagnostic
from wsdl.diagnostics.span import Source

EXAMPLES = Path(__file__).parents[2] / "examples"
TIED = """\
model m(x: f32[n, 784]) -> (y: f32[n, 784]) {
    layer encode = Dense(64)
    layer decode = Dense(784)
    share weights { encode.weight, decode.weight }
    return x |> encode |> relu |> decode
}
"""
BLOCK = "block Twice()(x: f32[n, d]) -> f32[n, d] {\n    return 2 * x\n}\n"
USER = 'from "./block.wsd" import Twice\nmodel m(x: f32[n, 4]) -> (y: f32[n, 4]) {\n    return Twice()(x)\n}\n'


def test_all_parts(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "tied.wsd"
    [shown] = editor.open(path, TIED)
    label = shown["relatedInformation"][0]
    assert shown["range"]["start"] == position(TIED, "encode.weight,")
    assert (shown["code"], shown["severity"], shown["source"]) == ("E0312", 1, "wsdl")
    assert shown["codeDescription"]["href"].endswith("/codes/E0312.md")
    assert shown["message"].startswith("the members of this share group do not have one shape")
    assert "help: the shapes match transposed" in shown["message"]
    assert label["location"]["uri"] == path.as_uri()
    assert label["location"]["range"]["start"] == position(TIED, "decode.weight }")


def test_a_quick_fix(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "tied.wsd"
    [shown] = editor.open(path, TIED)
    [action] = editor.ask("codeAction", path, range=shown["range"], context={"diagnostics": [shown]})
    [edit] = action["edit"]["changes"][path.as_uri()]
    assert (action["title"], action["kind"], action["diagnostics"]) == ("Insert .T", "quickfix", [shown])
    assert edit == {"range": dict.fromkeys(("start", "end"), position(TIED, " }")), "newText": ".T"}
    assert editor.change(path, TIED.replace("decode.weight }", "decode.weight.T }")) == []
    assert not editor.ask("codeAction", path, range=shown["range"], context={"diagnostics": []})


def test_an_import_counts_as_it_is_in_the_editor(editor: Editor, tmp_path: Path) -> None:
    block, user = tmp_path / "block.wsd", tmp_path / "user.wsd"
    [missing] = editor.open(user, USER)
    assert missing["code"] == "E0209"
    editor.open(block, BLOCK)
    assert editor.shown[user.as_uri()] == []
    editor.change(block, BLOCK.replace("Twice", "Thrice"))
    assert [d["code"] for d in editor.shown[user.as_uri()]] == ["E0210"]
    [wrong] = editor.change(block, BLOCK.replace("2 * x", "2 * y"))
    assert (wrong["code"], editor.shown[user.as_uri()]) == ("E0201", [])
    block.write_text(BLOCK, encoding="utf-8")
    editor.close(block)
    assert editor.change(user, USER) == []
    assert editor.shown[block.as_uri()] == []


def test_files_on_the_disk_are_watched(editor: Editor, tmp_path: Path) -> None:
    block, user = tmp_path / "block.wsd", tmp_path / "user.wsd"
    assert [d["code"] for d in editor.open(user, USER)] == ["E0209"]
    assert [r["method"] for r in editor.registered] == ["workspace/didChangeWatchedFiles"]
    block.write_text(BLOCK, encoding="utf-8")
    editor.notify("workspace/didChangeWatchedFiles", changes=[{"uri": block.as_uri(), "type": 1}])
    assert editor.change(user, USER + "\n") == []


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_columns_and_line_ends(editor: Editor, tmp_path: Path, newline: str) -> None:
    text = '# 😀\n\nfrom "./😀.wsd" import Twice\nmodel m(x: f32[n, 4]) -> (y: f32[n, 4]) {\n    return rellu(x)\n}\n'
    path = tmp_path / "emoji.wsd"
    file, name = editor.open(path, text.replace("\n", newline))
    assert file["range"] == {"start": position(text, '"./'), "end": position(text, " import")}
    assert name["range"]["start"] == position(text, "rellu")


def test_other_encodings(tmp_path: Path) -> None:
    for encoding, end in (("utf-8", 17), ("utf-32", 14)):
        editor = Editor(encodings=[encoding])
        [shown] = editor.open(tmp_path / "m.wsd", 'from "./😀.wsd" import Twice\n')
        assert editor.capabilities["positionEncoding"] == encoding
        assert shown["range"]["end"] == {"line": 0, "character": end}
        assert editor.end() == 0


def expected(path: Path, text: str) -> list[tuple[str, str]]:
    """What `wsdl check` says of a text: codes with lines."""
    return sorted((d.code, _line(d)) for d in examine(Source(str(path), text)).problems)


def _line(diagnostic: Diagnostic) -> str:
    return str(diagnostic.span.line - 1 if diagnostic.span else 0)


def received(diagnostics: list[Any]) -> list[tuple[str, str]]:
    return sorted((d["code"], str(d["range"]["start"]["line"])) for d in diagnostics)


def edited(text: str, random: Random) -> str:
    """The text after one edit: characters are inserted, left out or moved."""
    start, length = random.randrange(len(text) + 1), random.choice([0, 1, 1, 3, 20, 200])
    pieces = ["", "", "\n", " ", "x", "}", "{", "(", "😀", "\r\n", "share { a, b }", "#", '"', "\x00", "layer f = "]
    return text[:start] + random.choice([*pieces, text[start - 30 : start]]) + text[start + length :]


def drive(editor: Editor, folder: Path, seed: int, edits: int) -> None:
    """Edit an example at random; after each edit the diagnostics are those of `wsdl check`."""
    random = Random(seed)
    path = folder / "edited.wsd"
    whole = text = (EXAMPLES / random.choice(["siamese.wsd", "unet.wsd", "lm.wsd"])).read_text(encoding="utf-8")
    editor.open(path, text)
    for _ in range(edits):
        text = edited(text if random.random() < 0.8 else whole, random)
        assert received(editor.change(path, text)) == expected(path, text), text


def test_random_edits(editor: Editor, tmp_path: Path) -> None:
    drive(editor, tmp_path, seed=1, edits=int(os.environ.get("WSDL_EDITS", "20")))


def test_broken_messages_end_nothing(editor: Editor, tmp_path: Path) -> None:
    assert editor.ask("formatting", tmp_path / "never_opened.wsd", options={"tabSize": 4, "insertSpaces": True}) is None
    assert editor.open(tmp_path / "empty.wsd", "") == []
    assert json.dumps(editor.open(tmp_path / "zero.wsd", "\x00\ud800"))


def test_formatting(editor: Editor, tmp_path: Path) -> None:
    path, options = tmp_path / "m.wsd", {"tabSize": 4, "insertSpaces": True}
    text = "# é\r\nmodel m(x: f32[n,4])->(y: f32[n,4]) {\r\n    # 😀\r\n      return x\r\n}\r\n"
    editor.open(path, text)
    edits = editor.ask("formatting", path, options=options)
    assert [(e["range"]["start"]["line"], e["range"]["end"]["line"]) for e in edits] == [(1, 2), (3, 4)]
    assert edits[1]["newText"] == "    return x\r\n"
    editor.change(path, text + "}")
    assert editor.ask("formatting", path, options=options) is None
