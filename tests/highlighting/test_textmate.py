"""The TextMate grammar is the one that the product's tables give, and colors as the comments of its test file say."""

from __future__ import annotations

import subprocess

import pytest

from tests.golden import ROOT, Golden
from wsdl.highlighting.textmate import textmate

VSCODE = ROOT / "editors/vscode"


def test_grammar(golden: Golden) -> None:
    golden(VSCODE / "syntaxes/wsdl.tmLanguage.json", textmate())


def test_scopes() -> None:
    tester = VSCODE / "node_modules/.bin/vscode-tmgrammar-test"
    if not tester.exists():
        pytest.skip("needs the npm packages of editors/vscode: make editors/vscode/node_modules")
    done = subprocess.run([tester, "test/colors.wsd"], cwd=VSCODE, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
