"""Links of pages lead to files and headings that exist, decisions name files that exist, and are short."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from tests.docs.page import ROOT
from tests.docs.test_pages import PAGES
from tests.together import together

_FENCED = re.compile(r"^ *(`{3,}).*?^ *\1$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!`)\[[^\]`]*(?:`[^`]*`[^\]`]*)*\]\((?P<target>[^)\s]+)\)")


def links(text: str) -> list[str]:
    """Where the links of a page lead, save for those to other sites."""
    found = (match["target"] for match in _LINK.finditer(_FENCED.sub("", text)))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(text: str) -> set[str]:
    """The headings of a page as they are linked to."""
    headings = re.findall(r"^#+ (.*)$", _FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def leads_somewhere(target: str, page: Path) -> bool:
    name, _, anchor = unquote(target).partition("#")
    path = (page.parent / name).resolve() if name else page
    if not path.exists() or not path.is_relative_to(ROOT):
        return False
    return not anchor or path.suffix != ".md" or anchor in anchors(path.read_text(encoding="utf-8"))


@together("page", sorted(PAGES), by=lambda page: page.relative_to(ROOT).parent.as_posix())
def test_links(page: Path) -> None:
    broken = [target for target in links(page.read_text(encoding="utf-8")) if not leads_somewhere(target, page)]
    assert broken == []


@together(
    "page", [ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/decisions/*.md"))], by=lambda page: page.parent.name
)
def test_source_files_exist(page: Path) -> None:
    """Those that a page for contributors names: `wsdl/ir/graph.py`, or `ir/graph.py` for short."""
    named = re.findall(r"`([a-z_]+(?:/\w+)+\.(?:py|wsd|lark))`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not any((root / name).exists() for root in (ROOT, ROOT / "wsdl"))] == []


def test_decisions_are_short() -> None:
    """At most forty lines, but for the inventory of dependencies."""
    lengths = {path.name: len(path.read_text("utf-8").splitlines()) for path in ROOT.glob("docs/decisions/*.md")}
    assert [name for name, lines in lengths.items() if lines > 40 and not name.startswith("0001-")] == []


def reachable(start: Path) -> set[Path]:
    """The pages that a reader comes to from one; a link to a folder leads to its README, or to all of its pages."""
    found, waiting = {start}, [start]
    while waiting:
        page = waiting.pop()
        for target in links(page.read_text(encoding="utf-8")):
            path = (page.parent / unquote(target).partition("#")[0]).resolve()
            readme = path / "README.md"
            pages = [path] if path.suffix == ".md" else [readme] if readme.exists() else path.glob("*.md")
            new = {p for p in pages if p.is_file()} - found
            found |= new
            waiting += new
    return found


def test_every_page_can_be_reached_from_the_readme() -> None:
    assert {str(page.relative_to(ROOT)) for page in {*PAGES} - reachable(ROOT / "README.md")} == set()


def test_which_links_are_followed() -> None:
    text = "[a](b.md) [`x` y](c.md#d) [out](https://example.com/x)\n```text\n[no](e.md)\n```\n"
    assert links(text) == ["b.md", "c.md#d"]


def test_headings_as_they_are_linked_to() -> None:
    assert anchors("# What it's for\n## `wsdl check`, fast\n```text\n# no\n```\n") == {
        "what-its-for",
        "wsdl-check-fast",
    }


def test_broken_links_are_found(tmp_path: Path) -> None:
    page = ROOT / "CONTRIBUTING.md"
    assert leads_somewhere("docs/decisions/0003-pictures.md#0003-how-pictures-are-drawn", page)
    assert not leads_somewhere("docs/decisions/0003-pictures.md#elsewhere", page)
    assert not leads_somewhere("docs/nowhere.md", page)
    assert not leads_somewhere(str(tmp_path), page)
