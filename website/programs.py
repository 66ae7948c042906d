"""Pages of what isn't written in Markdown: programs, notebooks, other source files, folders."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from pygments.lexers import find_lexer_class_for_filename

from website import ROOT
from website.markdown import title

_DOCUMENTED = re.compile(r"^((?:## .*\n)+)(?=model )", re.MULTILINE)
_UNSEARCHED = "---\nsearch:\n  exclude: true\n---\n\n"


def page(path: str) -> str:
    """The page of a file or a folder, as Markdown whose links count from there."""
    source = ROOT / path
    if source.is_dir():
        return _folder(source)
    content = source.read_text(encoding="utf-8")
    if source.suffix == ".wsd":
        return _program(source, content)
    if source.suffix == ".ipynb":
        return _notebook(source, content)
    lexer = find_lexer_class_for_filename(source.name)
    return f"{_UNSEARCHED}# {source.name}\n\n`{path}`\n\n{_block(lexer.aliases[0] if lexer else 'text', content)}"


def _block(language: str, content: str) -> str:
    fence = "`" * max([3, *(len(ticks) + 1 for ticks in re.findall(r"`+", content))])
    return f"{fence}{language}\n{content.rstrip()}\n{fence}\n"


def _program(source: Path, content: str) -> str:
    """What its first model says of itself, its row in the table of its folder, the program and its picture."""
    documented = _DOCUMENTED.search(content)
    said = re.sub(r"^## ?", "", documented[1], flags=re.MULTILINE) + "\n" if documented else ""
    return f"# {source.name}\n\n{said}{_row(source)}{_block('wsd', content)}{_picture(source)}"


def _row(source: Path) -> str:
    """The row of a program in the README of its folder without the name, and the head of the table."""
    readme = source.parent / "README.md"
    lines = readme.read_text(encoding="utf-8").split("\n") if readme.exists() else []
    named = f"| [`{source.name}`]({source.name}) |"
    for at, line in enumerate(lines):
        if line.startswith(named):
            head = at
            while lines[head - 1].startswith("|"):
                head -= 1
            shown = [lines[head], lines[head + 1], line]
            return "\n".join("|" + row.split("|", 2)[2] for row in shown) + "\n\n"
    return ""


def drawn_at(program: Path) -> Path:
    """Where `python -m website.pictures` draws a program."""
    return ROOT / "build" / "pictures" / program.relative_to(ROOT).with_suffix(".svg")


def _picture(source: Path) -> str:
    """The picture of a program, if there is one: of `python -m website.pictures`, or for a page of `docs/`."""
    drawn = [drawn_at(source)]
    if source.parent == ROOT / "examples":
        drawn.append(ROOT / "docs" / "pictures" / f"{source.stem}.svg")
    path = next((path for path in drawn if path.exists()), None)
    return f"\n![The picture of {source.name}]({os.path.relpath(path, source.parent)})\n" if path else ""


def _notebook(source: Path, content: str) -> str:
    parts = []
    for cell in json.loads(content)["cells"]:
        text = "".join(cell["source"])
        language = "wsd" if text.startswith("%%wsdl") else "python"
        parts.append(text + "\n" if cell["cell_type"] == "markdown" else _block(f"{language} fragment", text))
    return "\n".join(parts)


def _folder(source: Path) -> str:
    """A table of its pages or programs, each with its title or what its first model says of itself."""
    rows = []
    for path in sorted(source.iterdir()):
        if path.suffix == ".md":
            name, _, rest = title(path.read_text(encoding="utf-8")).partition(": ")
            rows.append(f"| [{name}]({path.name}) | {rest} |")
        elif path.suffix == ".wsd":
            documented = _DOCUMENTED.search(path.read_text(encoding="utf-8"))
            said = re.sub(r"\s*## ?", " ", documented[1]).strip() if documented else ""
            rows.append(f"| [`{path.name}`]({path.name}) | {said} |")
    return "\n".join([f"# {source.name.capitalize()}", "", "| page | about |", "|---|---|", *rows, ""])
