"""The parser that Lark generates from `grammar/wsdl.lark`.

Computing its tables takes longer than checking a small file, so they are cached between runs: as JSON, not as Lark's
pickle, so that loading a cache that someone else wrote can't run code. A missing or damaged cache only costs time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import lark
from lark.grammar import Rule
from lark.lexer import TerminalDef

INSTALLED = Path(__file__).parents[1] / "_grammar" / "wsdl.lark"
CHECKOUT = Path(__file__).parents[2] / "grammar" / "wsdl.lark"
STARTS = ["declaration", "statements"]


def grammar_path() -> Path:
    """The grammar file, in an installed wheel or in a checkout."""
    return INSTALLED if INSTALLED.exists() else CHECKOUT


def make_parser(builder: object) -> lark.Lark:
    """A parser that calls the methods of `builder` that have the names of the rules."""
    grammar = grammar_path().read_text(encoding="utf-8")
    cache = _cache_file(grammar)
    if cache is not None:
        try:
            data, memo = _with_integer_keys(json.loads(cache.read_text(encoding="utf-8")))
            loaded: lark.Lark = lark.Lark._load_from_dict(  # type: ignore[no-untyped-call] # lark gives it no types
                data, memo, transformer=builder
            )
            return loaded
        except Exception:  # absent, cut short, or written by something else: compute the tables again
            pass
    parser = lark.Lark(grammar, parser="lalr", start=STARTS, keep_all_tokens=True, transformer=builder)
    if cache is not None:
        _keep(parser, cache)
    return parser


def _cache_file(grammar: str) -> Path | None:
    """The cache file for this grammar, version of Lark and version of Python."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not base or not os.path.isabs(base):
        return None
    key = hashlib.sha256(repr((grammar, lark.__version__, sys.version_info[:2])).encode()).hexdigest()
    return Path(base) / "wsdl" / f"grammar-{key[:16]}.json"


def _keep(parser: lark.Lark, cache: Path) -> None:
    """Write the tables atomically: a reader sees all of them or none."""
    data, memo = parser.memo_serialize([TerminalDef, Rule])
    data["options"] = {k: v for k, v in data["options"].items() if k in ("parser", "lexer", "start", "keep_all_tokens")}
    temporary = None
    try:
        cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=cache.parent, prefix=".grammar-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"data": data, "memo": memo}, file)
        os.replace(temporary, cache)
    except (OSError, TypeError, ValueError):  # no home, no space, or tables that are not plain data
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _with_integer_keys(cached: dict[str, Any]) -> tuple[dict[str, Any], dict[int, Any]]:
    """The data and the memo of a parser; the integer keys of their tables became strings in JSON."""
    data, tables = cached["data"], cached["data"]["parser"]["parser"]
    tables["tokens"] = _by_integer(tables["tokens"])
    tables["states"] = {int(state): _by_integer(actions) for state, actions in tables["states"].items()}
    return data, _by_integer(cached["memo"])


def _by_integer(table: dict[str, Any]) -> dict[int, Any]:
    return {int(key): value for key, value in table.items()}
