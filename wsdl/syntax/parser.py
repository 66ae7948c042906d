"""From text to syntax tree, with all syntax errors of a text at once.

A declaration that doesn't parse is parsed again without the wrong statement, until the rest parses: each error is
reported once and causes no others.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

from lark import Lark, UnexpectedInput, UnexpectedToken

from wsdl.diagnostics import Diagnostic, Problems, deduplicated, limits
from wsdl.diagnostics.span import Source, Span
from wsdl.syntax import mistakes, tree
from wsdl.syntax.grammar import make_parser
from wsdl.syntax.layout import Chunk, Layout, read
from wsdl.syntax.reuse import Reuse, Written
from wsdl.syntax.tree_builder import Builder

_WITHOUT_STATEMENTS = ("load", "class", "struct")  # their braces contain no statements

lock = threading.Lock()  # the parser has one builder, with the state of the current text
_builder = Builder()
_parser: Lark | None = None


def parse(source: Source, problems: Problems) -> tree.File:
    """The tree of a text. Syntax errors go to `problems`; declarations with errors are left out of the tree.

    A source is parsed once: an editor asks for its tree again, and for those of imported files that haven't changed.
    """
    if parse not in source.memory:
        source.memory[parse] = _parsed(source)
    file: tree.File
    file, reported = source.memory[parse]
    for problem in reported:
        problems.add(problem)
    return file


def _parsed(source: Source) -> tuple[tree.File, tuple[Diagnostic, ...]]:
    """The tree of a text, and its syntax errors."""
    own_problems = Problems()
    layout = read(source, own_problems)
    docs = _docs(source, layout.comments)
    declarations = []
    wrong = False
    with lock:
        reuse = Reuse(source)
        for chunk in layout.chunks:
            if len(own_problems) >= limits.PROBLEMS:
                break
            if chunk.indent and wrong:  # the body, indented as in Python, of a declaration with an error
                continue
            declaration = _declaration(Reading(source, layout, chunk, docs, own_problems), reuse)
            wrong = declaration is None
            if declaration is not None:
                declarations.append(declaration)
        reuse.done(has_errors=bool(own_problems.errors))
    file = tree.File(Span(source, 0, len(source.text)), source, tuple(declarations), layout.comments)
    return file, tuple(_once_in_tables(own_problems, layout.chunks, source))


def _declaration(reading: Reading, reuse: Reuse) -> tree.Declaration | None:
    """One declaration, `None` if it has errors: parsed, or as it is in the last version of the file."""
    before, start = len(reading.problems), reading.chunk.start
    if reading.chunk.faults or reading.chunk.hopeless:
        return reading.run()
    written = Written.of(reading.text, reading.source, start, reading.docs)
    declaration = reuse.moved(written, start)
    if declaration is None:
        declaration = reading.run()
        if declaration is not None and len(reading.problems) == before:
            reuse.keep(written, declaration, start)
    return declaration


def _once_in_tables(reported: Problems, chunks: Iterable[Chunk], source: Source) -> Iterator[Diagnostic]:
    """The diagnostics; an error that many lines of a `load` table have is reported once per table."""
    tables = [(c.start, c.end) for c in chunks if source.text[c.start : c.end].lstrip().startswith("load")]
    groups: dict[tuple[int, int], list[Diagnostic]] = {}
    for diagnostic in reported:
        at = diagnostic.span.start if diagnostic.span else -1
        table = next((t for t in tables if t[0] <= at < t[1]), (at, at))
        groups.setdefault(table, []).append(diagnostic)
    for (start, end), group in groups.items():
        yield from deduplicated(group) if start < end else group


class Declarations:
    """The declarations of a text without errors, each parsed on first access, by the words that it begins with."""

    def __init__(self, source: Source) -> None:
        self._source, self._problems = source, Problems()
        self._layout = read(source, self._problems)
        self._docs = _docs(source, self._layout.comments)

    def __getitem__(self, beginning: str) -> tree.Declaration:
        text = self._source.text
        [chunk] = (c for c in self._layout.chunks if text.startswith(f"{beginning}(", c.start))
        with lock:
            declaration = Reading(self._source, self._layout, chunk, self._docs, self._problems).run()
        assert declaration is not None, f"{self._source.path} has an error: {self._problems.errors[0].message}"
        return declaration


def _docs(source: Source, comments: tuple[tree.Comment, ...]) -> dict[int, str]:
    """The doc comments, by the line below them; ordinary comments may be between."""
    docs: dict[int, str] = {}
    for comment in comments:
        line, column = source.position(comment.span.start)
        if source.line(line)[: column - 1].strip(" \t\ufeff"):
            continue
        above = docs.pop(line, None)
        if comment.text.startswith("##") and not comment.text.startswith("###"):
            text = comment.text[2:].removeprefix(" ")
            docs[line + 1] = text if above is None else f"{above}\n{text}"
        elif above is not None:
            docs[line + 1] = above
    return docs


class Reading:
    """Parses one declaration. `partial` is what could be read of it: a declaration without wrong statements, or only
    the statements of its body."""

    def __init__(self, source: Source, layout: Layout, chunk: Chunk, docs: dict[int, str], problems: Problems) -> None:
        self.source = source
        self.chunk = chunk
        self.docs = docs
        self.problems = problems
        self.text = layout.text[chunk.start : chunk.end] + chunk.missing
        self.start = "declaration"
        self.partial: Any = None

    def run(self) -> tree.Declaration | None:
        if self.chunk.hopeless:
            return None
        wrong = [self.leave_out(fault) for fault in self.chunk.faults] != []
        for _ in range(limits.MISTAKES):
            own_problems = Problems()
            _builder.begin(self.source, self.chunk.start, self.docs, own_problems)
            try:
                node: Any = _lark().parse(self.text, start=self.start) if self.text.strip() else None
            except UnexpectedInput as error:
                offset = self._report(error)
                wrong = True
                if not self.leave_out(offset):
                    return None
                continue
            _builder.finish()
            self.partial = node
            for diagnostic in own_problems:
                self.problems.add(diagnostic)
            return None if wrong or own_problems.diagnostics or self._is_too_deep(node) else node
        return None

    def _is_too_deep(self, node: tree.Node) -> bool:
        """Whether the later passes would recurse too deeply on `1 + 1 + …`; nested brackets were counted before."""
        if max(self.chunk.tokens, self.chunk.branches) <= limits.DEPTH:
            return False
        stack: list[tuple[object, int]] = [(node, 0)]
        while stack:
            part, depth = stack.pop()
            if isinstance(part, tuple):
                stack += [(item, depth) for item in part]
            elif isinstance(part, tree.Node):
                if depth > limits.DEPTH:
                    mistakes.TOO_DEEP.report(self.problems, part.span, limit=limits.DEPTH)
                    return True
                deeper = depth + (not isinstance(part, tree.Argument))
                stack += [(value, deeper) for name, value in vars(part).items() if name != "span"]
        return False

    def _report(self, error: UnexpectedInput) -> int:
        """Report the error; returns its offset."""
        from wsdl.syntax.recognize import Stuck, report

        length = self.chunk.end - self.chunk.start
        ended = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        offset = self.chunk.start + (length if ended else min(error.pos_in_stream or 0, length))
        start, end = self.chunk.statement_at(offset)
        expected: set[str] = error.interactive_parser.accepts()  # type: ignore[no-untyped-call] # lark gives it no types
        text = self.source.text[: self.chunk.start] + self.text[:length]
        top_level = start == self.chunk.start
        report(Stuck(self.source, text, start, end, offset, expected, top_level), self.problems)
        return offset

    def state_before(self, offset: int) -> Any:
        """The state of the parser when it has read up to an offset, without wrong statements before that; `None` if the
        statement at the offset is wrong itself."""
        own = self.chunk.statement_at(offset)
        if self.chunk.hopeless:
            return None
        for fault in self.chunk.faults:
            if self.chunk.statement_at(fault) != own:
                self.leave_out(fault)
        for _ in range(limits.MISTAKES):
            _builder.begin(self.source, self.chunk.start, self.docs, Problems())
            state: Any = _lark().parse_interactive(self.text[: offset - self.chunk.start], start=self.start)
            try:
                state.exhaust_lexer()
            except UnexpectedInput as error:
                wrong = self.chunk.start + (error.pos_in_stream or 0)
                if self.chunk.statement_at(wrong) == own or not self.leave_out(wrong):
                    return None
                continue
            return state
        return None

    # -- skipping wrong statements -------------------------------------------------------------------------------------

    def leave_out(self, offset: int) -> bool:
        """Replace the statement around an offset by spaces; `False` if that changes nothing."""
        start, end = self.chunk.statement_at(offset)
        before = self.text
        self._leave_out_head(start, end)
        return self.text != before

    def _leave_out_head(self, start: int, end: int) -> None:
        """Skip a statement; of a statement with a body only the head, so that the body is still parsed."""
        word = self.text[start - self.chunk.start : end - self.chunk.start].split(None, 1)[:1]
        self._blank(start, end)
        if end not in self.chunk.pairs and self.source.text[end : end + 1] != "{":
            return
        closing = self.chunk.pairs.get(end, self.chunk.end + len(self.chunk.missing) - 1)
        if word and word[0] in _WITHOUT_STATEMENTS:
            self._blank(end, closing + 1)
            return
        self._blank(end, end + 1, "\n")
        self._blank(closing, closing + 1, "\n")
        if start == self.chunk.start:
            self.start = "statements"
        following = self.chunk.statement_at(closing + 1)
        if self.source.text[following[0] : following[1]].strip().startswith("else"):
            self._leave_out_head(*following)

    def _blank(self, start: int, end: int, blank: str = " ") -> None:
        start, end = start - self.chunk.start, min(end - self.chunk.start, len(self.text))
        self.text = self.text[:start] + blank * (end - start) + self.text[end:]


def _lark() -> Lark:
    """The parser, created on first use."""
    global _parser
    if _parser is None:
        _parser = make_parser(_builder)
    return _parser
