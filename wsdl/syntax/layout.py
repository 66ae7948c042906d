"""Comments, line breaks and brackets, which are handled before the grammar reads a text.

The result is a text of the same length, so that offsets stay valid: comments, and line breaks that end no statement,
become spaces. It is cut into chunks, one for each declaration, so that an error in one doesn't hide those in others.
Inside a chunk the separators (line breaks that end a statement, braces around statements) tell how much to skip when a
statement is wrong.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from wsdl.diagnostics import Edit, Label, Problems, limits
from wsdl.diagnostics.span import Source, Span
from wsdl.syntax import mistakes
from wsdl.syntax.tree import Comment

_TOKEN = re.compile(
    r"""
      (?P<newline>\n)
    | (?P<comment>\#[^\r\n]*)
    | (?P<docstring>\"{3}[\s\S]*?(?:\"{3}|\Z))
    | (?P<string>"(?:\\.|[^"\\\r\n])*"?)
    | (?P<quoted>'(?:\\.|[^'\\\r\n])*')
    | (?P<foreign>/\*[\s\S]*?(?:\*/|\Z)|^[ \t]*//[^\r\n]*)
    | (?P<placeholder>(?:\.|->[ \t]*)\w*(?:\{[^\W\d]\w*(?:\.{3})?\}\w*)+)
    | (?P<bracket>[()\[\]{}])
    | (?P<semicolon>;[ \t]*)
    | (?P<word>[^\W\d]\w*)
    | (?P<other>\d[\w]*|/|\.+|[^\s\w"'\#()\[\]{};/.]+|['])
    """,
    re.VERBOSE | re.MULTILINE,
)
_OPERATORS = frozenset(("=", "+", "-", "*", "/", "%", "@", "**", "//", "|>", "and", "or", "not")) | {
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
}
_CLOSING = {"(": ")", "[": "]", "{": "}"}
# A line that begins like this begins a statement, whatever bracket is open before it; `for` without `{`, or with an
# unmatched `]` before that, is of a list.
_STATEMENT = re.compile(
    r"(?:let|param|share|if|return|emit)\b(?!\s*[=,)])|for\b(?:[^\n\[\]]|\[[^\n\[\]]*\])*\{"
    r"|(?:layer|state|limit|metric|weight)\s+[^\W\d]\w*\s*[\[=:]|(?:block|model|train|optimizer)\s+[^\W\d]\w*\s*\("
    r"|train\s+[^\W\d]\w*\s+of\s+[^\W\d]\w*\s*\(|(?:turns|mix|variant\s+[^\W\d]\w*)\s*\{|(?:from|load)\s*\"|load\s*\[\s*\"|loss\s+(?!(?:and|or|for|except)\b)[^\W\d]"
)
_DECLARATION = re.compile(
    r"(?:block|model|train)\s+[^\W\d]\w*\s*(?:of\s+[^\W\d]\w*\s*)?\(|(?:turns|mix|variant\s+[^\W\d]\w*)\s*\{"
)
_ASSIGNMENT = re.compile(r"[^\W\d]\w*\s*=(?!=)")
# A brace that begins a dictionary or a set of another language, not a body of statements.
_COLLECTION = re.compile(r"""\{\s*(?:\}|\*\*|(?:"[^"\n]*"|'[^'\n]*'|[\w.]+)\s*(?:[:,}]|for\b))""")


@dataclass
class Chunk:
    """The text of one declaration, as offsets in the source."""

    start: int
    end: int = 0
    missing: str = ""  # braces that the author forgot at the end
    separators: list[int] = field(default_factory=list)
    pairs: dict[int, int] = field(default_factory=dict)  # opening brace -> closing brace
    faults: list[int] = field(default_factory=list)  # offsets of statements already reported
    hopeless: bool = False  # not parsed at all
    tokens: int = 0  # in the longest statement
    branches: int = 0  # how often it contains `else`
    indent: int = 0

    def statement_at(self, offset: int) -> tuple[int, int]:
        """The statement, or the head of one, around an offset: from behind a separator up to the next one."""
        index = bisect_left(self.separators, offset)
        start = self.separators[index - 1] + 1 if index else self.start
        return start, self.separators[index] if index < len(self.separators) else self.end


@dataclass
class Layout:
    text: str
    comments: tuple[Comment, ...]
    chunks: list[Chunk]


@dataclass
class _Bracket:
    sign: str
    start: int
    indent: int  # of its line
    group: bool  # the braces of `share`, `turns` and `mix`, which contain no statements
    collection: bool  # those of a dictionary or a set, which the language doesn't have

    @property
    def closes_lines(self) -> bool:
        """Whether no statement can begin inside."""
        return self.group or self.collection or self.sign != "{"


def read(source: Source, problems: Problems) -> Layout:
    """Lay out a text; reports brackets that don't match, and comments and quotes of other languages."""
    reader = _Reader(source, problems)
    reader.run()
    return reader.layout()


def words(source: Source) -> Iterator[Span]:
    """The words of a text, outside of comments and closed strings."""
    for token in _TOKEN.finditer(source.text):
        if token.lastgroup == "word" or (token.lastgroup == "string" and _is_open(token[0])):
            for word in re.finditer(r"[^\W\d]\w*", token[0]):
                yield Span(source, token.start() + word.start(), token.start() + word.end())


class _Reader:
    def __init__(self, source: Source, problems: Problems) -> None:
        self.source = source
        self.text = source.text
        self.problems = problems
        self.comments: list[Comment] = []
        self.replaced: list[tuple[int, int, str]] = []
        self.chunks: list[Chunk] = []
        self.chunk: Chunk | None = None
        self.stack: list[_Bracket] = []
        self.newlines: list[int] = []  # since the last token
        self.line_start = 0
        self.indent = 0
        self.previous = ""  # the last token
        self.first = ""  # the first word of the statement
        self.tokens = 0
        self.suspects: list[_Bracket] = []

    def run(self) -> None:
        if self.text.startswith("\ufeff"):
            self._blank(0, 1)
        for count, match in enumerate(_TOKEN.finditer(self.text)):
            if len(self.problems) >= limits.PROBLEMS:
                return
            kind, start, end = match.lastgroup, match.start(), match.end()
            if count == limits.TOKENS:
                self._too_long(start, end)
                return
            if kind == "newline":
                self.newlines.append(start)
                self.line_start = end
            elif kind == "comment":
                self.comments.append(Comment(Span(self.source, start, end), match[0].rstrip()))
                self._blank(start, end)
            elif kind == "foreign":
                mistakes.FOREIGN_COMMENT.report(self.problems, self._span(end - len(match[0].lstrip()), end))
                self._blank(start, end)
            elif kind == "docstring":
                mistakes.DOCSTRING.report(self.problems, self._span(start, end))
                self._blank(start, end)
            elif kind == "semicolon":
                self._semicolon(start, end)
            else:
                self._token(kind or "", match[0], start, end)
        self._settle_newlines("", len(self.text))
        self._end_of_text()

    def _too_long(self, start: int, end: int) -> None:
        self.problems.error(
            "E0602",
            self._span(start, end),
            f"the file has more than {limits.TOKENS:,} tokens",
            "the limit is exceeded here",
            help="repeat layers with arrays and `for`; store weights in a .safetensors file and `load` it",
        )
        self.chunks.clear()

    def layout(self) -> Layout:
        pieces, done = [], 0
        for start, end, text in sorted(self.replaced):
            pieces += [self.text[done:start], text]
            done = end
        pieces.append(self.text[done:])
        return Layout("".join(pieces), tuple(self.comments), self.chunks)

    # -- one token -----------------------------------------------------------------------------------------------------

    def _token(self, kind: str, text: str, start: int, end: int) -> None:
        if self.newlines or not self.previous:
            self.indent = len(self.text[self.line_start : start].expandtabs(4))
        if self.newlines:
            self._settle_newlines(text, start)
        if self.chunk is None:
            self.chunk = Chunk(start, indent=self.indent)
            self.chunks.append(self.chunk)
        if kind == "bracket":
            self._bracket(text, start)
        elif kind == "string" and _is_open(text):
            mistakes.OPEN_STRING.report(self.problems, self._span(start, end))
            self.chunk.faults.append(start)
        elif kind == "quoted":
            self._single_quotes(start, end)
        if not self.first:
            self.first = text
        self.previous = text
        self.tokens += len(text) if kind == "other" else 1
        self.chunk.branches += text == "else"
        self.chunk.end = end
        self.chunk.tokens = max(self.chunk.tokens, self.tokens)

    def _settle_newlines(self, text: str, start: int) -> None:
        """Decide, now that the next token is known, whether the line breaks before it end a statement."""
        newlines, self.newlines = self.newlines, []
        if self.stack and self.stack[-1].closes_lines:
            if not self._begins_statement(start):
                if not self.stack[-1].group:
                    self._blank_each(newlines)
                return
            self._unclosed(start)
        if text.startswith("|>") and self.previous:
            self._blank_each(newlines)
            return
        if newlines and self._seems_to_go_on(text, start):
            end = self.chunk.end if self.chunk else start
            mistakes.LINE_GOES_ON.report(self.problems, self._span(end - len(self.previous), end), sign=self.previous)
            self._blank_each(newlines)
            return
        if self.stack and self.indent <= self.stack[0].indent and _DECLARATION.match(self.text, start):
            self._forgotten_braces()
        if self.chunk is not None and newlines:
            if self.stack:
                self._separator(newlines[0])
            else:
                self._end_chunk()

    def _seems_to_go_on(self, text: str, start: int) -> bool:
        """Whether the line before ends with an operator and this one begins with a value."""
        if self.previous not in _OPERATORS or not re.match(r"[\w(\[\"-]", text):
            return False
        return not (_STATEMENT.match(self.text, start) or _ASSIGNMENT.match(self.text, start))

    def _begins_statement(self, start: int) -> bool:
        """Whether a line inside ( ), [ ] or share { } can only be a new statement."""
        if _STATEMENT.match(self.text, start):
            return True
        if not _ASSIGNMENT.match(self.text, start):
            return False
        opening = self.stack[-1]
        if opening.sign != "(" and not opening.collection:
            return True
        return self.previous not in ("(", ",") and self.indent <= opening.indent

    def _single_quotes(self, start: int, end: int) -> None:
        """Report single quotes, and continue as if they were double quotes."""
        inside = self.text[start + 1 : end - 1]
        if not (self.stack and self.stack[-1].collection):  # which is reported
            fix = [Edit(self._span(start, start + 1), '"'), Edit(self._span(end - 1, end), '"')]
            mistakes.SINGLE_QUOTES.report(self.problems, self._span(start, end), fix=[] if '"' in inside else fix)
        self.replaced.append((start, end, '"' + inside.replace('"', "'") + '"'))

    def _semicolon(self, start: int, end: int) -> None:
        """Report a semicolon, and read it as the end of a line."""
        last = end == len(self.text) or self.text[end] in "\r\n#"
        sign = self._span(start, start + 1)
        mistakes.SEMICOLON.report(self.problems, sign, fix=[Edit(sign, "")] if last else [])
        self.replaced.append((start, start + 1, " "))
        if not (self.stack and self.stack[-1].sign in "([") and not last and self.previous:
            self.replaced[-1] = (start, start + 1, "\n")
            self.newlines.append(start)

    # -- brackets ------------------------------------------------------------------------------------------------------

    def _bracket(self, sign: str, start: int) -> None:
        assert self.chunk is not None
        if sign in "([{":
            collection = sign == "{" and self._begins_collection(start)
            if sign == "{" and not collection and self.stack and self.stack[-1].closes_lines:
                self._unclosed(start)
            group = sign == "{" and self.first in ("share", "turns", "mix")
            self.stack.append(_Bracket(sign, start, self.indent, group, collection))
            if len(self.stack) == limits.DEPTH + 1 and not self.chunk.hopeless:
                mistakes.TOO_DEEP.report(self.problems, self._span(start, start + 1), limit=limits.DEPTH)
                self.chunk.hopeless = True
            if sign == "{" and not group and not collection:
                self._separator(start)
            return
        if sign == "}" and self.stack and self.stack[-1].sign in "([":
            self._unclosed(start)
        if not self.stack:
            mistakes.UNOPENED.report(self.problems, self._span(start, start + 1), sign=sign)
            self._stray_brace(start) if sign == "}" else self.chunk.faults.append(start)
            return
        opening = self.stack[-1]
        if _CLOSING[opening.sign] != sign:
            if opening.sign == "{":  # an unmatched `)` or `]`
                mistakes.UNOPENED.report(self.problems, self._span(start, start + 1), sign=sign)
                self.chunk.faults.append(start)
                return
            here = Label(self._span(opening.start, opening.start + 1), "opened here")
            mistakes.WRONG_CLOSING.report(
                self.problems,
                self._span(start, start + 1),
                labels=[here],
                fix=[Edit(self._span(start, start + 1), _CLOSING[opening.sign])],
                sign=sign,
                opening=opening.sign,
                closing=_CLOSING[opening.sign],
            )
            self.chunk.faults.append(start)
        self.stack.pop()
        if sign == "}" and opening.sign == "{":
            if not opening.closes_lines:
                self._separator(start)
            self.chunk.pairs[opening.start] = start
            if not self.text[self.line_start : start].strip() and self.indent < opening.indent:
                self.suspects.append(opening)

    def _begins_collection(self, start: int) -> bool:
        """Whether a brace is that of a dictionary or a set: in the place of a value, with values inside."""
        inside = bool(self.stack) and self.stack[-1].closes_lines
        after = ("=", "(", "[", ",", ":", "{") if inside else ("=", "return", "emit")
        is_value = self.previous in after and self.first not in ("block", "model", "train", "variant", "share")
        return is_value and _COLLECTION.match(self.text, start) is not None

    def _stray_brace(self, start: int) -> None:
        """An unmatched `}`: skip the pieces of text that it separated, whose errors would be misleading."""
        assert self.chunk is not None
        self.chunk.hopeless = True
        for chunk in reversed(self.chunks[:-1]):
            if re.match(r"block|model", self.text[chunk.start :]):
                break
            if not re.match(r"(let|layer|share|freeze|load|from)\b", self.text[chunk.start : chunk.start + 7]):
                chunk.hopeless = True

    def _unclosed(self, start: int) -> None:
        """Report the ( and [ that are open where a statement or a brace begins; continue as if they were closed."""
        assert self.chunk is not None
        innermost = self.stack[-1]
        while self.stack and self.stack[-1].closes_lines:
            self.chunk.faults.append(self.stack.pop().start)
        if not self.chunk.hopeless:
            self._report_unclosed(innermost, start)

    def _forgotten_braces(self) -> None:
        """A declaration begins inside an open one: close that one, and report the most likely unclosed brace."""
        assert self.chunk is not None
        culprit = self.suspects[0] if self.suspects else self.stack[-1]
        if not self.chunk.hopeless:
            self._report_unclosed(culprit, None)
        self.chunk.hopeless |= self.text[self.chunk.start] == "{"  # no head: unclear where braces belong
        self.chunk.missing = "}" * len(self.stack)
        self.stack.clear()

    def _report_unclosed(self, opening: _Bracket, noticed: int | None) -> None:
        span = self._span(opening.start, opening.start + 1)
        labels = []
        if noticed is not None and noticed < len(self.text):
            labels = [Label(self._span(noticed, noticed + 1), f"`{_CLOSING[opening.sign]}` is missing before this")]
        mistakes.UNCLOSED.report(self.problems, span, labels=labels, sign=opening.sign, closing=_CLOSING[opening.sign])

    def _end_of_text(self) -> None:
        if self.stack and self.stack[-1].sign in "([":
            self._unclosed(len(self.text))
        if self.stack:
            self._forgotten_braces()
        self._end_chunk()

    # -- chunks --------------------------------------------------------------------------------------------------------

    def _separator(self, offset: int) -> None:
        assert self.chunk is not None
        self.chunk.separators.append(offset)
        self.first = ""
        self.tokens = 0

    def _end_chunk(self) -> None:
        self.chunk = None
        self.first = ""
        self.tokens = 0
        self.suspects.clear()

    def _blank(self, start: int, end: int) -> None:
        self.replaced.append((start, end, " " * (end - start)))

    def _blank_each(self, newlines: list[int]) -> None:
        self.replaced += [(offset, offset + 1, " ") for offset in newlines]

    def _span(self, start: int, end: int) -> Span:
        return Span(self.source, start, end)


def _is_open(string: str) -> bool:
    """Whether a string lacks its closing quote; a quote behind an odd number of backslashes doesn't close it."""
    inside = string[1:-1]
    return len(string) < 2 or string[-1] != '"' or (len(inside) - len(inside.rstrip("\\"))) % 2 == 1
