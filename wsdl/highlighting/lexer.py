"""The lexer for Pygments, which Sphinx, MkDocs and many others color code with."""

from __future__ import annotations

from typing import Any, ClassVar

from pygments.lexer import RegexLexer, bygroups
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Whitespace

from wsdl.highlighting.patterns import Rule, regions

TOKENS = {
    "documentation": String.Doc,
    "comment": Comment.Single,
    "string": String.Double,
    "escape": String.Escape,
    "placeholder": String.Interpol,
    "number": Number,
    "keyword": Keyword,
    "word operator": Operator.Word,
    "constant": Keyword.Constant,
    "type": Keyword.Type,
    "declared": Name.Class,
    "layer": Name.Variable.Instance,
    "dimension": Name.Constant,
    "field": Name.Attribute,
    "argument": Name.Variable,
    "standard block": Name.Builtin,
    "block": Name.Class,
    "operation": Name.Builtin,
    "function": Name.Function,
    "name": Name,
    "pipe": Operator,
    "arrow": Operator,
    "operator": Operator,
    "punctuation": Punctuation,
    "space": Whitespace,
}


def _state(rules: tuple[Rule, ...]) -> list[tuple[Any, ...]]:
    return [*((rule.pattern, _action(rule), *_next(rule)) for rule in rules), (r"\s+", Whitespace)]


def _action(rule: Rule) -> Any:
    tokens = [TOKENS[kind] for kind in rule.kinds]
    return tokens[0] if len(tokens) == 1 else bygroups(*tokens)


def _next(rule: Rule) -> tuple[str, ...]:
    if rule.pop:
        return ("#pop",)
    return (rule.push,) if rule.push else ()


class WsdlLexer(RegexLexer):  # type: ignore[misc] # Pygments has no types
    """The lexer for programs in WSDL."""

    name = "WSDL"
    aliases: ClassVar[list[str]] = ["wsdl", "wsd"]
    filenames: ClassVar[list[str]] = ["*.wsd"]
    version_added = ""
    tokens: ClassVar[dict[str, Any]] = {
        "root" if region == "program" else region: _state(rules) for region, rules in regions().items()
    }
