"""Which files of the repository are pages of the site, and where.

Paths stay, without `docs/`: `docs/language.md` is at `language.html`, `examples/lm.wsd` at `examples/lm.wsd.html`.
What a page links to is a page too, a source file with its text in color, so that no link leads out of the site.
"""

from __future__ import annotations

import posixpath
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from website import ROOT, programs
from website.markdown import links

INDEX = "docs/README.md"

# Pages whose place isn't their path: those that would be the first page, and indexes of a folder beside it.
_MOVED = {
    "website/home.md": "index.md",
    "README.md": "overview.md",
    INDEX: "contents.md",
    "docs/benchmarks.md": "measurements/index.md",
    "docs/reference/errors.md": "reference/errors/index.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "docs/SECURITY.md": "security.md",
}
_FOLDERS = {"docs/": "", "build/pictures/": "pictures/", "wsdl/diagnostics/codes/": "reference/errors/"}
_PICTURES = {".svg", ".png", ".jpg"}
_WRITTEN = (
    "website/home.md",
    "*.md",
    "docs/**/*.md",
    "examples/*.md",
    "examples/*/*.md",
    "wsdl/diagnostics/codes/*.md",
)
_PROGRAMS = ("examples/*.wsd", "examples/*/*.wsd")


def place(path: str) -> str:
    """Where a file of the repository is among the sources of the site; a folder is at its `index.md`."""
    if path in _MOVED:
        return _MOVED[path]
    source = ROOT / path
    inner, outer = next(((i, o) for i, o in _FOLDERS.items() if (path + "/").startswith(i)), ("", ""))
    name = outer + path[len(inner) :]
    if source.is_dir():
        return posixpath.join(name, "index.md")
    if source.name == "README.md":
        return posixpath.join(posixpath.dirname(name), "index.md")
    return name if source.suffix in _PICTURES | {".md"} else f"{name}.md"


def resolve(page: str, target: str) -> str | None:
    """The file of the repository that a link of a page leads to, without its anchor; none where there is no such file.

    A link to a folder leads to its `README.md`, if there is one.
    """
    name = unquote(target).partition("#")[0]
    if not name:
        return page
    folder = page if (ROOT / page).is_dir() else posixpath.dirname(page)
    path = posixpath.normpath(posixpath.join(folder, name))
    if path.startswith("..") or not (ROOT / path).exists():
        return None
    readme = posixpath.join(path, "README.md")
    return readme if (ROOT / readme).exists() else path


def link(page: str, target: str) -> str:
    """A link of a page of the repository as MkDocs wants it, from source to source; unchanged if it leads nowhere."""
    path = resolve(page, target)
    if path is None or target.startswith("#"):
        return target
    anchor = target.partition("#")[1:]
    return posixpath.relpath(place(path), posixpath.dirname(place(page)) or ".") + "".join(anchor)


@cache
def text(path: str) -> str:
    """The page of a file or a folder of the repository, as Markdown whose links count from there."""
    source = ROOT / path
    return source.read_text(encoding="utf-8") if source.suffix == ".md" else programs.page(path)


def is_listed(path: str) -> bool:
    """Whether the navigation must have a page: all that is written and all programs, not what is only linked to."""
    return path != INDEX and (path in _written() or (ROOT / path).is_dir())


def forget() -> None:
    """Read the files anew from now on, as they may have changed."""
    for function in (_written, pages, text):
        function.cache_clear()


def is_picture(path: str) -> bool:
    return Path(path).suffix in _PICTURES


def program_files() -> list[Path]:
    """The programs of `examples/`."""
    return [path for glob in _PROGRAMS for path in sorted(ROOT.glob(glob))]


@cache
def _written() -> dict[str, None]:
    files = [*(path for glob in _WRITTEN for path in sorted(ROOT.glob(glob))), *program_files()]
    return {path.relative_to(ROOT).as_posix(): None for path in files}


@cache
def pages() -> dict[str, str]:
    """The place of every page and picture, by its path in the repository: what is written, and what that links to."""
    waiting = [*_written()]
    found: dict[str, str] = {}
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found[path] = place(path)
        if not is_picture(path):
            waiting += filter(None, (resolve(path, target) for target in links(text(path))))
    return dict(sorted(found.items()))
