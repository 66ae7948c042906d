"""The playground's colors are those of the lexer for Pygments, in every example."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable

import pytest

from tests.golden import ROOT, Golden
from wsdl.highlighting.javascript import javascript
from wsdl.highlighting.lexer import TOKENS, WsdlLexer

SOURCE = ROOT / "playground/src"
STRANGE = (
    '# é 😀\nmodel größe(x: f32[n]) -> f32[n] { let a = "open {i}\nlayer block = Dense(1_0.5e3) }  load "x" for über\n'
)
COLORING = """
import { readFileSync } from "node:fs";
import { coloring } from "./coloring.js";
const tokens = coloring(JSON.parse(readFileSync("highlighting.json", "utf8")));
const texts = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(texts.map((text) => {
  const stack = ["program"];
  const found = (line) => tokens(line, stack).map(([start, end, kind]) => [line.slice(start, end), kind]);
  return text.split("\\n").map(found);
})));
"""


def test_rules(golden: Golden) -> None:
    golden(SOURCE / "highlighting.json", javascript())


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_tokens() -> None:
    texts = [*(path.read_text("utf-8") for path in sorted((ROOT / "examples").rglob("*.wsd"))), STRANGE]
    command = ["node", "--input-type=module", "--eval", COLORING]
    done = subprocess.run(command, cwd=SOURCE, input=json.dumps(texts), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for text, lines in zip(texts, json.loads(done.stdout), strict=True):
        here = [(part, TOKENS[kind]) for line in lines for part, kind in line]
        assert _joined(here) == _joined((part, kind) for _, kind, part in WsdlLexer().get_tokens_unprocessed(text))


def _joined(tokens: Iterable[tuple[str, object]]) -> list[tuple[str, object]]:
    """Tokens without white space, and those that touch and are of one kind as one."""
    joined: list[tuple[str, object]] = []
    for part, kind in tokens:
        if not part.strip():
            continue
        if joined and joined[-1][1] == kind:
            joined[-1] = joined[-1][0] + part.strip(), kind
        else:
            joined.append((part.strip(), kind))
    return [(part.replace(" ", ""), kind) for part, kind in joined]
