"""Links to the playground, which `make playground` builds and the site then has in its folder `playground/`."""

from __future__ import annotations

from playground.imports import with_imports
from website import ROOT
from wsdl.playground.link import FIRST
from wsdl.playground.link import link as link_to

FOLDER = ROOT / "build" / "playground"


def is_built() -> bool:
    return (FOLDER / "index.html").exists()


def link(program: str, base: str, path: str = "") -> str | None:
    """The link that opens a program of the file with a path in the repository in the playground, from a page whose
    folder of the site is `base`.

    None where the playground isn't built, where the program imports files that aren't beside it, and where the link
    would be too long.
    """
    file = ROOT / path
    files = with_imports(file.name if file.suffix == ".wsd" else FIRST, program, file.parent) if is_built() else None
    if files is None:
        return None
    return link_to(files if len(files) > 1 else program, f"{base}playground/index.html")
