"""Completion in bash, zsh and fish: each runs the line that docs/install.md names, and says what it would complete."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = dict(
    re.findall(r"^\| (\w+).*\| `(.*wsdl.*)` \|$", (ROOT / "docs/install.md").read_text(encoding="utf-8"), re.M)
)
BASH = """{line}
COMP_WORDS=({words}) COMP_CWORD={last}
compopt() {{ COMPREPLY+=("<$2>"); }}
_wsdl_completion wsdl
printf "%s\\n" "${{COMPREPLY[@]}}"
"""
ZSH = """compdef() {{ }}
_describe() {{ print -l -- "${{completions_with_descriptions[@]}}" }}
compadd() {{ print -l -- "${{completions[@]}}" }}
_path_files() {{ print "<$*>" }}
{line}
words=({words}) CURRENT={next}
_wsdl_completion
"""
FISH = """{line}
complete -C "{text}"
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def completed(shell: str, text: str, folder: Path) -> str:
    """What a shell offers behind a text, one word on a line."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    command = folder / "bin" / "wsdl"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m wsdl "$@"\n')
    command.chmod(0o755)
    words = [f"'{word}'" for word in text.split(" ")]
    script = SCRIPTS[shell].format(
        line=LINES[shell].replace("\\|", "|"), text=text, words=" ".join(words), last=len(words) - 1, next=len(words)
    )
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(folder)}
    options = {"zsh": ["-f"], "bash": ["--norc"], "fish": ["--no-config"]}[shell]
    done = subprocess.run(
        [program, *options, "-c", script], env=environment, cwd=folder, capture_output=True, text=True
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", SCRIPTS)
@pytest.mark.parametrize(
    ("text", "expected"),
    [("wsdl ch", "check"), ("wsdl train --tens", "--tensorboard"), ("wsdl train --on-nan s", "skip")],
)
def test_words(shell: str, text: str, expected: str, tmp_path: Path) -> None:
    assert expected in completed(shell, text, tmp_path)


@pytest.mark.parametrize(
    ("shell", "text", "expected"),
    [
        ("bash", "wsdl check m", "<default>"),
        ("bash", "wsdl compile m.wsd -o b", "<dirnames>"),
        ("zsh", "wsdl check m", "<-f>"),
        ("zsh", "wsdl train m.wsd --data m", "<-f>"),
        ("zsh", "wsdl compile m.wsd -o b", "<-/>"),
        ("fish", "wsdl check m", "model.wsd"),
        ("fish", "wsdl run m.wsd --input m", "model.wsd"),
        ("fish", "wsdl compile model.wsd -o b", "bin/"),
    ],
)
def test_paths(shell: str, text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "model.wsd").write_text("")
    assert expected in completed(shell, text, tmp_path)
