"""The hooks of MkDocs: which files are pages, where they are in the navigation, what becomes of links and blocks.

MkDocs knows `docs/`; the pages elsewhere in the repository are added to its files, and each is rewritten for the site
when it is read. Programs link to the playground if it is built.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from html import escape
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from website import ROOT, in_playground, navigation, places
from website.blocks import Block
from website.markdown import outline, rewrite

_ASSETS = (ROOT / "wsdl" / "pictures" / "light.js", ROOT / "playground" / "icon.svg")
# What search finds first: pages that explain, then examples, then what is looked up by its name.
_BOOSTS = {"docs/decisions/": 0.5, "wsdl/diagnostics/codes/": 0.5, "docs/reference/": 1, "docs/": 3}
_IMAGE = re.compile(r'<p><img alt="(?P<alt>[^"]*)" src="(?P<source>[^"]*\.svg)" */?></p>')


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    places.forget()
    config.nav = navigation.navigation()
    config.extra["playground"] = in_playground.is_built()
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages of the repository in place of the files of `docs/`, at their places on the site."""
    for file in [file for file in files if file.src_dir == config.docs_dir]:
        files.remove(file)
    for path, place in places.pages().items():
        if places.is_picture(path):
            files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
        else:
            inclusion = InclusionLevel.UNDEFINED if places.is_listed(path) else InclusionLevel.NOT_IN_NAV
            files.append(File.generated(config, place, content=places.text(path), inclusion=inclusion))
    for asset in (*sorted((ROOT / "website" / "assets").iterdir()), *_ASSETS):
        files.append(File.generated(config, f"assets/{asset.name}", abs_src_path=str(asset)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    uri = page.file.src_uri
    path = _path(uri)
    if path == places.INDEX:
        page.meta["search"] = {"exclude": True}
    elif boost := next((boost for folder, boost in _BOOSTS.items() if path.startswith(folder)), None):
        page.meta.setdefault("search", {"boost": boost})
    if not any(level == 2 for level, _, _ in outline(markdown)):
        page.meta.setdefault("hide", ["toc"])
    base = "../" * uri.count("/")
    return rewrite(markdown, lambda target: places.link(path, target), lambda block: _fence(block, path, base))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Pictures of models in the page itself, where they answer to clicks and take its colors."""

    def inlined(image: re.Match[str]) -> str:
        place = posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), image["source"]))
        svg = (ROOT / _path(place)).read_text(encoding="utf-8")
        if 'class="graph"' not in svg:
            return image[0]
        opening = f'<figure class="model" role="group" data-search-exclude aria-label="{image["alt"]}">'
        return f'{opening}{svg[svg.index("<svg") :]}<figcaption role="status"></figcaption></figure>'

    return _IMAGE.sub(inlined, html)


def on_post_build(config: MkDocsConfig) -> None:
    if in_playground.is_built():
        shutil.copytree(in_playground.FOLDER, Path(config.site_dir) / "playground", dirs_exist_ok=True)


def _path(uri: str) -> str:
    """The file of the repository whose place this is."""
    return next(path for path, place in places.pages().items() if place == uri)


def _fence(block: Block, path: str, base: str) -> tuple[str, str]:
    """The information of a block as MkDocs wants it, and the link below it; `base` leads to the folder of the site."""
    classes = [{"lark": "ebnf"}.get(block.language, block.language)]
    name = block.note.get("file") or block.note.get("same as") or ""
    name = name or next((mark for mark in block.marks if mark.endswith(".wsd")), "")
    if block.language == "wsd" and "error" in block.marks:
        code = block.note.get("error") or (Path(path).stem if "/codes/" in path else "an error")
        name = f"{name} reports {code}".strip()
        classes.append("error")
    elif "fixed" in block.marks:
        name = "fixed"
        classes.append("fixed")
    titled = f' title="{name}"' if name else ""
    link = None
    if block.language == "wsd" and "fragment" not in block.marks:
        link = in_playground.link(block.text, base, path)
    below = (
        f'<a class="in-playground" data-search-exclude href="{escape(link)}">Open in the playground</a>' if link else ""
    )
    return f"{{ .{' .'.join(classes)}{titled} }}", below
