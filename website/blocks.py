"""The code blocks of a Markdown page, with the note that stands above each.

A note is a comment that readers don't see: `<!-- file: a.wsd -->`, or several, `<!-- file: a.wsd, error: E0312 -->`.
Blocks inside a comment count too: that is how a page prepares what it does not show.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,})\s*(?P<info>[^`]*)$")
_NOTE = re.compile(r"^\s*<!--\s*(?P<note>.*?)\s*-->\s*$")
_KEYS = ("file", "same as", "error", "shows", "skip")


@dataclass(frozen=True)
class Block:
    """One fenced block: ```LANGUAGE MARK…"""

    language: str
    marks: tuple[str, ...]
    text: str
    line: int  # of the opening fence, from 1
    note: dict[str, str] = field(default_factory=dict)


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page, in order. Raises `ValueError` where one is not closed or its note is not understood."""
    lines = page.splitlines()
    at = 0
    note: dict[str, str] = {}
    while at < len(lines):
        opening = _FENCE.match(lines[at])
        if opening is None:
            if (comment := _NOTE.match(lines[at])) is not None:
                note = _read_note(comment["note"], at + 1)
            elif lines[at].strip():
                note = {}
            at += 1
            continue
        start = at
        at += 1
        while at < len(lines) and lines[at].strip() != opening["fence"]:
            at += 1
        if at == len(lines):
            raise ValueError(f"line {start + 1}: this block is not closed")
        indent = len(opening["indent"])
        text = "".join(line[min(indent, len(line) - len(line.lstrip())) :] + "\n" for line in lines[start + 1 : at])
        language, *marks = opening["info"].split() or [""]
        yield Block(language, tuple(marks), text, start + 1, note)
        note = {}
        at += 1


def _read_note(note: str, line: int) -> dict[str, str]:
    found = {}
    for part in note.split(", "):
        key, colon, value = part.partition(":")
        if colon and key.strip() in _KEYS:
            found[key.strip()] = value.strip()
        elif found or key.strip().split(" ")[0] in _KEYS:
            raise ValueError(f"line {line}: a note is `key: value` with one of {', '.join(_KEYS)}, not `{part}`")
    return found
