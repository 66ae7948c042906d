"""Links to the playground, which `make playground` builds and the site then has in its folder `playground/`."""

from __future__ import annotations

import re

from website import ROOT
from wsdl.playground.link import link as link_to

FOLDER = ROOT / "build" / "playground"
_IMPORT = re.compile(r'^from "', re.MULTILINE)


def is_built() -> bool:
    return (FOLDER / "index.html").exists()


def link(program: str, base: str) -> str | None:
    """The link that opens a program in the playground, from a page whose folder of the site is `base`.

    None where the playground isn't built, where the program imports files, which a link doesn't carry, and where the
    link would be too long.
    """
    if not is_built() or _IMPORT.search(program):
        return None
    return link_to(program, f"{base}playground/index.html")
