"""`wsdl fmt`: rewriting in place, only asking, stdin."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import TIED, Wsdl

MESSY = TIED.replace("    layer encode = Dense(16)", "  layer encode=Dense( 16 )  # kept")
NEAT = TIED.replace("    layer encode = Dense(16)", "    layer encode = Dense(16)  # kept")


def test_rewrites_and_keeps_the_mode(wsdl: Wsdl) -> None:
    path = Path("m.wsd")
    path.write_text(MESSY)
    path.chmod(0o640)
    done = wsdl("fmt", "m.wsd", "tied.wsd")
    assert (done.code, done.out, done.err) == (0, "", "reformatted m.wsd\n")
    assert path.read_text() == NEAT
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert wsdl("fmt", "m.wsd", "--check").code == 0


def test_a_link_stays_a_link(wsdl: Wsdl) -> None:
    Path("m.wsd").write_text(MESSY)
    Path("link.wsd").symlink_to("m.wsd")
    wsdl("fmt", "link.wsd")
    assert Path("link.wsd").is_symlink()
    assert Path("m.wsd").read_text() == NEAT


def test_check_changes_nothing(wsdl: Wsdl) -> None:
    Path("m.wsd").write_text(MESSY)
    done = wsdl("fmt", "--check", "m.wsd", "tied.wsd")
    assert (done.code, done.out, done.err) == (1, "", "would reformat m.wsd\n")
    assert Path("m.wsd").read_text() == MESSY


def test_diff(wsdl: Wsdl) -> None:
    Path("m.wsd").write_text(MESSY)
    done = wsdl("fmt", "--diff", "m.wsd")
    assert done.code == 0
    assert "-  layer encode=Dense( 16 )  # kept\n+    layer encode = Dense(16)  # kept\n" in done.out
    assert Path("m.wsd").read_text() == MESSY
    assert wsdl("fmt", "--diff", "--check", "m.wsd").code == 1


def test_a_file_that_does_not_parse_is_left_alone_and_the_others_are_formatted(wsdl: Wsdl) -> None:
    Path("broken.wsd").write_text("model m( {\n")
    Path("m.wsd").write_text(MESSY)
    done = wsdl("fmt", "broken.wsd", "m.wsd")
    assert done.code == 1
    assert "broken.wsd:1" in done.err
    assert Path("broken.wsd").read_text() == "model m( {\n"
    assert Path("m.wsd").read_text() == NEAT


def test_stdin_to_stdout(wsdl: Wsdl) -> None:
    assert wsdl("fmt", "-", stdin=MESSY.encode()).out == NEAT
    assert wsdl("fmt", "-", stdin=MESSY.replace("\n", "\r\n").encode()).out == NEAT.replace("\n", "\r\n")
    assert wsdl("fmt", "-", "--check", stdin=MESSY.encode()).code == 1


def test_json(wsdl: Wsdl) -> None:
    Path("m.wsd").write_text(MESSY)
    done = wsdl("fmt", "--check", "--json", "m.wsd", "nowhere.wsd")
    assert done.code == 2
    assert done.json["files"] == [{"file": "m.wsd", "changed": True}]
    assert done.codes == ["E0701"]
    assert wsdl("fmt", "-", "--json", stdin=MESSY.encode()).json["files"][0]["text"] == NEAT


def test_a_full_disk_loses_nothing(wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    Path("m.wsd").write_text(MESSY)
    monkeypatch.setattr(os, "fsync", full)
    done = wsdl("fmt", "m.wsd", "--json")
    assert done.code == 2
    assert done.codes == ["E0703"]
    assert "no space left" in done.json["diagnostics"][0]["message"]
    assert Path("m.wsd").read_text() == MESSY
    assert sorted(os.listdir()) == ["m.wsd", "tied.wsd", "two.wsd", "wrong.wsd"]
