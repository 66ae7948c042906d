"""The TextMate grammar, which VS Code and Shiki read: `editors/vscode/syntaxes/wsdl.tmLanguage.json`."""

from __future__ import annotations

import json
from typing import Any

from wsdl.highlighting.patterns import Rule, regions

_SCOPES = {
    "documentation": "comment.line.documentation",
    "comment": "comment.line.number-sign",
    "string": "string.quoted.double",
    "escape": "constant.character.escape",
    "placeholder": "variable.parameter.placeholder",
    "number": "constant.numeric",
    "keyword": "keyword.control",
    "word operator": "keyword.operator.word",
    "constant": "constant.language",
    "type": "storage.type",
    "declared": "entity.name.type",
    "layer": "variable.other.layer",
    "dimension": "variable.parameter.dimension",
    "field": "variable.other.member",
    "argument": "variable.parameter",
    "standard block": "support.class",
    "block": "entity.name.type",
    "operation": "support.function",
    "function": "entity.name.function",
    "name": "variable.other",
    "pipe": "keyword.operator.pipe",
    "arrow": "keyword.operator.arrow",
    "operator": "keyword.operator",
    "punctuation": "punctuation",
}


def textmate() -> str:
    """The grammar as JSON."""
    repository = {
        region: {"patterns": [_pattern(rule) for rule in rules if not rule.pop]} for region, rules in regions().items()
    }
    grammar = {
        "$comment": "Written by `make golden` from wsdl/highlighting/patterns.py",
        "name": "WSDL",
        "scopeName": "source.wsdl",
        "fileTypes": ["wsd"],
        "patterns": [{"include": "#program"}],
        "repository": repository,
    }
    return json.dumps(grammar, indent=2) + "\n"


def _pattern(rule: Rule) -> dict[str, Any]:
    if not rule.push:
        return {"match": rule.pattern, **_captures("captures", rule)}
    [end] = [rule for rule in regions()[rule.push] if rule.pop]
    whole = {"name": _scope("string")} if rule.push == "string" else {}
    return {
        **whole,
        "begin": rule.pattern,
        **_captures("beginCaptures", rule),
        "end": end.pattern.replace(r"(?=[\r\n])", "$"),  # a TextMate grammar sees one line at a time
        **_captures("endCaptures", end),
        "patterns": [{"include": f"#{rule.push}"}],
    }


def _captures(key: str, rule: Rule) -> dict[str, Any]:
    """The scopes of the groups, or of the whole match."""
    if len(rule.kinds) == 1:
        [kind] = rule.kinds
        return {"name": _scope(kind)} if key == "captures" else {key: {"0": {"name": _scope(kind)}}}
    scopes = {str(group): {"name": _scope(kind)} for group, kind in enumerate(rule.kinds, 1) if kind != "space"}
    return {key: scopes}


def _scope(kind: str) -> str:
    return f"{_SCOPES[kind]}.wsdl"
