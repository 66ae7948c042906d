"""How programs are colored: kinds of tokens and the regular expressions that find them, the first that matches.

Python's `re` and Oniguruma, which reads TextMate grammars, take these expressions alike: look-behinds have a fixed
width.
Words that are keywords only in their places are told by what stands beside them, as no parser runs here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

from wsdl.highlighting.words import words

NAME = r"[^\W\d]\w*"
# A contextual word is a keyword where a name, a string or a number follows. Besides:
BEFORE_BRACKETS = ("freeze", "from", "load", "loss", "mix", "require", "train", "turns", "until")  # first in a line
LAST_IN_LINE = ("eval", "except", "nodecay", "train")
AFTER_PER = ("group", "member")
# Where one of these follows, the word before it is a name: `freeze weight eval`, `update weight all = …`.
INFIX = ("all", "along", "as", "at", "eval", "every", "except", "fit", "in", "into", "nodecay", "of", "per", "with")


@dataclass(frozen=True)
class Rule:
    """`kinds` are those of the groups of `pattern`, of all of it where it has none. The rules of the region `push` hold
    behind the match, until one with `pop`."""

    pattern: str
    kinds: tuple[str, ...]
    push: str = ""
    pop: bool = False


@cache
def regions() -> dict[str, tuple[Rule, ...]]:
    """The rules of each region; a text begins in `program`. White space in front of a match is skipped."""
    plain = (
        Rule(r"##.*", ("documentation",)),
        Rule(r"#.*", ("comment",)),
        Rule(r'"', ("string",), push="string"),
        Rule(r"\d+(?:_\d+)*(?:\.\d+(?:_\d+)*)?(?:[eE][+-]?\d+)?(?!\w)", ("number",)),
    )
    signs = (
        Rule(r"\|>", ("pipe",)),
        Rule(r"->", ("arrow",)),
        Rule(r"==|!=|<=|>=|\*\*|//|\.\.\.|\.\.|[-+*/%@<>=|]", ("operator",)),
        Rule(r"[()\[\]{},.:]", ("punctuation",)),
    )
    shape = (
        *plain,
        Rule(r"\]", ("punctuation",), pop=True),
        Rule(r"\[", ("punctuation",), push="shape"),
        Rule(rf"{NAME}(?=\()", ("function",)),
        Rule(NAME, ("dimension",)),
        *signs,
    )
    string = (
        Rule(r'"|(?=[\r\n])', ("string",), pop=True),
        Rule(r"\\.", ("escape",)),
        Rule(rf"\{{{NAME}(?:\.\.\.)?\}}", ("placeholder",)),
        Rule(r'[^"\\{\r\n]+|[{\\]', ("string",)),
    )
    return {"program": (*plain, *_named(), *signs), "shape": shape, "string": string}


def _named() -> tuple[Rule, ...]:
    """The rules for names, keywords and types in a program."""
    known = words()
    types, functions = _any(known["types"]), _any(known["functions"])
    operators, contextual = _any(known["operators"]), _any(known["contextual"])
    infix = _any({*INFIX, *known["operators"], "if", "else", "for"})
    placeholder = rf"\w*(?:\{{{NAME}(?:\.\.\.)?\}}\w*)+"
    ends_value = r"[ \t]*(?:$|[,)]|per\b|nodecay\b)"
    return (
        Rule(rf"(?<=\.)(?<!\.\.){placeholder}|(?<=-> ){placeholder}", ("placeholder",)),
        Rule(rf"(?<=\.)(?<!\.\.){NAME}", ("field",)),
        Rule(rf"(->|:)([ \t]*)({types})?(\[)", ("arrow", "space", "type", "punctuation"), push="shape"),
        Rule(rf"({_any(('block', 'model', 'train'))})([ \t]+)({NAME})(?=[ \t]*(?:\(|of\b))", _DECLARES),
        Rule(rf"(variant)([ \t]+)({NAME})(?=[ \t]*\{{)", _DECLARES),
        Rule(rf"(layer)([ \t]+)({NAME})(?=[ \t]*(?:=|\[))", ("keyword", "space", "layer")),
        Rule(_any(known["constants"]), ("constant",)),
        Rule(operators, ("word operator",)),
        Rule(_any(known["reserved"]), ("keyword",)),
        Rule(rf"(?<=per ){_any(AFTER_PER)}", ("keyword",)),
        Rule(rf"(?<![\w.]){contextual}(?=[ \t]+(?!{infix})[\w\"])", ("keyword",)),
        Rule(rf'{_any(BEFORE_BRACKETS)}(?=[ \t]*["{{]|[ \t]+(?:[\[(]|-\w|not\b))', ("keyword",)),
        Rule(rf"{_any({*INFIX} - {*LAST_IN_LINE, 'all'})}(?=[ \t]+(?:[\[(]|-\w))", ("keyword",)),
        Rule(rf"(?<=[\w\])] )(?<!return )(?<!emit ){_any(LAST_IN_LINE)}(?=[ \t]*$)", ("keyword",)),
        Rule(r"(?<=[\w\])] )(?<!let )(?<!layer )all(?=[ \t]+=)", ("keyword",)),
        Rule(rf"(?<=[:|] ){types}(?![\w(.])", ("type",)),
        Rule(rf"(?<![\w.]){_any(set(known['types']) - set(known['contextual']))}(?=[ \t]*[\[,)])", ("type",)),
        Rule(rf"(?<=[(, ]){NAME}(?==(?!=))", ("argument",)),
        Rule(_any(known["blocks"]), ("standard block",)),
        Rule(r"[A-Z]\w*[a-z]\w*", ("block",)),
        Rule(rf"(?:(?<=\|> )|(?<== )(?=\w+{ends_value})|(?=\w+\()){functions}", ("operation",)),
        Rule(rf"{NAME}(?=\()", ("function",)),
        Rule(NAME, ("name",)),
    )


_DECLARES = ("keyword", "space", "declared")


def _any(members: Collection[str]) -> str:
    """An expression for each of these words, whole."""
    return rf"\b(?:{'|'.join(sorted(members))})\b"
