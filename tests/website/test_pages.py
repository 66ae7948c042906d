"""Pages as they are rewritten for the site, where they are in its navigation, and links to the playground."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.golden import ROOT
from website import in_playground
from website.blocks import Block
from website.markdown import links, outline, rewrite
from website.navigation import navigation
from website.places import link, resolve, text
from wsdl.playground.link import files

PAGE = """\
# Title

One of:
- this,
  or
1. that

<!-- file: a.wsd -->
```wsd error
# [no](link.md)
```

- See [`a[0]`](../b.md#c), `[not](this.md)` and [elsewhere](https://example.org):

  ```text
  <!-- shown -->
  ```
<!--
```python
hidden = "[no](page.md)"
```
-->
## A `part`
"""
REWRITTEN = """\
# Title

One of:

- this,
  or
1. that

```{wsd error a.wsd}
# [no](link.md)
```

below


- See [`a[0]`](<../b.md#c>), `[not](this.md)` and [elsewhere](https://example.org):

  ```{text}
  <!-- shown -->
  ```
## A `part`
"""


def fence(block: Block) -> tuple[str, str]:
    words = [block.language, *block.marks, *block.note.values()]
    return f"{{{' '.join(words)}}}", "below" if block.language == "wsd" else ""


def test_a_page_for_the_site() -> None:
    assert rewrite(PAGE, lambda target: f"<{target}>", fence) == REWRITTEN
    assert links(PAGE) == ["../b.md#c"]
    assert list(outline(PAGE)) == [(1, "Title", ""), (0, "`a[0]`", "../b.md#c"), (2, "A `part`", "")]


@pytest.mark.parametrize(
    ("page", "target", "to"),
    [
        ("docs/language.md", "tutorial.md#sharing", "tutorial.md#sharing"),
        ("docs/language.md", "#paths", "#paths"),
        ("docs/language.md", "../examples/lm.wsd", "examples/lm.wsd.md"),
        ("docs/language.md", "../wsdl/diagnostics/codes/E0312.md", "reference/errors/E0312.md"),
        ("docs/reference/errors.md", "../../wsdl/diagnostics/codes/E0312.md", "E0312.md"),
        ("wsdl/diagnostics/codes/E0312.md", "../../../docs/language.md", "../../language.md"),
        ("CONTRIBUTING.md", "docs/decisions/", "decisions/index.md"),
        ("README.md", "docs/pictures/siamese.svg", "pictures/siamese.svg"),
        ("examples/README.md", "training/README.md", "training/index.md"),
        ("examples/updates", "byol.wsd", "byol.wsd.md"),
        ("docs/language.md", "nowhere.md", "nowhere.md"),
    ],
)
def test_links(page: str, target: str, to: str) -> None:
    assert link(page, target) == to


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("examples/lm.wsd", r"# lm\.wsd\n\nA language model .*\n\n\| shared .*\n.*\n.* 57% \|\n\n```wsd\nlet vocab"),
        ("examples/updates", r"# Updates\n\n\| page .*\n.*\n\| \[`byol.wsd`\]\(byol.wsd\) \| \w"),
        (
            "examples/notebooks/sharing.ipynb",
            r"# Weight (.|\n)*```python fragment\n%load_ext(.|\n)*```wsd fragment\n%%",
        ),
        ("examples/demo.py", r"---\nsearch:\n  exclude: true\n---\n\n# demo.py\n\n`examples/demo.py`\n\n```python\n"),
    ],
)
def test_pages_of_what_is_not_markdown(path: str, shown: str) -> None:
    assert re.match(shown, text(path))


def test_links_stay_in_the_repository() -> None:
    assert resolve("README.md", "../elsewhere.md") is None


def test_navigation() -> None:
    """A folder's pages are below its index, under the headings of that; a heading with one page is that page."""
    tabs = {title: below for entry in navigation() for title, below in entry.items()}
    assert [*tabs] == ["Home", "Start", "How-to", "Examples", "Concepts", "Reference", "Project"]
    reference = {title: below for entry in tabs["Reference"] for title, below in entry.items()}
    index, operations, *_ = reference["Operations and blocks"]
    assert index == {"Operations and blocks": "reference/index.md"}
    assert operations["Operations"][0] == {"Elementwise": "reference/operations/elementwise.md"}


def test_links_to_the_playground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_playground, "FOLDER", tmp_path)
    assert in_playground.link("let d = 1\n", "../") is None  # it isn't built
    (tmp_path / "index.html").touch()
    address = in_playground.link("let d = 1\n", "../") or ""
    assert address.startswith("../playground/index.html#")
    assert files(address.partition("#")[2]) == {"program.wsd": "let d = 1\n"}
    assert in_playground.link('from "a.wsd" import Tower\n', "") is None
    ways = "examples/training/words_ways.wsd"
    address = in_playground.link((ROOT / ways).read_text("utf-8"), "", ways) or ""
    assert [*(files(address.partition("#")[2]) or ())] == ["words_ways.wsd", "words.wsd"]
