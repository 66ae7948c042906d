"""`wsdl new`: what it makes works."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import Wsdl
from wsdl.cli.new import EXAMPLES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("example", EXAMPLES)
def test_it_is_the_example_of_the_repository(example: str) -> None:
    shipped = ROOT / "wsdl" / "cli" / "examples" / f"{example}.wsd"
    assert shipped.read_text(encoding="utf-8") == (ROOT / "examples" / f"{example}.wsd").read_text(encoding="utf-8")


@pytest.mark.parametrize("example", ["siamese", "tied_autoencoder"])
def test_what_its_page_says_works(wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch, example: str) -> None:
    done = wsdl("new", "mine", "--example", example)
    assert done.code == 0
    assert sorted(os.listdir("mine")) == ["README.md", "example.npz", f"{example}.wsd"]
    monkeypatch.chdir("mine")
    page = Path("README.md").read_text()
    commands = [line.split() for line in page.split("```")[1].splitlines() if line.startswith("wsdl ")]
    assert len(commands) == 6
    for _, *arguments in commands:
        if arguments[0] != "graph":
            assert wsdl(*arguments).code == 0


def test_nothing_is_overwritten(wsdl: Wsdl) -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")
    for place in ("mine", "tied.wsd"):
        done = wsdl("new", place, "--json")
        assert (done.code, done.codes) == (2, ["E0707"])
    assert os.listdir("mine") == ["notes.txt"]


def test_an_empty_folder_and_json(wsdl: Wsdl) -> None:
    Path("mine").mkdir()
    assert {Path(file).name for file in wsdl("new", "mine", "--json").json["files"]} == set(os.listdir("mine"))


def test_examples_have_names(wsdl: Wsdl) -> None:
    done = wsdl("new", "mine", "--example", "siamse", "--json")
    assert (done.code, done.codes) == (2, ["E0704"])
    assert not Path("mine").exists()
