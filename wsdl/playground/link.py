"""Links to the playground that carry a program, as in `#code=eNrL…` or `#files=eNqr…`.

What stands behind `code=` is the text of one file in UTF-8, behind `files=` a JSON object of texts by file name, of
which the first is shown; compressed in the format of zlib (RFC 1950), in the URL-safe alphabet of base64 without `=` at
the end. No server sees it: a browser keeps what is behind the `#`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Mapping

LONGEST = 8000  # characters; programs that pass links on cut off longer ones
NAME = re.compile(r"[\w-]+(\.[\w-]+)*\.wsd")  # of a file
FIRST = "program.wsd"  # the name of a file that has none
_LARGEST = 1_000_000  # bytes of a text


def link(program: str | Mapping[str, str], page: str = "") -> str | None:
    """The link to the playground at the URL `page` with this program in it, a text or several by the names of their
    files; `None` if the program is too long."""
    kind, text = ("code", program) if isinstance(program, str) else ("files", json.dumps(dict(program)))
    code = base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")
    address = f"{page}#{kind}={code}"
    return address if len(address) <= LONGEST else None


def files(fragment: str) -> dict[str, str] | None:
    """The files in the fragment of a link, which may begin with `#`; `None` if there are none, or not whole."""
    kind, _, code = fragment.removeprefix("#").partition("=")
    if kind not in ("code", "files"):
        return None
    unpacking = zlib.decompressobj()
    try:
        compressed = base64.b64decode(code + "=" * (-len(code) % 4), b"-_", validate=True)
        text = unpacking.decompress(compressed, _LARGEST).decode()
        found = {FIRST: text} if kind == "code" else json.loads(text)
    except (binascii.Error, zlib.error, ValueError):
        return None
    return found if unpacking.eof and _are_files(found) else None


def _are_files(found: object) -> bool:
    if not isinstance(found, dict) or not found:
        return False
    return all(NAME.fullmatch(name) and isinstance(text, str) for name, text in found.items())
