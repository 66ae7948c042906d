"""Completion and signature help: what may stand at the cursor, in texts that are being written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from lsprotocol import types
from safetensors.numpy import save_file

from tests.examples.test_bytes import EXAMPLES, FOLDER
from tests.lsp.documents import opened
from tests.lsp.editor import Editor, position
from wsdl.lsp.completion import completion
from wsdl.lsp.documents import Document, Documents
from wsdl.lsp.names import children
from wsdl.lsp.signature_help import signature_help
from wsdl.ops import NAMED
from wsdl.syntax import tree

HEAD = """\
let width = 4    # 😀

block Tower(units: int, bias: bool = true)(x: [..., d]) -> [..., units] {
    layer inner = Dense(units, bias)
    return inner(x)
}

layer tower = Tower(width)

"""
BODY = """\
model m(x: f32[n, 8]) -> (y: f32[n, width]) {
    layer a = Dense(8)
    h = a(x) |> relu
    z = tower(h)
"""
GOOD = HEAD + BODY + "    return z\n}\n"

# A text behind `HEAD` with the cursor at `|>`-free `^`, what must be proposed, and what must not.
PLACES = [
    (BODY + "    return /*😀*/h |> To^", "Tower Dense relu", "m tower= let"),
    (BODY + "    k = ^", "a h x z width Tower softmax true", "k m block"),
    (BODY + "    k = Tower(^", "units= bias= h width", ""),
    (BODY + "    k = Tower(4, ^)(h)", "bias=", "units="),
    (BODY + "    k = Tower(4, b^=false)(h)", "bias", "units h"),
    (BODY + "    k = h |> softmax(^)", "axis=", "x="),
    (BODY + "    k = h.so^", "softmax T", "Dense h"),
    (BODY + "    ^\n    return z\n}", "layer return share h", "metric optimizer emit until Tower softmax"),
    (BODY + "    scan for_^", "", ""),
    (BODY + "    freeze a.^\n    return z\n}", "weight bias", "inner softmax"),
    (BODY + "    return a(^", "x= h", "units="),
    (BODY + "    layer ^", "", "Dense h a"),
    ("freeze tower.^", "inner", "weight softmax"),
    ("freeze tower.inner.^", "weight bias", "inner"),
    ("freeze ^", "tower", "Dense softmax"),
    ("^", "block model layer train share from", "return optimizer h"),
    ("model q(x: ^", "f32 i64 bool", "Dense"),
    ("model q(x: f32[n, 8], u: f32[^", "n width", "f32 Dense"),
    ("block Q(a: ^", "int bool list", "f32"),
    ("block Q()(x: [n, h]) -> [n, 2 * ^", "n h width", "emit"),
    (BODY + "    return z\n}\n\ntrain ^", "m", "tower Dense"),
    (BODY + "    return z\n}\n\ntrain m(l: f32[n, 4]) {\n    loss mse(^", "y l h prediction=", "m"),
    (BODY + "    return z\n}\n\ntrain m(l: f32[n, 4]) {\n    optimizer ^", "SGD AdamW", "cosine Dense"),
    (BODY + "    return z\n}\n\ntrain m(l: f32[n, 4]) {\n    optimizer SGD(lr=^", "cosine", "relu6="),
    (BODY + "    return z\n}\n\ntrain m(l: f32[n, 4]) {\n    ^\n}", "loss metric optimizer lr", "layer return scan"),
    ("block Q()(x: [n]) -> [n] {\n    param w: [n] = ^", "zeros normal", "relu"),
    ("share group as ^", "Delta Mix", "relu"),
    ('from "./^" import x', "other.wsd folder/", "net.safetensors"),
    ('from "./other.wsd" import ^', "Shared", "Dense"),
    ('load "^" into tower', "net.safetensors folder/", "other.wsd"),
    ('load "net.safetensors" into tower {\n    "^" -> inner.weight\n}', "encoder.kernel", "inner"),
    ('load "net.safetensors" into tower {\n    "enc^', "encoder.kernel", "net.safetensors"),
    ('load "net.safetensors" into tower {\n    "encoder.kernel" -> ^\n}', "inner", "encoder"),
    ('load "net.safetensors" into tower {\n    "encoder.kernel" -> inner.^\n}', "weight", "inner softmax"),
    ("# fre^", "", "freeze"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    (tmp_path / "other.wsd").write_text("block Shared()(x: [n]) -> [n] {\n    return x\n}\n", encoding="utf-8")
    save_file({"encoder.kernel": np.zeros((4, 8), np.float32)}, tmp_path / "net.safetensors")
    return tmp_path


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_places(newline: str, folder: Path) -> None:
    documents, uri = Documents(), (folder / "main.wsd").as_uri()
    wrong = []
    for written, wanted, unwanted in PLACES:
        before, _, after = ((HEAD + written).replace("\n", newline)).partition("^")
        documents.put(uri, GOOD, 1)
        whole = documents.get(uri)
        assert whole is not None
        assert whole.examined.storage is not None  # paths go through it
        documents.put(uri, before + after, 2)
        document = documents.get(uri)
        assert document is not None
        _ = document.examined  # as for the diagnostics, which an editor shows first
        answer = completion(document, _at(document, len(before), types.CompletionParams))
        labels = {item.label for item in answer.items}
        missing, surplus = set(wanted.split()) - labels, set(unwanted.split()) & labels
        if missing or surplus:
            wrong.append(f"{written[-40:]!r}: without {missing}, with {surplus}")
    assert "\n".join(wrong) == ""


def test_an_item(editor: Editor, tmp_path: Path) -> None:
    """It replaces the whole word, as a snippet, and has its documentation when it is asked for."""
    path, text = tmp_path / "main.wsd", "# 😀\n" + BODY.replace("tower", "a") + "    return z |> Den\n}\n"
    editor.open(path, text)
    at = position(text, "Den\n")
    item = next(
        item
        for item in editor.ask("completion", path, position={**at, "character": at["character"] + 2})["items"]
        if item["label"] == "Dense"
    )
    assert item["detail"] == "Dense(units: int, bias: bool = true)"
    assert item["textEdit"]["newText"] == "Dense(${1:units})"
    assert item["textEdit"]["range"] == {"start": at, "end": {**at, "character": at["character"] + 3}}
    assert "weight" in editor.call("completionItem/resolve", **item)["documentation"]["value"]


@pytest.mark.parametrize(
    ("written", "label", "active"),
    [
        ("k = Dense(^", "Dense(units: int, bias: bool = true)", 0),
        ("k = Dense(4, ^", "Dense(units: int, bias: bool = true)", 1),
        ("k = Dense(bias=^, units=4)", "Dense(units: int, bias: bool = true)", 1),
        ("k = concat([relu(^", "relu(x)", 0),
        ("k = h |> softmax(^)", "softmax(x, axis=-1)", 1),
        ("k = h.softmax(^)", "softmax(x, axis=-1)", 1),
        ("k = a(^", "Dense(x: [..., d])", 0),
        ("k = h |> relu ^", None, 0),
    ],
)
def test_signature_help(written: str, label: str | None, active: int) -> None:
    text = HEAD + BODY + "    " + written
    document = opened(Path("main.wsd"), text.replace("^", ""))
    help = signature_help(document, _at(document, text.index("^"), types.SignatureHelpParams))
    assert (help and help.signatures[0].label) == label
    assert help is None or help.active_parameter == active


def test_names_of_examples() -> None:
    """A name that is taken out of an example is proposed there; at other places both answer."""
    everything = "WSDL_NAMES" in os.environ
    random, wrong, asked = Random(0), [], 0
    for path in EXAMPLES if everything else random.sample(EXAMPLES, 6):
        text = (FOLDER / path).read_text(encoding="utf-8")
        whole = opened(FOLDER / path, text)
        assert whole.examined.program is not None
        found = list(_used(whole))
        for name, parent in found if everything else random.sample(found, min(6, len(found))):
            asked += 1
            whole.documents.put(whole.uri, text[: name.span.start] + text[name.span.end :], 2)
            document = whole.documents.get(whole.uri)
            assert document is not None
            signature_help(document, _at(document, name.span.start, types.SignatureHelpParams))
            answer = completion(document, _at(document, name.span.start, types.CompletionParams))
            if name.text not in {item.label.rstrip("=") for item in answer.items}:
                wrong.append(f"{path}:{name.span.line} `{name.text}` in {type(parent).__name__}")
    assert asked > 20
    assert "\n".join(wrong) == ""


def test_everywhere() -> None:
    """No place of a program is without an answer, whole or cut off there."""
    text = (FOLDER / "training/words.wsd").read_text(encoding="utf-8")
    step = 1 if "WSDL_NAMES" in os.environ else 97
    for offset in range(0, len(text) + 1, step):
        for written in (text, text[:offset]):
            document = opened(Path("main.wsd"), written)
            assert completion(document, _at(document, offset, types.CompletionParams)) is not None
            signature_help(document, _at(document, offset, types.SignatureHelpParams))


def _at(document: Document, offset: int, kind: Any) -> Any:
    return kind(types.TextDocumentIdentifier(document.uri), document.positions.position(offset))


def _used(document: Document) -> Iterator[tuple[tree.Name, tree.Node]]:
    """The names in a text that stand for what is declared elsewhere, with the nodes around them."""
    pending: list[tree.Node] = [document.tree]
    while pending:
        node = pending.pop()
        pending += children(node)
        for name in children(node):
            if not isinstance(name, tree.Name) or "{" in name.text:
                continue
            definitions = document.references.definitions.get(name.span, (name.span,))
            if definitions != (name.span,) or (isinstance(node, tree.Call) and name.text in NAMED):
                yield name, node
