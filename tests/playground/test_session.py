"""The compiler in the page, as far as it isn't the language server's, and what it may import."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.golden import ROOT
from wsdl.playground.session import Session

NOT_THERE = ("numpy", "onnx", "onnxruntime", "ml_dtypes", "google.protobuf", "rich", "click", "cattrs", "pygls.server")
CHECKS = """
import json, sys
for name in {names}:
    sys.modules[name] = None
from playground.build import LEFT_OUT, examples
for name in LEFT_OUT:
    sys.modules["wsdl." + name] = None
from wsdl.playground.session import Session
session = Session()
for example in sum(examples().values(), []):
    assert json.loads(session.check(example["text"]))["stored"], example["name"]
    session.picture(), session.sharing(), session.formatted(), session.hover(3, 9), session.highlights(3, 9)
"""
TIED = """\
model tied(x: f32[n, 8]) -> f32[n, 8] {
    layer down = Dense(4)
    layer up = Dense(8)
    share { down.weight, up.weight.T }
    return x |> down |> up
}
"""


@pytest.fixture
def session() -> Session:
    return Session()


def test_the_examples_without_what_a_browser_lacks() -> None:
    code = CHECKS.format(names=NOT_THERE)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_diagnostic_has_its_fixes(session: Session) -> None:
    checked = json.loads(session.check(TIED.replace("Dense(8)", "Dence(8)")))
    [diagnostic] = checked["diagnostics"]
    [fix] = diagnostic["fixes"]
    assert fix["title"] == "Replace Dence by Dense"
    assert [edit["new_text"] for edit in fix["edits"]] == ["Dense"]
    assert fix["edits"][0]["range"] == diagnostic["range"]
    assert checked["stored"] is False
    assert (session.picture(), session.sharing()) == ("null", "null")


def test_the_places_of_a_tensor(session: Session) -> None:
    session.check(TIED)
    lines = TIED.splitlines()
    texts = [
        (
            place["start"]["line"] + 1,
            lines[place["start"]["line"]][place["start"]["character"] : place["end"]["character"]],
        )
        for place in json.loads(session.picture())["places"]["s0"]
    ]
    assert sorted(texts) == [
        (2, "down"), (3, "up"), (4, "down"), (4, "up"), (4, "weight"), (4, "weight"), (5, "down"), (5, "up"),
    ]  # fmt: skip


def test_a_text_that_does_not_parse_is_not_formatted(session: Session) -> None:
    session.check("model (")
    assert session.formatted() == "null"
