"""Rename: every place of a name in all files, or an error that says why not; the meaning stays."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from lsprotocol import types

from tests.examples.test_bytes import FOLDER
from tests.lsp.documents import of_examples, opened
from tests.lsp.editor import Editor, edited, position
from tests.lsp.same_program import compiled
from tests.lsp.test_diagnostics import edited as random_edit
from wsdl.diagnostics.span import Source, Span
from wsdl.lsp.documents import Document
from wsdl.lsp.refused import Refused
from wsdl.lsp.rename import rename
from wsdl.lsp.renaming import bindings

LIBRARY = """\
let width = 8    # 😀

block Encoder(units: int = 4)(ids: i64[n, t]) -> [n, units] {
    layer tok = Embedding(100, width)
    /* 😀 */
    return tok(ids) |> mean(axis=1) |> Dense(units)
}
""".replace("    /* 😀 */\n", "")
USER = """\
from "./encoder.wsd" import Encoder, width

layer encoder = Encoder(units=width)

model embed(ids: i64[n, t]) -> (vector: f32[n, width]) {
    return encoder(ids)
}

freeze encoder.tok
"""


def renamed(editor: Editor, path: Path, text: str, mark: str, new: str) -> Any:
    """The answer for the name that a mark begins with, or the message of the error."""
    return editor.ask_or_refuse("rename", path, position=position(text, mark), newName=new)


def test_through_files(editor: Editor, tmp_path: Path) -> None:
    """Open files as they are in the editor, others on the disk."""
    library, user, other = (tmp_path / name for name in ("encoder.wsd", "user.wsd", "other.wsd"))
    other.write_text(USER, encoding="utf-8")
    text = LIBRARY.replace("\n", "\r\n")
    assert editor.open(library, text) == []
    assert editor.open(user, "# 😀\n" + USER) == []
    for mark, new, there, here in (
        ("width =", "d", "d", "d"),
        ("Encoder(", "Tower", "Tower", "Tower"),
        ("units:", "size", "size", "size"),
        ("tok =", "embedding", "embedding", "embedding"),
        ("n, t]", "rows", "rows", "n"),
    ):
        old = mark.rstrip(" =(:,]t")
        answer = renamed(editor, library, text, mark, new)
        changed = {change["textDocument"]["uri"]: change for change in answer["documentChanges"]}
        after = edited(text, changed[library.as_uri()]["edits"])
        assert after == _words(text, old, there)
        if here != there:
            assert changed.keys() == {library.as_uri()}
            continue
        assert changed.keys() == {path.as_uri() for path in (library, user, other)}
        assert changed[user.as_uri()]["textDocument"]["version"] == 1
        assert changed[other.as_uri()]["textDocument"]["version"] is None
        assert edited("# 😀\n" + USER, changed[user.as_uri()]["edits"]) == _words("# 😀\n" + USER, old, here)
        assert edited(USER, changed[other.as_uri()]["edits"]) == _words(USER, old, here)


def _words(text: str, old: str, new: str) -> str:
    return re.sub(rf"\b{old}\b", new, text)


def test_from_a_use_in_another_file(editor: Editor, tmp_path: Path) -> None:
    library, user = tmp_path / "encoder.wsd", tmp_path / "user.wsd"
    library.write_text(LIBRARY, encoding="utf-8")
    editor.open(user, USER)
    answer = renamed(editor, user, USER, "Encoder(units", "Tower")
    changed = {change["textDocument"]["uri"]: change["edits"] for change in answer["documentChanges"]}
    assert edited(LIBRARY, changed[library.as_uri()]) == LIBRARY.replace("Encoder", "Tower")
    assert edited(USER, changed[user.as_uri()]) == USER.replace("Encoder", "Tower")


@pytest.mark.parametrize(
    ("right", "wrong", "renamed", "refused"),
    [
        ("freeze", "layer other = Ghost()\nfreeze", ("width", "Encoder", "units", "tok", "ids"), {}),
        ("encoder(ids)\n", "foo(ids)\n    encoder(ids))\n", ("Encoder", "units"), {
            "tok": "it isn't known what `tok` is on line 10 of user.wsd; correct the error first: "
            "unmatched `)` (no open bracket matches this), line 7",
        }),
        ("units=width)", "units=width", ("ids",), {
            "Encoder": "it isn't known what `Encoder` is on line 3 of user.wsd; correct the error first: "
            "`(` is never closed (no matching `)`), line 3",
        }),
    ],
)  # fmt: skip
def test_importers_with_errors(
    right: str, wrong: str, renamed: tuple[str, ...], refused: dict[str, str], tmp_path: Path
) -> None:
    """What is known in them is renamed."""
    user = USER.replace(right, wrong)
    assert user != USER
    for name in renamed:
        assert renamed_in_importer(name, user, tmp_path) == (user if name == "ids" else _words(user, name, f"{name}2"))
    for name, reason in refused.items():
        with pytest.raises(Refused) as error:
            renamed_in_importer(name, user, tmp_path)
        assert str(error.value) == reason


def test_random_edits_of_importers(tmp_path: Path) -> None:
    """A name of the library is renamed wherever an importer has it, or refused."""
    random, done = Random(1), 0
    for _ in range(int(os.environ.get("WSDL_EDITS", "20"))):
        user = USER[:37] + random_edit(USER[37:], random)
        code = re.sub(r'"[^"\n]*"|#.*', lambda quoted: re.sub(r"\w", "_", quoted[0]), user)
        for name in ("Encoder", "units", "tok"):
            with suppress(Refused):
                places = [
                    match.start() for match in re.finditer(rf"\b{name}2\b", renamed_in_importer(name, user, tmp_path))
                ]
                assert len(places) == len(re.findall(rf"\b{name}\b", code)), user
                done += 1
    assert done


def renamed_in_importer(name: str, user: str, folder: Path) -> str:
    """The text of a file that imports a library after a rename there."""
    library, path = folder / "encoder.wsd", folder / "user.wsd"
    path.write_text(user, encoding="utf-8")
    document = opened(library, LIBRARY)
    position = document.positions.position(re.search(rf"\b{name}\b", LIBRARY).start())  # type: ignore[union-attr] # it is there
    answer = rename(document, types.RenameParams(types.TextDocumentIdentifier(document.uri), position, f"{name}2"))
    assert answer is not None
    assert answer.changes is not None
    return edited(user, [_as_json(edit) for edit in answer.changes.get(path.as_uri(), ())])


def test_names_of_stored_tensors_are_told(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "encoder.wsd"
    user = tmp_path / "user.wsd"
    path.write_text(LIBRARY, encoding="utf-8")
    editor.open(user, USER)
    told = renamed(editor, user, USER, "encoder =", "tower")
    assert told["changeAnnotations"]["stored"] == {
        "label": "changes the names of 3 stored tensors",
        "needsConfirmation": True,
        "description": "files of weights that have the old names no longer fit: encoder.tok.weight → tower.tok.weight, "
        "encoder.dense.weight → tower.dense.weight, encoder.dense.bias → tower.dense.bias",
    }
    assert {edit["annotationId"] for change in told["documentChanges"] for edit in change["edits"]} == {"stored"}
    told = editor.messages[-1]
    assert told.startswith("The rename changes the names of 3 stored tensors: files of weights")
    assert "changeAnnotations" not in renamed(editor, user, USER, "vector:", "v")
    assert editor.messages[-1] is told


def test_a_client_without_annotations_shows_a_message(tmp_path: Path) -> None:
    editor, path, text = Editor(workspace={}), tmp_path / "m.wsd", f"# 😀\n{PROGRAM}"
    editor.open(path, text)
    answer = renamed(editor, path, text, "tied {", "bound")
    assert edited(text, answer["changes"][path.as_uri()]) == text.replace("tied", "bound")
    [message] = editor.messages
    assert message.startswith("The rename changes the names of 2 stored tensors: files of weights")
    assert editor.end() == 0


PROGRAM = """\
let d = 8
block Twice(units: int)(x: [n, d]) -> [n, units] {
    layer up = Dense(units)
    y = up(x)
    return y |> relu
}
model m(x: f32[n, d], seed: i64) -> (out: f32[n, d]) {
    layer up = Twice(units=d)
    layer down = Twice(d)
    share tied { up, down }
    y = up(x)
    z = down(y) + random_normal([n, d], seed=seed)
    return z |> Dense(d)
}
train m(wanted: f32[n, d]) {
    freeze tied
    loss mse(out, wanted)
    optimizer SGD(lr=0.1)
}
"""


@pytest.mark.parametrize(
    ("mark", "new", "reason"),
    [
        ("seed", "key", "with the name `key` the program would mean something else"),
        ("y = up", "for", "`for` is a word of the language"),
        ("y = up", "2y", "`2y` is no name: write letters, digits and `_`, not beginning with a digit"),
        ("y = up", "a b", "`a b` is no name: write letters, digits and `_`, not beginning with a digit"),
        ("y = up", "", "`` is no name: write letters, digits and `_`, not beginning with a digit"),
        ("y = up", "x", "`x` is already taken, line 2"),
        ("y = up", "Y", "the new name of `y` must start with a lower-case letter: blocks do, and nothing else"),
        ("Twice(", "twice", "the new name of `Twice` must start with a capital letter: blocks do, and nothing else"),
        ("y = up", "relu", "`relu` can't be the name"),
        ("down", "up", "`up` is already taken, line 8"),
        ("d = 8", "m", "`m` is already taken, line 7"),
        ("d = 8", "x", "`x` "),
        ("wanted", "out", "`out` "),
        ("relu", "gelu", "`relu` is an operation"),
        ("Dense(d)", "Linear", "`Dense` belongs to the standard library"),
        ("f32[n", "f64", "`f32` is a word of the language, or a name that it gives"),
        ("lr=", "rate", "`lr` is a word of the language, or a name that it gives"),
    ],
)  # fmt: skip
def test_refused(mark: str, new: str, reason: str, editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "m.wsd"
    assert editor.open(path, PROGRAM) == []
    answer = renamed(editor, path, PROGRAM, mark, new)
    assert str(answer).startswith(reason)


@pytest.mark.parametrize(
    ("right", "wrong"), [("Dense(units)", "Dense(units"), ("up(x)", "upp(x)"), ("units: int", "units: int, units: int")]
)
def test_programs_with_errors_stay(right: str, wrong: str, editor: Editor, tmp_path: Path) -> None:
    """What isn't known can't be renamed."""
    text = PROGRAM.replace(right, wrong, 1)
    path = tmp_path / "m.wsd"
    assert editor.open(path, text)
    assert renamed(editor, path, text, "d = 8", "width").startswith("correct the errors first")
    assert editor.ask_or_refuse("prepareRename", path, position=position(text, "d = 8")).startswith("correct the")


UNUSED = """\
block Inner(units: int)(x: [n, d], mask: [n, d] = none) -> (center: [n, units]) {
    layer up = Dense(units)
    return up(x)
}
block Outer()(x: [n, d]) -> [n, 4] {
    layer inner = Inner(units=4)
    freeze inner
    if d > 1_000 {
        freeze inner.up
    }
    return inner(x, mask=x)
}
"""


@pytest.mark.parametrize(
    ("mark", "places", "is_run"),
    [
        ("inner =", 4, False),
        ("units:", 4, False),
        ("up =", "it isn't known what `up` is on line 9, which no program runs", False),
        ("mask:", "it isn't known what `mask` is on line 11, which no program runs", False),
        ("mask:", 2, True),
        ("up =", "it isn't known what `up` is on line 9, which no program runs", True),
    ],
)
def test_blocks_that_nothing_applies(
    mark: str, places: int | str, is_run: bool, editor: Editor, tmp_path: Path
) -> None:
    """What is known without running them is renamed; what isn't makes it a refusal."""
    text = UNUSED + ("model m(x: f32[n, 8]) -> (y: f32[n, 4]) {\n    return Outer()(x)\n}\n" if is_run else "")
    path = tmp_path / "m.wsd"
    editor.open(path, text)
    answer = renamed(editor, path, text, mark, "changed")
    assert answer == places or len(answer["documentChanges"][0]["edits"]) == places


def test_prepared(editor: Editor, tmp_path: Path) -> None:
    path = tmp_path / "m.wsd"
    text = "# 😀\n" + PROGRAM
    editor.open(path, text)
    at = position(text, "tied {")
    answer = editor.ask("prepareRename", path, position=at | {"character": at["character"] + 2})
    assert answer == {"range": {"start": at, "end": at | {"character": at["character"] + 4}}, "placeholder": "tied"}
    assert editor.ask("prepareRename", path, position=position(text, "{ up")) is None


def test_the_names_in_a_file_of_weights_stay(editor: Editor, tmp_path: Path) -> None:
    """Those of placeholders change in the pattern and in the path."""
    path = tmp_path / "m.wsd"
    np.savez(tmp_path / "w.npz", **{f"f.{i}.weight": np.zeros((8, 8), "float32") for i in range(2)})  # type: ignore[arg-type] # its other parameters have types of their own
    body = "layer f[2] = Dense(8, bias=false)\n    return f[1](f[0](x))"
    model = f"model m(x: f32[n, 8]) -> (y: f32[n, 8]) {{\n    {body}\n}}\n"
    whole = model + 'load "w.npz" into m\n'
    assert editor.open(path, whole) == []
    assert renamed(editor, path, whole, "f[2]", "g") == (
        "`g` can't be the name: 2 parameters of `m` are not filled from w.npz, line 5; give the table of the `load` a "
        "line for this name first, which keeps the one in the file"
    )
    table = model + 'load "w.npz" into m {\n    "f.{i}.{p}" -> f[i].{p}    # 😀 {i}\n}\n'
    assert editor.change(path, table) == []
    for mark, new, changed in (
        ("f[2]", "g", table.replace("f[", "g[")),
        ("i}.", "k", table.replace("{i}.", "{k}.").replace("f[i]", "f[k]")),
        ("p}    #", "part", table.replace("{p}", "{part}")),
    ):
        [change] = renamed(editor, path, table, mark, new)["documentChanges"]
        assert edited(table, change["edits"]) == changed


def test_random_edits(monkeypatch: pytest.MonkeyPatch) -> None:
    """In whatever text, a rename is refused or changes nothing but one name."""
    monkeypatch.chdir(FOLDER)
    random, whole = Random(3), (FOLDER / "multitask.wsd").read_text(encoding="utf-8")
    done = 0
    for _ in range(int(os.environ.get("WSDL_EDITS", "20"))):
        text = random_edit(whole, random)
        document = opened(FOLDER / "multitask.wsd", text)
        words = list(re.finditer(r"[^\W\d]\w*", text))
        for word in random.sample(words, min(8, len(words))):
            place = document.source.span(*word.span())
            with suppress(Refused):
                done += applied(document, place, "qqq").replace("qqq", word[0]) == text
                continue
            done += 1
    assert done == 8 * int(os.environ.get("WSDL_EDITS", "20"))


# -- every name of the examples ----------------------------------------------------------------------------------------

ALL = "WSDL_RENAMES" in os.environ  # all names of all examples, not one of each of a few
FEW = (
    "siamese",
    "keywords",
    "tagger",
    "multitask",
    "slimmable",
    "training/digits_variants",
    "training/vae",
    "training/depth",
)


@of_examples("WSDL_RENAMES", FEW)
def test_the_meaning_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The renamed program compiles to the same bytes up to names, and the old name gives the old text."""
    monkeypatch.chdir(path.parent)
    text = path.read_text(encoding="utf-8")
    document = opened(path, text)
    before = compiled(Source(path.name, text))
    names = sorted(renamable(document), key=lambda place: place.start)
    for name in names if ALL else Random(path.name).sample(names, 2):
        new = ("Renamed" if name.text[0].isupper() else "renamed") + name.text
        changed = applied(document, name, new)
        if not changed:
            continue
        assert compiled(Source(path.name, changed)) == before, name.text
        again = opened(path, changed)
        assert applied(again, again.source.span(*at_word(changed, new)), name.text) == text


def renamable(document: Document) -> list[Span]:
    """One place of each name that the program defines."""
    first: dict[tuple[Any, str, str], Span] = {}
    for bound in bindings(document.source):
        first.setdefault((bound.scope, bound.kind, bound.name.text), bound.name)
    return [place for place in first.values() if place.text not in ("_", "seed")]  # a name with a meaning


def applied(document: Document, name: Span, new: str) -> str:
    """The text of the document after a rename; empty if other files have to change too."""
    at = types.TextDocumentIdentifier(document.uri)
    answer = rename(document, types.RenameParams(at, document.positions.position(name.start), new))
    changes = (answer and answer.changes) or {}
    if changes.keys() - {document.uri}:
        return ""
    return edited(document.source.text, [_as_json(edit) for edit in changes.get(document.uri, ())])


def _as_json(edit: Any) -> dict[str, Any]:
    ends = {"start": edit.range.start, "end": edit.range.end}
    places = {end: {"line": place.line, "character": place.character} for end, place in ends.items()}
    return {"range": places, "newText": edit.new_text}


def at_word(text: str, word: str) -> tuple[int, int]:
    start = text.index(word)
    return start, start + len(word)
