"""Makes text safe to show in a terminal.

Names come from untrusted files, and terminals interpret control characters: ESC starts commands, U+202E reverses the
direction of a line, a line break forges a line. Output for people goes through `printable`; output for programs stays
exact, as `escaped` JSON.
"""

from __future__ import annotations

import re

WORD = 400  # characters of a word; a name may have a million
TEXT = 4_000  # characters of a message
_LONG_WORD = re.compile(rf"\S{{{WORD},}}")


def printable(text: str, *, unicode: bool = True) -> str:
    """The text on one line, unprintable characters replaced; `unicode=False` restricts it to ASCII."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else placeholder(c, unicode) for c in text)
    return text if unicode else text.encode("ascii", "replace").decode("ascii")


def placeholder(character: str, unicode: bool) -> str:
    """The replacement of a character that can't be printed: `␛` for ESC."""
    if unicode and ord(character) < 32:
        return chr(0x2400 + ord(character))
    return "\ufffd" if unicode else "?"


def short(text: str) -> str:
    """The text with overlong words shortened in the middle, and cut if it is still too long."""
    text = _LONG_WORD.sub(lambda word: f"{word[0][:60]}…{word[0][-20:]}", text)
    return text if len(text) <= TEXT else f"{text[: TEXT - 100]}…{text[-100:]}"


def escaped(json: str) -> str:
    """JSON text with unprintable characters as escapes (`\\u202e`); it parses to the same value."""
    if json.isprintable():
        return json
    return "".join(c if c.isprintable() or c == "\n" else _escape(ord(c)) for c in json)


def _escape(code: int) -> str:
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\u{0xD800 + (code - 0x10000 >> 10):04x}\\u{0xDC00 + (code - 0x10000 & 0x3FF):04x}"
