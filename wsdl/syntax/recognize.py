"""Recognizes, from the place where the parser got stuck, which mistake was made there."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from wsdl.diagnostics import Edit, Problems
from wsdl.diagnostics.span import Source, Span
from wsdl.syntax.mistakes import NAME, Mistake
from wsdl.syntax.stuck import STUCK

# The terminals of the grammar as messages call them. Words and signs not listed are shown as they are; operators and
# calls, which can follow any value, are not mentioned.
_PHRASES = {
    "_NEWLINE": "the end of the line",
    "$END": "the end of the line",
    "STRING": 'a string in `"`',
    "NAME": "a name",
    "ARROW": "`->`",
    "COLON": "`:`",
    "COMMA": "`,`",
    "DOT": "`.`",
    "EQUAL": "`=`",
    "LBRACE": "`{`",
    "LPAR": "`(`",
    "LSQB": "`[`",
    "RBRACE": "`}`",
    "RPAR": "`)`",
    "RSQB": "`]`",
    "RANGE": "`..`",
    "PIPE": "`|>`",
    "VBAR": "`|`",
    "ELLIPSIS": "`...`",
    "STAR": "`*`",
}
_BEGINS_VALUE = {"NUMBER", "STRING", "NAME", "LPAR", "LSQB", "TRUE", "FALSE", "NONE", "MINUS", "NOT", "SCAN"}
_FOLLOWS_VALUE = {
    *("AND", "OR", "NOT", "COMPARISON", "IN", "PLUS", "MINUS", "STAR", "DIVISION", "POWER", "PIPE"),
    *("DOT", "LPAR", "LSQB"),
}
_BEGINS_STATEMENT = {"LET", "SHARE", "LAYER", "FREEZE", "LOAD"}

# The form of a statement, by its first word.
_FORMS = {
    "let": "`let width = 64`",
    "layer": "`layer f = Dense(64)` or `layer blocks[12] = Block()`",
    "param": "`param weight: [units, d] = kaiming_uniform` or `param layer.weight = formula`",
    "state": "`state running_mean: [c] = zeros`",
    "shared": "`shared param templates: [bank, rows, columns]`",
    "share": "`share { encode.weight, decode.weight.T }` or `share as Delta(rank=8) { blocks[*].ffn }`",
    "freeze": "`freeze encoder, head.bias` or `freeze encoder eval`",
    "limit": "`limit params 100_000`",
    "require": '`require d % heads == 0, "heads must divide the width"`',
    "load": '`load "file.safetensors" into encoder except head { "name" -> path }` or `load online into target`',
    "from": '`from "./file.wsd" import Name`',
    "for": "`for i in 0..12 { … }`",
    "if": "`if condition { … } else { … }`",
    "scan": "`states = scan xt in x along t with h = zeros([n, d]) { … emit h }`",
    "block": "`block Name(configuration)(inputs) -> outputs { … }`",
    "model": "`model name(inputs) -> outputs { … }`",
    "train": "`train model(targets) { loss … optimizer … }` or `train name of model(targets) { … }`",
    "turns": "`turns { critic 5, maker 1 }`",
    "mix": "`mix { classify 2, tag 1 }`",
    "variant": "`variant name { share … freeze … }`",
    "loss": "`loss cross_entropy(logits, labels)`",
    "metric": "`metric accuracy = mean(argmax(logits, axis=-1) == labels)`",
    "optimizer": "`optimizer AdamW(lr=1e-3)`",
    "weight": "`weight balance = 0.1`",
    "lr": "`lr encoder, head.bias = 1e-4`",
    "carry": "`carry z = zeros([n, 64])`",
    "update": "`update target = 0.99 * target + 0.01 * online` or `update queue = … every 10`",
}
_LOOKALIKES = {
    **dict.fromkeys("“”„«»", 'strings are written in plain double quotes, `"`'),
    **dict.fromkeys("‘’`´'", 'strings are written in double quotes, `"`'),  # noqa: RUF001 - the wrong quotes
    **dict.fromkeys("→⇒", "an arrow is written `->`"),
    **dict.fromkeys("×·∙", "a product is written `*`"),
    **dict.fromkeys("−–—", "a minus sign is written `-`"),
    **dict.fromkeys("≤≥≠", "comparisons are written `<=`, `>=`, `!=`"),
    **dict.fromkeys("²³", "a power is written `** 2`"),
    **dict.fromkeys("\u00a0\u202f\u2007\u3000\u200b\u2060\ufeff", "an invisible character; replace it by a space"),
    "…": "dots are written `...`",
    "\\": "lines continue inside ( ) and [ ], and before a line that begins with `|>`",
    "$": "not used in the language",
}


@dataclass(frozen=True)
class Stuck:
    """Where the parser got stuck: the statement from `start` to `end`, the offset in it, and the terminals that the
    parser would have accepted."""

    source: Source
    text: str  # laid out, as the grammar reads it; the offsets are those of the source
    start: int
    end: int
    offset: int
    expected: Collection[str]
    top_level: bool

    @property
    def before(self) -> str:
        return self.text[self.start : self.offset]

    @property
    def after(self) -> str:
        """From the offset to the end of the statement, with the sign that ends it."""
        return self.text[self.offset : self.end + 1]

    @property
    def inside(self) -> str:
        """The innermost bracket that is open at the offset; `-` for none."""
        open_brackets = ["-"]
        for sign in re.findall(r'"(?:\\.|[^"\\])*"|[()\[\]{}]', self.before):
            if sign in "([{":
                open_brackets.append(sign)
            elif sign in ")]}" and len(open_brackets) > 1:
                open_brackets.pop()
        return open_brackets[-1]


def report(stuck: Stuck, problems: Problems) -> None:
    """Report the first mistake that matches."""
    for mistake in STUCK:
        marks = _match(mistake, stuck)
        if marks is not None:
            break
    else:
        raise AssertionError("the last mistake matches everything")
    start, end = marks.get("mark", _token(stuck))
    facts: dict[str, Any] = {name: stuck.text[slice(*span)].strip() for name, span in marks.items()}
    fix = []
    if facts.get("mark") in mistake.fixes:
        fix = [Edit(Span(stuck.source, start, end), mistake.fixes[facts["mark"]])]
    elif mistake.replacement:
        fix = [Edit(Span(stuck.source, start, end), mistake.replacement.format(**facts))]
    elif mistake.insert:
        behind = stuck.start + len(stuck.before.rstrip())
        fix = [Edit(Span(stuck.source, behind, behind), mistake.insert)]
    word = re.match(NAME, stuck.text[stuck.start : stuck.end].strip())
    form = _FORMS.get(word[0], "") if word else ""
    character = stuck.text[stuck.offset : stuck.offset + 1]
    if "{form}" in (mistake.help or "") and not form:
        mistake = replace(mistake, help=None)
    mistake.report(
        problems,
        Span(stuck.source, start, end),
        fix=fix,
        found=_found(stuck),
        expected=_expected(stuck.expected),
        form=f"it is written {form}",
        character=_named(character),
        advice=_LOOKALIKES.get(character, "not used in the language"),
        **facts,
    )


def _match(mistake: Mistake, stuck: Stuck) -> dict[str, tuple[int, int]] | None:
    """The spans of the named groups of a mistake's patterns, or `None` if one of its conditions doesn't hold."""
    if mistake.level and (mistake.level == "file") != stuck.top_level:
        return None
    if mistake.expects and not set(mistake.expects) & set(stuck.expected):
        return None
    if mistake.inside and stuck.inside not in mistake.inside:
        return None
    marks: dict[str, tuple[int, int]] = {}
    statement = stuck.text[stuck.start : stuck.end] + ("{" if stuck.text[stuck.end : stuck.end + 1] == "{" else "")
    indent = len(statement) - len(statement.lstrip())
    tried = (
        (mistake.statement, stuck.start + indent, stuck.start + len(statement), re.match),
        (mistake.before, stuck.start, stuck.offset, _match_end),
        (mistake.at, stuck.offset, stuck.end + 1, re.match),
    )
    for pattern, start, end, matcher in tried:
        if not pattern:
            continue
        match = matcher(pattern, stuck.text[start:end])
        if match is None:
            return None
        for name in match.groupdict():
            if match.start(name) >= 0:
                marks[name] = (start + match.start(name), start + match.end(name))
    return marks


def _match_end(pattern: str, text: str) -> re.Match[str] | None:
    return re.search(rf"(?:{pattern})\Z", text)


# -- words -------------------------------------------------------------------------------------------------------------


def _token(stuck: Stuck) -> tuple[int, int]:
    """The token at the offset; at the end of a line, the end of the text before it."""
    rest = stuck.text[stuck.offset :]
    match = re.match(rf'{NAME}|\d[\w.]*|"[^"\n]*"?|[=!<>]=|\*\*|//|->|\|>|\.+|[^ \t\r\n\f]', rest)
    if match is None:
        behind = stuck.start + len(stuck.before.rstrip())
        return behind, behind
    return stuck.offset, stuck.offset + match.end()


def _found(stuck: Stuck) -> str:
    start, end = _token(stuck)
    if start == end:
        return "end of the file" if not stuck.source.text[start:].strip() else "end of the line"
    return f"`{stuck.text[start:end]}`"


def _expected(expected: Collection[str]) -> str:
    """The accepted terminals in words: `a value`, "`,` or `)`"."""
    rest = set(expected) - {"PLACEHOLDER"}  # which is a name
    phrases = []
    if rest >= _BEGINS_STATEMENT:
        phrases.append("a statement" if "RETURN" in rest else "a declaration")
        rest -= {term for term in rest if term.isalpha() and term not in ("LBRACE", "RBRACE")} | {"_NEWLINE", "$END"}
    if "NUMBER" in rest:
        phrases.append("a value")
        rest -= _BEGINS_VALUE
    if "PLUS" in rest:
        rest -= _FOLLOWS_VALUE
    for term in sorted(rest, key=lambda term: (list(_PHRASES).index(term) if term in _PHRASES else -1, term)):
        phrase = _PHRASES.get(term, f"`{term.lower()}`")
        if phrase not in phrases:
            phrases.append(phrase)
    *first, last = phrases or ["something else"]
    return f"{', '.join(first)} or {last}" if first else last


def _named(character: str) -> str:
    """A character, with its Unicode name if it may be invisible or look like another one."""
    if not character:
        return "the end"
    if character.isascii() and character.isprintable():
        return f"`{character}`"
    name = unicodedata.name(character, "").lower() or f"U+{ord(character):04X}"
    return f"`{character}` ({name})" if character.isprintable() else name
