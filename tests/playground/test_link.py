"""Links that carry the files of a program."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from wsdl.playground.link import LONGEST, files, link

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAM = "model m(x: f32[n]) -> f32[n] { return x }"
LINK = "#code=eNrLzU9JzVHI1aiwUkgzNorOi9VU0LWDMhWqFYpSS0qL8hQqFGoBCiQM3w"


def test_the_format() -> None:
    assert files(LINK) == files(LINK.removeprefix("#")) == {"program.wsd": PROGRAM}


@pytest.mark.parametrize(
    "text", ["", PROGRAM, "# 😀 é\r\n\0", *(p.read_text("utf-8") for p in EXAMPLES.rglob("*.wsd"))]
)
def test_there_and_back(text: str) -> None:
    address = link(text, "https://example.org/playground/")
    assert address is not None
    assert address.startswith("https://example.org/playground/#code=")
    assert set(address.partition("=")[2]) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert files(address.partition("#")[2]) == {"program.wsd": text}


def test_several_files() -> None:
    several = {"words.wsd": PROGRAM, "a-b.c_1.wsd": "", "größe.wsd": "# 😀"}
    address = link(several, "playground/") or ""
    assert address.startswith("playground/#files=")
    assert list((files(address.partition("#")[2]) or {}).items()) == list(several.items())


def test_a_long_program() -> None:
    noise = random.Random(0).randbytes(LONGEST).hex()
    assert link(noise) is None


@pytest.mark.parametrize("written", ["{}", "[]", "1", "{", '{"../a.wsd": ""}', '{"a.txt": ""}', '{"a.wsd": 1}'])
def test_no_files(written: str) -> None:
    assert files((link(written) or "").replace("#code=", "#files=")) is None


@pytest.mark.parametrize(
    "fragment", ["", "#", "#top", "#code", "#code=", LINK[:-9], LINK + "!", "#code=eA", "#example=lm"]
)
def test_no_program(fragment: str) -> None:
    assert files(fragment) is None
