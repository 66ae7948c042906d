"""The compiler in the page, as far as it isn't the language server's, and what it may import."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from zipfile import ZipFile

import pytest

from tests.golden import ROOT
from wsdl.playground.session import Session

NOT_THERE = ("numpy", "onnx", "onnxruntime", "ml_dtypes", "google.protobuf", "rich", "click", "cattrs", "pygls.server")
CHECKS = """
import json, sys
for name in {names}:
    sys.modules[name] = None
from playground import build
for name in [name for name in sys.modules if name.partition(".")[0] == "wsdl"]:
    del sys.modules[name]  # to be imported again without those that are left out
for name in build.LEFT_OUT:
    sys.modules["wsdl." + name] = None
from wsdl.playground.session import Session
session = Session()
def has_findings(files):
    session.write(json.dumps(files))
    name = next(iter(files))
    checked = json.loads(session.check(name))
    if any(checked["diagnostics"].values()):
        return True
    assert checked["stored"], name
    session.picture(name), session.sharing(name), session.formatted(name)
    at = name, 3, 9
    session.hover(*at), session.highlights(*at)
    if len(files) > 1:
        session.completions(*at), session.signature(*at), session.definition(*at), session.renamable(*at)
        print(*files)
    return False
build._has_findings = has_findings  # each example is checked once
assert len(sum(build.examples().values(), [])) > 30
"""
TIED = """\
model tied(x: f32[n, 8]) -> f32[n, 8] {
    layer down = Dense(4)
    layer up = Dense(8)
    share { down.weight, up.weight.T }
    return x |> down |> up
}
"""


TOWER = "block Tower(n: int)(x: f32[b, 4]) -> f32[b, n] {\n    return x |> Dense(n)\n}\n"
USER = """\
from "./tower.wsd" import Tower

model m(x: f32[b, 4]) -> f32[b, 8] {
    y = Tower(8)(x)
    return y
}
"""


@pytest.fixture
def session() -> Session:
    return Session()


def write(session: Session, *texts: str) -> None:
    session.write(json.dumps(dict(zip(("main.wsd", "tower.wsd"), texts, strict=False))))


def test_the_examples_without_what_a_browser_lacks() -> None:
    code = CHECKS.format(names=NOT_THERE)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["anomaly.wsd autoencoder.wsd", "words_ways.wsd words.wsd"]


def test_a_diagnostic_has_its_fixes(session: Session) -> None:
    write(session, TIED.replace("Dense(8)", "Dence(8)"))
    checked = json.loads(session.check("main.wsd"))
    [diagnostic] = checked["diagnostics"]["main.wsd"]
    [fix] = diagnostic["fixes"]
    assert fix["title"] == "Replace Dence by Dense"
    assert [edit["new_text"] for edit in fix["edits"]["main.wsd"]] == ["Dense"]
    assert fix["edits"]["main.wsd"][0]["range"] == diagnostic["range"]
    assert checked["stored"] is False
    assert (session.picture("main.wsd"), session.sharing("main.wsd")) == ("null", "null")


def test_the_places_of_a_tensor(session: Session) -> None:
    write(session, TIED)
    places = json.loads(session.picture("main.wsd"))["places"]["s0"]
    lines = TIED.splitlines()
    texts = [
        (
            place["start"]["line"] + 1,
            lines[place["start"]["line"]][place["start"]["character"] : place["end"]["character"]],
        )
        for place in places
    ]
    assert sorted(texts) == [
        (2, "down"), (3, "up"), (4, "down"), (4, "up"), (4, "weight"), (4, "weight"), (5, "down"), (5, "up"),
    ]  # fmt: skip


def test_a_text_that_does_not_parse_is_not_formatted(session: Session) -> None:
    write(session, "model (")
    assert session.formatted("main.wsd") == "null"


def test_files_import_each_other(session: Session) -> None:
    write(session, USER, TOWER)
    checked = json.loads(session.check("main.wsd"))
    assert (checked["diagnostics"], checked["stored"]) == ({"main.wsd": [], "tower.wsd": []}, True)
    [place] = json.loads(session.definition("main.wsd", 3, 10))
    assert (place["file"], place["range"]["start"], "text" in place) == (
        "tower.wsd",
        {"line": 0, "character": 6},
        False,
    )
    [place] = json.loads(session.definition("tower.wsd", 1, 18))
    assert place["text"].splitlines()[place["range"]["start"]["line"]].startswith("block Dense(")

    write(session, USER, TOWER.replace("Dense", "Dence"))
    found = json.loads(session.check("main.wsd"))["diagnostics"]
    assert [(name, d["code"]) for name, listed in found.items() for d in listed] == [("tower.wsd", "E0201")]
    write(session, USER)
    [diagnostic] = json.loads(session.check("main.wsd"))["diagnostics"]["main.wsd"]
    assert "tower.wsd" in diagnostic["message"]


def test_a_name_in_all_files(session: Session) -> None:
    write(session, USER, TOWER)
    assert json.loads(session.renamable("main.wsd", 3, 10))["placeholder"] == "Tower"
    renamed = json.loads(session.renamed("tower.wsd", 0, 8, "Trunk"))
    assert {name: len(edits) for name, edits in renamed["edits"].items()} == {"tower.wsd": 1, "main.wsd": 2}
    assert "must start with a capital" in json.loads(session.renamed("tower.wsd", 0, 8, "trunk"))["refused"]
    assert json.loads(session.renamable("tower.wsd", 1, 18)) == {"refused": "`Dense` belongs to the standard library"}


def test_completion_and_signature(session: Session) -> None:
    write(session, USER.replace("Tower(8)", "Tow"), TOWER)
    proposed = {item["label"]: item for item in json.loads(session.completions("main.wsd", 3, 11))}
    assert proposed["Tower"] | {"sort": ""} == {
        "label": "Tower", "kind": "Class", "detail": "Tower(n: int)", "sort": "", "start": 8, "text": "Tower(${1:n})",
        "snippet": True, "about": "Tower",
    }  # fmt: skip
    assert json.loads(session.documentation("Dense")).startswith("```wsd\nDense(units: int")
    write(session, USER, TOWER)
    [shown] = json.loads(session.signature("main.wsd", 3, 14))["signatures"]
    assert shown["label"] == "Tower(n: int)"


def test_an_archive(session: Session) -> None:
    files = {"main.wsd": USER, "tower.wsd": f"{TOWER}# 😀\n"}
    with ZipFile(io.BytesIO(base64.b64decode(json.loads(session.archive(json.dumps(files)))))) as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == files


def test_without_a_model_the_files_that_have_one(session: Session) -> None:
    write(session, USER, TOWER)
    assert (
        json.loads(session.picture("tower.wsd")) == json.loads(session.sharing("tower.wsd")) == {"models": ["main.wsd"]}
    )
    write(session, "")
    assert json.loads(session.picture("main.wsd")) == {"models": []}
    write(session, "model")
    assert json.loads(session.picture("main.wsd")) is None
