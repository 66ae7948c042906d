"""Each attack over the real command line, with little memory and little time."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forks import Forks
from tests.robustness.attacks import ATTACKS, EDGES, Attack

CPU_SECONDS = 10
LONGEST = 200_000  # characters of all that is said
SAMPLE = 3  # each third attack; all of them, which takes minutes, with `make fuzz`
CHOSEN = ATTACKS if os.environ.get("WSDL_ATTACKS") == "all" else ATTACKS[::SAMPLE]


Run = Callable[..., tuple[int, str, float]]


@pytest.fixture
def run(forks: Forks) -> Run:
    return forks.run


@pytest.mark.parametrize("attack", CHOSEN, ids=lambda attack: attack.name)
def test_an_attack_ends_in_a_finding(attack: Attack, tmp_path: Path, run: Run) -> None:
    (tmp_path / "a.wsd").write_text(attack.text, encoding="utf-8")
    verb = ("compile", "a.wsd", "-o", "out", "--no-proof") if attack.when_compiling else ("check", "a.wsd")
    status, text, _ = run(tmp_path, *verb)
    assert "Traceback" not in text
    assert len(text) < LONGEST
    codes = re.findall(r"error\[(E\d+)\]", text)
    if attack.code is None:
        assert (status, codes) == (0, [])
    else:
        assert status in (1, 2)
        assert attack.code in codes


@pytest.mark.parametrize("edge", EDGES if CHOSEN is ATTACKS else [EDGES[0], EDGES[-1]], ids=lambda edge: edge.name)
def test_the_edge_of_a_limit(edge: Attack, tmp_path: Path, run: Run) -> None:
    """What is allowed takes 2 GB and 10 s at most."""
    (tmp_path / "a.wsd").write_text(edge.text, encoding="utf-8")
    verb = ("compile", "a.wsd", "-o", "out", "--no-proof") if edge.when_compiling else ("check", "a.wsd")
    status, text, seconds = run(tmp_path, *verb)
    assert (status, re.findall(r"error\[(E\d+)\]", text)) == ((0, []) if edge.code is None else (1, [edge.code])), text
    assert seconds < CPU_SECONDS


@pytest.mark.parametrize("name", ["parentheses", "a_long_name", "quotes", "many_wrong_shapes", "sums", "lone_brace"])
def test_the_formatter_withstands_it(name: str, tmp_path: Path, run: Run) -> None:
    [attack] = [attack for attack in ATTACKS if attack.name == name]
    (tmp_path / "a.wsd").write_text(attack.text, encoding="utf-8")
    status, text, _ = run(tmp_path, "fmt", "a.wsd")
    assert status in (0, 1)
    assert "Traceback" not in text


@pytest.mark.parametrize("code", ["", "junk", "E9999", "../../etc/passwd", "E0312/../E0101", "x" * 50_000, "\x01"])
def test_explain_knows_no_junk(code: str, tmp_path: Path, run: Run) -> None:
    status, text, _ = run(tmp_path, "explain", code)
    assert status == 2
    assert "error[E0704]: there is no code" in text


def test_a_size_of_thousands_of_digits(tmp_path: Path, run: Run) -> None:
    (tmp_path / "a.wsd").write_text("model m(x: f32[n]) { return x }", encoding="utf-8")
    status, text, _ = run(tmp_path, "check", "a.wsd", "--dim", f"n={'9' * 5_000}")
    assert status == 2
    assert "error[E0704]" in text
