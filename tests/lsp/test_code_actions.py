"""Code actions: tie these, name this layer, extract a block. What they write is formatted, checks clean, and means the
same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from tests.lsp.documents import of_examples, opened
from tests.lsp.editor import Editor, edited, position
from tests.lsp.same_program import compiled
from wsdl.api import check
from wsdl.api.checking import format
from wsdl.diagnostics.span import Source
from wsdl.lsp.code_actions import rewrites
from wsdl.lsp.documents import Document
from wsdl.lsp.names import walk
from wsdl.lsp.refused import Refused
from wsdl.lsp.rewrites import text_after
from wsdl.syntax import tree

PROGRAM = """\
## Restores an image. 😀
model restore(image: f32[n, 784], mask: i64[n, 1]) -> (restored: f32[n, 784]) {
    layer encode = Dense(64)
    layer again = Dense(64)
    layer decode = Dense(784)
    code = image |> encode |> relu |> Dense(64) |> tanh
    twice = code + (image |> again)
    gain = cast(mask, f32) * 2
    return (twice |> decode |> sigmoid) * gain
}
"""


def chosen(editor: Editor, path: Path, text: str, first: str, last: str | None, title: str) -> str:
    """The text after an action for what is selected from one mark up to the end of another."""
    start = position(text, first)
    end = start if last is None else position(text, last, at=len(last))
    editor.open(path, text)
    range = {"start": start, "end": end}
    actions = editor.ask("codeAction", path, range=range, context={"diagnostics": []})
    [action] = [action for action in actions if action["title"] == title]
    assert "edit" not in action
    [change] = editor.call("codeAction/resolve", **action)["edit"]["documentChanges"]
    assert change["textDocument"] == {"uri": path.as_uri(), "version": 1}
    return edited(text, change["edits"])


@pytest.mark.parametrize(
    ("first", "last", "title", "changes"),
    [
        (
            "layer encode",
            "layer again",
            "Tie these: share { encode, again }",
            {"    code =": "    share { encode, again }\n    code ="},
        ),
        (
            "decode = Dense",
            None,
            "Tie these: share { decode.weight, encode.weight.T }",
            {"    code =": "    share { decode.weight, encode.weight.T }\n    code ="},
        ),
        (
            "Dense(64) |> tanh",
            None,
            "Name this layer `dense`",
            {"    code =": "    layer dense = Dense(64)\n    code =", "|> Dense(64) |> tanh": "|> dense |> tanh"},
        ),
        (
            "relu",
            "tanh",
            "Extract the block `Extracted`",
            {
                "|> relu |> Dense(64) |> tanh": "|> Extracted()",
                "## Restores": "block Extracted()(x: [...]) {\n    return x |> relu |> Dense(64) |> tanh\n}\n\n"
                "## Restores",
            },
        ),
        (
            "  code =",
            "(image |> again)",
            "Extract the block `Extracted`",
            {
                "    code = image |> encode |> relu |> Dense(64) |> tanh\n    twice = code + (image |> again)\n": "    "
                "twice = Extracted(encode=encode, again=again)(image)\n",
                "## Restores": "block Extracted(encode: layer, again: layer)(image: f32[n, 784]) -> f32[n, 64] {\n"
                "    code = image |> encode |> relu |> Dense(64) |> tanh\n"
                "    twice = code + (image |> again)\n"
                "    return twice\n}\n\n## Restores",
            },
        ),
        (
            "  gain =",
            "f32) * 2",
            "Extract the block `Extracted`",
            {
                "    gain = cast(mask, f32) * 2\n": "    gain = Extracted()(mask)\n",
                "## Restores": "block Extracted()(mask: i64[n, 1]) -> f32[n, 1] {\n    gain = cast(mask, f32) * 2\n"
                "    return gain\n}\n\n## Restores",
            },
        ),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_written(
    first: str, last: str | None, title: str, changes: dict[str, str], newline: str, editor: Editor, tmp_path: Path
) -> None:
    expected = PROGRAM
    for old, new in changes.items():
        assert old in expected
        expected = expected.replace(old, new, 1)
    text = PROGRAM.replace("\n", newline)
    assert chosen(editor, tmp_path / "m.wsd", text, first, last, title) == expected.replace("\n", newline)


def test_not_offered(editor: Editor, tmp_path: Path) -> None:
    """In programs with errors, or if only other kinds are asked for; a text that has changed is left alone."""
    path, at = tmp_path / "m.wsd", position(PROGRAM, "decode = ")
    asked: dict[str, Any] = {"range": {"start": at, "end": at}, "context": {"diagnostics": []}}
    editor.open(path, PROGRAM)
    [action, *_] = editor.ask("codeAction", path, **asked)
    only = {"diagnostics": [], "only": ["refactor.extract", "quickfix"]}
    assert editor.ask("codeAction", path, range=asked["range"], context=only) == []
    assert editor.ask("codeAction", path, range=asked["range"], context={"diagnostics": [], "only": ["refactor"]})
    assert editor.change(path, PROGRAM.replace("encode |> relu", "encode |> "))
    assert editor.ask("codeAction", path, **asked) == []
    assert editor.refused("codeAction/resolve", **action).endswith("the text has changed")


# -- all actions of the examples ---------------------------------------------------------------------------------------

ALL = "WSDL_ACTIONS" in os.environ  # every action of every example, not some of a few
FEW = ("siamese", "keywords", "tagger", "deep_autoencoder", "lenet", "slimmable", "training/depth", "training/vae")


@of_examples("WSDL_ACTIONS", FEW)
def test_the_result_is_a_program(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    text = path.read_text(encoding="utf-8")
    document = opened(path, text)
    before = compiled(Source(path.name, text), steps=False)
    codes = sorted(d.code for d in check(Source(path.name, text)))
    offered = {(r.title, r.edits): r for start, end in selections(document) for r in rewrites(document, start, end)}
    sample = list(offered.values()) if ALL else Random(path.name).sample(list(offered.values()), min(4, len(offered)))
    for rewrite in sample:
        try:
            after = text_after(rewrite, document)
        except Refused:
            continue  # where paths of other statements name what would move
        assert format(after) == after
        source = Source(path.name, after)
        assert sorted(d.code for d in check(source)) == codes
        assert not rewrite.keeps_meaning or compiled(source, steps=False) == before, rewrite.title


def selections(document: Document) -> Iterator[tuple[int, int]]:
    """Each call, layer and parameter; up to four statements, and stages of a pipeline, that follow each other."""
    for node in walk(document.tree):
        if isinstance(node, tree.Call | tree.Layer | tree.Parameter):
            yield node.span.start, node.span.start
        if isinstance(node, tree.Block | tree.Model):
            yield from _runs(node.body)
        if isinstance(node, tree.Pipe):
            stages: list[tree.Node] = []
            at: tree.Node = node
            while isinstance(at, tree.Pipe):
                stages.insert(0, at.stage)
                at = at.value
            yield from _runs(stages)


def _runs(nodes: Any) -> Iterator[tuple[int, int]]:
    for first in range(len(nodes)):
        yield from ((nodes[first].span.start, last.span.end) for last in nodes[first : first + 4])


def test_tensors_that_are_not_needed_are_ignored(editor: Editor, tmp_path: Path) -> None:
    """The quick fix of N0501, at the end of the table."""
    path = tmp_path / "m.wsd"
    weights = {"f.weight": np.zeros((4, 8), "float32"), "pooler": np.zeros(2, "float32")}
    np.savez(tmp_path / "w.npz", **weights)  # type: ignore[arg-type] # its other parameters have types of their own
    text = (
        "model m(x: f32[n, 8]) -> (y: f32[n, 4]) {\n    layer f = Dense(4, bias=false)\n    return f(x)\n}\n"
        'load "w.npz" into m {    # 😀\n    "{path...}.weight" -> {path...}.weight    # 😀\n}\n'
    )
    [shown] = editor.open(path, text)
    assert shown["code"] == "N0501"
    [fix] = editor.ask("codeAction", path, range=shown["range"], context={"diagnostics": [shown], "only": ["quickfix"]})
    after = edited(text, fix["edit"]["changes"][path.as_uri()])
    assert after == text.replace("😀\n}\n", '😀\n    ignore "pooler"\n}\n')
    assert editor.change(path, after) == []
