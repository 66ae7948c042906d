"""The extension for VS Code: it packs, what its manifest names exists, and its snippets and tasks fit the product."""

from __future__ import annotations

import json
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.golden import ROOT
from wsdl._version import __version__
from wsdl.cli import execute
from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Source
from wsdl.syntax.parser import parse

VSCODE = ROOT / "editors/vscode"
NODE_MODULES = VSCODE / "node_modules"
MANIFEST: dict[str, Any] = json.loads((VSCODE / "package.json").read_text("utf-8"))
SNIPPETS: dict[str, Any] = json.loads((VSCODE / "snippets/wsdl.json").read_text("utf-8"))


def test_what_the_manifest_names_exists() -> None:
    contributes = MANIFEST["contributes"]
    [language] = contributes["languages"]
    [grammar], [snippets] = contributes["grammars"], contributes["snippets"]
    assert grammar["language"] == snippets["language"] == language["id"]
    for file in (language["configuration"], grammar["path"], snippets["path"]):
        json.loads((VSCODE / file).read_text("utf-8"))
    sources = "".join(path.read_text("utf-8") for path in sorted((VSCODE / "src").glob("*.js")))
    assert set(re.findall(r'registerCommand\("(.+?)"', sources)) == {c["command"] for c in contributes["commands"]}
    assert set(re.findall(r'"\$(wsdl[\w-]*)"', sources)) == {m["name"] for m in contributes["problemMatchers"]}


@pytest.mark.skipif(not NODE_MODULES.exists(), reason="not set up: make editors/vscode/node_modules")
def test_it_packs() -> None:
    packed = ROOT / "build/wsdl.vsix"
    there = str(NODE_MODULES.relative_to(ROOT))  # not installed anew
    done = subprocess.run(["make", "-o", there, "vscode"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(packed) as package:
        names = {name.removeprefix("extension/") for name in package.namelist()}
        manifest = json.loads(package.read("extension/package.json"))
    assert manifest["version"] == __version__
    assert manifest["main"].removeprefix("./") in names
    assert names == {
        *("[Content_Types].xml", "extension.vsixmanifest", "package.json", "language-configuration.json"),
        *("readme.md", "LICENSE.txt", "dist/extension.js", "media/icon.svg", "media/picture.css", "media/picture.js"),
        *("snippets/wsdl.json", "syntaxes/wsdl.tmLanguage.json"),
    }
    command = ["node", str(ROOT / "tests/editors/activate.cjs"), str(VSCODE / "dist/extension.js")]
    activated = subprocess.run(command, capture_output=True, text=True)
    assert activated.returncode == 0, activated.stderr
    assert json.loads(activated.stdout) == [command["command"] for command in MANIFEST["contributes"]["commands"]]


@pytest.mark.parametrize("name", SNIPPETS)
def test_snippets_are_programs(name: str) -> None:
    text = re.sub(r"\$\{\d+:([^}]*)\}|\$\d", r"\1", "\n".join(SNIPPETS[name]["body"])) + "\n"
    if name not in ("Model", "Block", "Training", "Variant"):
        text = f"model m(x: f32[n]) {{\n{text}\n}}\n"
    problems = Problems()
    parse(Source("snippet.wsd", text), problems)
    assert [problem.message for problem in problems] == []


def test_two_snippets_make_a_model_that_trains(tmp_path: Path) -> None:
    texts = [
        re.sub(r"\$\{\d+:([^}]*)\}|\$\d", r"\1", "\n".join(SNIPPETS[name]["body"])) for name in ("Model", "Training")
    ]
    program = tmp_path / "a.wsd"
    program.write_text("\n".join(texts) + "\n", "utf-8")
    assert execute(["check", str(program)]) == 0


@pytest.mark.parametrize(
    ("arguments", "matcher"), [(["check", "--output-format", "concise"], "wsdl-check"), (["compile"], "wsdl")]
)
def test_problem_matchers(
    arguments: list[str], matcher: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.wsd").write_text("model m(x: f32[n]) -> [n] {\n    return y\n}\n", "utf-8")
    assert execute([*arguments, str(tmp_path / "a.wsd"), *(["-o", str(tmp_path)] if matcher == "wsdl" else [])]) == 1
    lines = "".join(capsys.readouterr()).splitlines()
    [patterns] = [m["pattern"] for m in MANIFEST["contributes"]["problemMatchers"] if m["name"] == matcher]
    patterns = patterns if isinstance(patterns, list) else [patterns]
    [at] = [n for n, line in enumerate(lines) if re.search(patterns[0]["regexp"], line)]
    found: dict[str, str] = {}
    for pattern, line in zip(patterns, lines[at:], strict=False):
        match = re.search(pattern["regexp"], line)
        assert match is not None, line
        found |= {key: match[group] for key, group in pattern.items() if isinstance(group, int)}
    assert {key: found[key] for key in ("file", "line", "column", "severity", "code")} == {
        "file": str(tmp_path / "a.wsd"), "line": "2", "column": "12", "severity": "error", "code": "E0201",
    }  # fmt: skip
    assert found["message"].startswith("there is no `y` in scope")
