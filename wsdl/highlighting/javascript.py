"""The rules of colors with regular expressions of JavaScript: `playground/src/highlighting.json`."""

from __future__ import annotations

import json
import re

from wsdl.highlighting.patterns import Rule, regions

_LETTERS = r"\p{L}\p{M}\p{N}_"  # `\w` of JavaScript is that of ASCII alone
_EDGE = rf"(?:(?<=[{_LETTERS}])(?![{_LETTERS}])|(?<![{_LETTERS}])(?=[{_LETTERS}]))"


def javascript() -> str:
    """The rules of each region as JSON; the patterns are for single lines and the flag `u`."""
    return json.dumps({region: [_rule(rule) for rule in rules] for region, rules in regions().items()}, indent=1) + "\n"


def _rule(rule: Rule) -> dict[str, object]:
    entry: dict[str, object] = {"pattern": _pattern(rule.pattern), "kinds": rule.kinds}
    return entry | ({"push": rule.push} if rule.push else {}) | ({"pop": True} if rule.pop else {})


def _pattern(pattern: str) -> str:
    pattern = pattern.replace(r"(?=[\r\n])", "$").replace(r"[^\W\d]", r"[\p{L}_]").replace(r"\"", '"')
    in_classes = re.sub(r"\[(?:\\.|[^\]\\])*\]", lambda match: match[0].replace(r"\w", _LETTERS), pattern)
    return in_classes.replace(r"\w", f"[{_LETTERS}]").replace(r"\b", _EDGE)
