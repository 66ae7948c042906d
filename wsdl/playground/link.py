"""Links to the playground that carry a program, as in `#code=eNrL…`.

What stands behind `code=` is the text in UTF-8, compressed in the format of zlib (RFC 1950), in the URL-safe alphabet
of base64 without `=` at the end. No server sees it: a browser keeps what is behind the `#`.
"""

from __future__ import annotations

import base64
import binascii
import zlib

LONGEST = 8000  # characters; programs that pass links on cut off longer ones
_LARGEST = 1_000_000  # bytes of a text


def link(text: str, page: str = "") -> str | None:
    """The link to the playground at the URL `page` with this program in it; `None` if the program is too long."""
    code = base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")
    address = f"{page}#code={code}"
    return address if len(address) <= LONGEST else None


def program(fragment: str) -> str | None:
    """The program in the fragment of a link, which may begin with `#`; `None` if there is none, or not whole."""
    name, _, code = fragment.removeprefix("#").partition("=")
    if name != "code":
        return None
    unpacking = zlib.decompressobj()
    try:
        compressed = base64.b64decode(code + "=" * (-len(code) % 4), b"-_", validate=True)
        text = unpacking.decompress(compressed, _LARGEST).decode()
    except (binascii.Error, zlib.error, UnicodeDecodeError):
        return None
    return text if unpacking.eof else None
