"""The navigation of the site: what `docs/README.md` lists, in its order and under its headings.

An index (the page of a folder) has the pages of its folder below it, in the same way: those that it links to, under its
headings. So a new page takes its place by the link that it needs anyway, and MkDocs reports a page that has none.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import Any

from website.markdown import outline, title
from website.places import INDEX, is_listed, place, resolve, text


@dataclass
class Section:
    """A heading, or a page that is an index, and what is below it."""

    title: str
    level: int = 0
    items: list[Page | Section] = field(default_factory=list)

    def entries(self) -> list[dict[str, Any]]:
        """As MkDocs wants them; a section with one page is that page, under the section's title."""
        found: list[dict[str, Any]] = []
        for item in self.items:
            if isinstance(item, Page):
                found.append({item.title: item.place})
            elif below := item.entries():
                found.append({item.title: below[0].popitem()[1] if len(below) == 1 else below})
        return found


@dataclass(frozen=True)
class Page:
    title: str
    path: str

    @property
    def place(self) -> str:
        return place(self.path)


def navigation() -> list[dict[str, Any]]:
    """`nav` for MkDocs."""
    return [{"Home": "index.md"}, *_listed(INDEX, set()).entries()]


def _listed(index: str, taken: set[str]) -> Section:
    """The pages that an index links to below its own folder and that aren't `taken`, under its headings."""
    folder = "" if index == INDEX else posixpath.dirname(place(index)) + "/"
    top = Section("")
    sections = [top]
    for level, words, target in outline(text(index)):
        if level > 1:
            while sections[-1].level >= level:
                sections.pop()
            section = Section(_plain(words), level)
            sections[-1].items.append(section)
            sections.append(section)
        elif target and not (index == INDEX and "#" in target):
            path = resolve(index, target)
            if path and path not in taken and is_listed(path) and place(path).startswith(folder):
                taken.add(path)
                sections[-1].items.append(Page(_plain(words) if index == INDEX else _title(path), path))
    _expand(top, taken | {index})
    return top


def _expand(section: Section, taken: set[str]) -> None:
    """Give each page that is an index what it lists."""
    for at, item in enumerate(section.items):
        if isinstance(item, Section):
            _expand(item, taken)
        elif item.place.endswith("/index.md"):
            section.items[at] = Section(item.title, items=[item, *_listed(item.path, taken).items])


def _title(path: str) -> str:
    """The heading of a page, without the kind or the number in front (`Operations: activations`)."""
    return _plain(re.sub(r"^(?:Operations|Blocks|\d{4}): ", "", title(text(path))))


def _plain(words: str) -> str:
    words = words.replace("`", "").replace("\n", " ")
    return words[0].upper() + words[1:] if words[0].islower() and "." not in words else words
