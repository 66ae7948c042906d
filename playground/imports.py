"""The files of a program: the page has those that stand in one folder."""

from __future__ import annotations

import re
from pathlib import Path

from wsdl.playground.link import NAME

_IMPORT = re.compile(r'^from "(?:\./)?([^"]*)"', re.MULTILINE)


def with_imports(name: str, text: str, folder: Path) -> dict[str, str] | None:
    """The texts of a program and of all files that it imports from a folder, by name, its own first; `None` if one of
    them isn't there."""
    texts, new = {name: text}, [text]
    while new:
        for imported in _IMPORT.findall(new.pop()):
            if imported in texts:
                continue
            if not NAME.fullmatch(imported) or not (folder / imported).is_file():
                return None
            texts[imported] = (folder / imported).read_text("utf-8")
            new.append(texts[imported])
    return texts
