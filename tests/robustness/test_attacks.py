"""Each attack over the real command line, with little memory and little time."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.robustness.attacks import ATTACKS, EDGES, Attack

ROOT = Path(__file__).parents[2]
MEMORY = 2 << 30  # bytes of addresses
CPU_SECONDS = 10
SECONDS = 60  # the slowest takes 15 on a busy machine
LONGEST = 200_000  # characters of all that is said
RUN = "from wsdl.cli import main; main()"
SAMPLE = 3  # each third attack; all of them, which takes minutes, with `make fuzz`
CHOSEN = ATTACKS if os.environ.get("WSDL_ATTACKS") == "all" else ATTACKS[::SAMPLE]


def _with_little_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def said(folder: Path, *arguments: str) -> tuple[int, str]:
    """The exit code of the command in a folder, and all that it says."""
    command = [sys.executable, "-c", RUN, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, timeout=SECONDS, preexec_fn=_with_little_memory
    )
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


@pytest.mark.parametrize("attack", CHOSEN, ids=lambda attack: attack.name)
def test_an_attack_ends_in_a_finding(attack: Attack, tmp_path: Path) -> None:
    (tmp_path / "a.wsd").write_text(attack.text, encoding="utf-8")
    verb = ("compile", "a.wsd", "-o", "out", "--no-proof") if attack.when_compiling else ("check", "a.wsd")
    status, text = said(tmp_path, *verb)
    assert "Traceback" not in text
    assert len(text) < LONGEST
    codes = re.findall(r"error\[(E\d+)\]", text)
    if attack.code is None:
        assert (status, codes) == (0, [])
    else:
        assert status in (1, 2)
        assert attack.code in codes


@pytest.mark.parametrize("edge", EDGES if CHOSEN is ATTACKS else [EDGES[0], EDGES[-1]], ids=lambda edge: edge.name)
def test_the_edge_of_a_limit(edge: Attack, tmp_path: Path) -> None:
    """What is allowed takes 2 GB and 10 s at most."""
    (tmp_path / "a.wsd").write_text(edge.text, encoding="utf-8")
    verb = ("compile", "a.wsd", "-o", "out", "--no-proof") if edge.when_compiling else ("check", "a.wsd")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    status, text = said(tmp_path, *verb)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (status, re.findall(r"error\[(E\d+)\]", text)) == ((0, []) if edge.code is None else (1, [edge.code])), text
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < CPU_SECONDS


@pytest.mark.parametrize("name", ["parentheses", "a_long_name", "quotes", "many_wrong_shapes", "sums", "lone_brace"])
def test_the_formatter_withstands_it(name: str, tmp_path: Path) -> None:
    [attack] = [attack for attack in ATTACKS if attack.name == name]
    (tmp_path / "a.wsd").write_text(attack.text, encoding="utf-8")
    status, text = said(tmp_path, "fmt", "a.wsd")
    assert status in (0, 1)
    assert "Traceback" not in text


@pytest.mark.parametrize("code", ["", "junk", "E9999", "../../etc/passwd", "E0312/../E0101", "x" * 50_000, "\x01"])
def test_explain_knows_no_junk(code: str, tmp_path: Path) -> None:
    status, text = said(tmp_path, "explain", code)
    assert status == 2
    assert "error[E0704]: there is no code" in text


def test_a_size_of_thousands_of_digits(tmp_path: Path) -> None:
    (tmp_path / "a.wsd").write_text("model m(x: f32[n]) { return x }", encoding="utf-8")
    status, text = said(tmp_path, "check", "a.wsd", "--dim", f"n={'9' * 5_000}")
    assert status == 2
    assert "error[E0704]" in text
