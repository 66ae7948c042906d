"""Reads the links and headings of a Markdown page, and rewrites it for the site.

The pages are written to be read as they are in the repository: links lead to files, and the information behind a fence
says what the tests do with a block (`wsd error`, `python fragment`). MkDocs understands neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from website.blocks import Block, blocks

# What has no links: code, in blocks and within a line. Comments are first wherever they begin first.
_OPAQUE = re.compile(
    r"(?P<comment><!--.*?-->\n?)"
    r"|^ *(?P<fence>`{3,})[^`\n]*\n.*?^ *(?P=fence) *$"
    r"|(?<!`)(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)",
    re.DOTALL | re.MULTILINE,
)
_LINK = re.compile(r"\[(?P<text>[^\[\]]*)\]\((?P<target>[^)\s]+)\)")
_ITEM = re.compile(r"[-*] |1\. ")
_HEADING = re.compile(r"^(?P<level>#{1,6}) (?P<heading>.+)$", re.MULTILINE)


def _masked(text: str) -> str:
    """The same text with code and comments blanked, every character in its place."""
    return _OPAQUE.sub(lambda match: re.sub(r"[^\n]", "\0", match[0]), text)


def is_local(target: str) -> bool:
    """Whether a link leads to a file or a heading, not to another site."""
    return re.match(r"[a-z]+:", target) is None


def links(text: str) -> list[str]:
    """Where the links of a page lead, save for those to other sites."""
    return [match["target"] for match in _LINK.finditer(_masked(text)) if is_local(match["target"])]


def outline(text: str) -> Iterator[tuple[int, str, str]]:
    """The headings and links of a page in order: the level of a heading, or 0; its text; and where a link leads."""
    masked = _masked(text)
    found = [*_HEADING.finditer(masked), *_LINK.finditer(masked)]
    for match in sorted(found, key=lambda match: match.start()):
        if match.re is _HEADING:
            yield len(match["level"]), text[slice(*match.span("heading"))], ""
        elif is_local(match["target"]):
            yield 0, text[slice(*match.span("text"))], match["target"]


def title(text: str) -> str:
    """The first heading of a page."""
    return next(heading for level, heading, _ in outline(text) if level)


def rewrite(text: str, link: Callable[[str], str], fence: Callable[[Block], tuple[str, str]]) -> str:
    """A page for MkDocs: `link` changes what links lead to, `fence` gives the information of a block and HTML below it.

    Comments are left out, with the blocks in them. A list below a paragraph gets the blank line that MkDocs wants.
    """
    for match in reversed([*_LINK.finditer(_masked(text))]):
        if is_local(match["target"]):
            start, end = match.span("target")
            text = text[:start] + link(match["target"]) + text[end:]
    lines = text.split("\n")
    for block in blocks(text):
        opening, closing = block.line - 1, block.line + block.text.count("\n")
        indent = lines[opening][: len(lines[opening]) - len(lines[opening].lstrip())]
        ticks = "`" * (len(lines[opening].strip()) - len(lines[opening].strip().lstrip("`")))
        information, below = fence(block)
        lines[opening] = indent + ticks + information
        if below:
            lines[closing] += f"\n\n{indent}{below}\n"
    text = _OPAQUE.sub(lambda match: "" if match["comment"] else match[0], "\n".join(lines))
    for start in reversed([*_starts_of_lists(_masked(text))]):
        text = f"{text[:start]}\n{text[start:]}"
    return text


def _starts_of_lists(text: str) -> Iterator[int]:
    """Where a list begins in the middle of lines that are not one."""
    at, before = 0, "blank"
    for line in text.splitlines(keepends=True):
        item = _ITEM.match(line)
        if item and before == "words":
            yield at
        before = "blank" if line.isspace() else "list" if item or before == "list" else "words"
        at += len(line)
