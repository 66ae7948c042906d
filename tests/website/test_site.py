"""The site, built strictly: each page is in the navigation, each link and each anchor leads somewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.page import ROOT
from tests.node.test_training import HERE, chromium, run
from website.places import pages

WHAT_TO_DO = "A page is in the navigation if docs/README.md, or the index of its folder, links to it."
# What a page loads, other than by a link that a reader follows.
LOADS = re.compile(r"""<(?!a\b)[^>]*\b(?:src|href|data)=["']?(?:https?:)?//[^>]*>|url\(["']?(?:https?:)?//[^)]*\)""")

# Markdown that was not understood, in the text of a page: links, code, bold, lists.
CODE_OR_TAG = re.compile(r"<(pre|code|script|style|svg)\b.*?</\1>|<[^>]*>", re.DOTALL)
MARKDOWN = re.compile(r"\]\(|`|\*\*|^ *[-*] .*", re.MULTILINE)


def test_site(tmp_path: Path) -> None:
    """One test, as the site is built for it."""
    site = build(tmp_path / "site")
    texts = {path.relative_to(site).as_posix(): path.read_text("utf-8") for path in site.rglob("*.html")}
    assert {re.sub(r"\.md$", ".html", place) for place in pages().values() if place.endswith(".md")} <= {*texts}
    articles = {name: text.partition("<article")[2].partition("</article>")[0] for name, text in texts.items()}
    words = {name: CODE_OR_TAG.sub("", article) for name, article in articles.items()}
    assert {name: found for name in words if (found := MARKDOWN.findall(words[name]))} == {}
    styles = [path.read_text("utf-8") for path in site.rglob("*.css")]
    assert [found for text in [*texts.values(), *styles] for found in LOADS.findall(text)] == []
    assert '<span class="k">share</span>' in texts["examples/lm.wsd.html"]
    assert '<figure class="model"' in texts["index.html"]
    assert "reports E0310" in texts["reference/errors/E0310.html"]
    linked = 'class="in-playground"' in texts["examples/lm.wsd.html"]
    assert linked == (site / "playground" / "index.html").exists()
    visit(site, tmp_path)


@pytest.mark.parametrize(
    ("html", "loads"),
    [
        ('<script src="https://unpkg.com/x"></script>', True),
        ("<link rel=stylesheet href=//fonts.example/css>", True),
        ("body { background: url(https://example.org/a.png) }", True),
        ('<a href="https://example.org">', False),
        ('<img src="../a.png">', False),
    ],
)
def test_what_a_page_loads(html: str, loads: bool) -> None:
    assert bool(LOADS.search(html)) == loads


def build(folder: Path) -> Path:
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)]  # --quiet would count no warnings
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{WHAT_TO_DO}"
    return folder


def visit(site: Path, folder: Path) -> None:
    """Pages opened as files find words, light the uses of a tensor, and ask for nothing but files."""
    if chromium is None or shutil.which("node") is None or not (HERE / "node_modules").is_dir():
        pytest.skip("all but a visit is as it must be: needs Node, Chromium and make tests/node/node_modules")
    seen = run("site.mjs", chromium, (site / "index.html").as_uri(), folder)
    assert seen["said"] == "embedding: read by tok, head"
    assert [address for address in seen["requests"] if not address.startswith(site.as_uri())] == []
