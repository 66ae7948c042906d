"""The formatter: four spaces, 100 columns, every comment kept.

The author's line breaks in a pipeline stay, so do single blank lines between statements and, as long as it fits, the
column of comments behind adjacent lines. The result is parsed again and compared: a text with another meaning or a
missing comment is never returned.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any

from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Source, Span
from wsdl.syntax import tree
from wsdl.syntax.boxes import INDENT, WIDTH, Box, Group, Item, Row, flat, lay_out
from wsdl.syntax.layout import read
from wsdl.syntax.parser import parse
from wsdl.syntax.unparse import Unparser, quoted

_BRACKETS = re.compile(r'"(?:\\.|[^"\\])*"|[()]')
_ELSE = re.compile(r"\s*else\b\s*(?P<if>if\b)?")

ROUNDS = 5  # one, and a second to verify that nothing changes; more where breaking one line makes another one fit


class UnfaithfulError(Exception):
    """The formatter would have changed the meaning of a text, or lost a comment: a bug in WSDL."""


def format_source(source: Source, problems: Problems) -> str | None:
    """The formatted text; `None`, and the errors in `problems`, if it doesn't parse."""
    own_problems = Problems()
    original = file = parse(source, own_problems)
    for problem in own_problems:
        problems.add(problem)
    if own_problems.diagnostics:
        return None
    text = source.text
    for _ in range(ROUNDS):
        before, text = text, _Formatter(file).run()
        if text == before:
            break
        own_problems = Problems()
        file = parse(Source(source.path, text), own_problems)
        if own_problems.diagnostics or not same(original, file) or _comments(original) != _comments(file):
            raise UnfaithfulError(f"{source.path}: the formatted text would not mean the same")
    first_line = source.text.partition("\n")[0]
    return text.replace("\n", "\r\n") if first_line.endswith("\r") else text


def same(one: object, other: object) -> bool:
    """Whether two trees are equal, their locations aside."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, tree.Node):
        if type(one) is not type(other):
            return False
        names = [name for name in one.fields if name not in ("span", "operator_span", "source", "comments")]
        return all(same(getattr(one, name), getattr(other, name)) for name in names)
    return type(one) is type(other) and one == other


def _comments(file: tree.File) -> list[str]:
    """The comments of a file in order, `##` as `#`: a doc comment without a declaration may become an ordinary one."""
    return [comment.text.lstrip("#").strip() for comment in file.comments]


class _Formatter:
    """Writes the rows of one file; `comments` are the comments still to write."""

    def __init__(self, file: tree.File) -> None:
        self.file = file
        self.text = file.source.text
        self.comments = deque(file.comments)
        layout = read(file.source, Problems())
        self.code = layout.text  # without comments, so that a brace is a brace
        self.closing = {start: end for chunk in layout.chunks for start, end in chunk.pairs.items()}
        self.openings = sorted(self.closing)
        self.write = Unparser(self.text)
        self.rows: list[Row] = []

    def run(self) -> str:
        self._sequence(self.file.declarations, len(self.text), 0)
        return "".join(f"{line}\n" for line in _aligned(self.rows))

    # -- sequences of lines --------------------------------------------------------------------------------------------

    def _sequence(self, nodes: Sequence[Any], end: int, indent: int) -> None:
        """Statements or declarations, with the comments between them, up to an offset."""
        previous: Any = None
        for node in [*nodes, None]:
            until = end if node is None else node.span.start
            comments = self._comments_before(until)
            gap = [part for part in (previous, *comments, node) if part is not None]
            blanks = [_lines_between(above, below) > 1 for above, below in pairwise(gap)]
            if previous is not None and node is not None and not any(blanks):
                blanks[0] = any(self._stands_apart(part) for part in (previous, node))
            if previous is None:
                blanks.insert(0, False)
            for part, blank in zip([*comments, node], blanks, strict=False):
                if blank:
                    self.rows.append(Row(""))
                if part is node and node is not None:
                    self._statement(node, indent)
                    self._behind(node.span.end, end)
                elif part is not None:
                    self.rows.append(Row(" " * indent, part))
            previous = node

    def _comments_before(self, end: int) -> list[tree.Comment]:
        """Remove and return the comments before an offset."""
        taken = []
        while self.comments and self.comments[0].span.start < end:
            taken.append(self.comments.popleft())
        return taken

    def _behind(self, end: int, limit: int) -> None:
        """The comment on the line on which a statement, or the head of one, ends."""
        if not self.comments or self.comments[0].span.start >= limit or self.rows[-1].comment is not None:
            return
        if "\n" not in self.text[end : self.comments[0].span.start]:
            self.rows[-1].comment = self.comments.popleft()

    def _line(self, end: int, indent: int, write: Callable[[], Box], before: str = "") -> None:
        """The text up to an offset; `before` is already written on the same line.

        Comments inside it that can't stay at their place, or would change their order, go above.
        """
        inside = self._comments_before(end)
        self.write.comments = list(inside)
        rows = lay_out([before, *write()], indent, indent)
        if [row.comment for row in rows if row.comment is not None] != inside:
            self.write.comments = []
            rows = lay_out([before, *write()], indent, indent)
            plain = [c.replaced(text="#" + c.text.lstrip("#")) for c in inside]
            self.rows += [Row(" " * indent, comment) for comment in plain]
        rows[0].text = " " * indent + rows[0].text
        self.rows += rows

    # -- statements ----------------------------------------------------------------------------------------------------

    def _statement(self, node: Any, indent: int) -> None:
        if isinstance(node, tree.Block | tree.Model):
            last = [node.name, *node.inputs, *(node.outputs or ())][-1]
            self._compound(last.span.end, indent, lambda: self._signature(node), node.body)
        elif isinstance(node, tree.Train):
            end = [node.model, *node.targets][-1].span.end
            self._compound(end, indent, lambda: self._train(node), node.body)
        elif isinstance(node, tree.Variant) and self._is_one_line(node):
            self._line(node.span.end, indent, lambda: self._variant(node))
        elif isinstance(node, tree.Variant | tree.Changes):
            word = "variant" if isinstance(node, tree.Variant) else "train"
            self._compound(node.name.span.end, indent, lambda: [f"{word} {node.name.text}"], node.body)
        elif isinstance(node, tree.For):
            end = node.clause.span.end
            self._compound(end, indent, lambda: ["for ", *self.write.clause(node.clause)], node.body)
        elif isinstance(node, tree.Scan):
            end = [node.over, *node.carried][-1].span.end
            self._compound(end, indent, lambda: self._scan(node), node.body)
        elif isinstance(node, tree.If):
            self._if(node, indent)
        elif isinstance(node, tree.Load) and node.table:
            end = (node.fit or [node.target, *node.exceptions][-1]).span.end
            self._compound(end, indent, lambda: self._load(node), node.table)
        else:
            self._line(node.span.end, indent, lambda: self._simple(node))

    def _compound(
        self, head_end: int, indent: int, head: Callable[[], Box], body: Sequence[Any], before: str = ""
    ) -> int:
        """A head and its body; returns the offset of the closing brace."""
        opening = self.openings[bisect_left(self.openings, head_end)]
        self._line(opening, indent, lambda: [*head(), " {"], before)
        self._body(opening, body, indent)
        return self.closing[opening]

    def _body(self, opening: int, body: Sequence[Any], indent: int) -> None:
        """The statements, indented by one more level, and the closing brace; the opening one is already written."""
        closing = self.closing[opening]
        if not body and not (self.comments and self.comments[0].span.start < closing):
            self.rows[-1].text += " }"
            return
        self._behind(opening, min(closing, body[0].span.start) if body else closing)
        self._sequence(body, closing, indent + INDENT)
        self.rows.append(Row(" " * indent + "}"))

    def _if(self, node: tree.If, indent: int, before: str = "") -> None:
        """`if`, and `else` on the line of the brace before it."""
        end = node.condition.span.end
        closing = self._compound(
            end, indent, lambda: ["if ", *self.write.expression(node.condition)], node.then, before
        )
        following = _ELSE.match(self.code, closing + 1, node.span.end)
        if following is None:
            return
        closed = self.rows.pop().text.strip()
        if following["if"]:
            self._if(node.otherwise[0], indent, f"{closed} else ")  # type: ignore[arg-type] # an If
        else:
            self.rows.append(Row(f"{' ' * indent}{closed} else {{"))
            self._body(self.openings[bisect_left(self.openings, closing)], node.otherwise, indent)

    def _simple(self, node: Any) -> Box:
        """A statement without a body."""
        expression = self.write.expression
        if isinstance(node, tree.Let):
            return [f"let {node.name.text} = ", *expression(node.value)]
        if isinstance(node, tree.Assign):
            return [f"{_names(node.targets)} = ", *self.write.separated(node.values)]
        if isinstance(node, tree.Layer):
            count = [] if node.count is None else ["[", *expression(node.count), "]"]
            return [f"layer {node.name.text}", *count, " = ", *expression(node.value)]
        if isinstance(node, tree.Parameter):
            words = [f" per {node.extent.text}"] if node.extent else []
            words += [" nodecay"] if node.nodecay else []
            return ["shared " if node.shared else "", f"{node.kind} ", *self.write.typed(node), *words]
        if isinstance(node, tree.Formula):
            clause = [] if node.clause is None else [" for ", *self.write.clause(node.clause)]
            return ["param ", *expression(node.target), " = ", *expression(node.value), *clause]
        if isinstance(node, tree.Share):
            return self._share(node)
        if isinstance(node, tree.Turns):
            turns = [self.write.item(t, [f"{t.name.text} ", *self.write.expression(t.count)]) for t in node.turns]
            return [f"{node.kind.text} ", self.write.group("list", "{ ", turns, " }", node.span)]
        if isinstance(node, tree.Limit):
            return [f"limit {node.kind.text} ", *expression(node.value)]
        if isinstance(node, tree.Require):
            message = f", {quoted(node.message.value)}" if node.message else ""
            return ["require ", *expression(node.condition), message]
        if isinstance(node, tree.Load):
            return self._load(node)
        if isinstance(node, tree.Copy):
            return ["load ", *expression(node.source), " into ", *expression(node.target)]
        if isinstance(node, tree.Mapping):
            return [*expression(node.source), " -> ", *expression(node.target)]
        if isinstance(node, tree.Ignore):
            return [f"ignore {', '.join(quoted(pattern.value) for pattern in node.patterns)}"]
        if isinstance(node, tree.Import):
            return [f"from {quoted(node.file.value)} import {_names(node.names)}"]
        if isinstance(node, tree.Loss):
            name = f"{node.name.text} = " if node.name else ""
            return [f"loss {name}", *expression(node.value)]
        if isinstance(node, tree.LossWeight):
            return [f"weight {node.name.text} = ", *expression(node.value)]
        if isinstance(node, tree.Carry):
            return [f"carry {node.name.text} = ", *expression(node.value)]
        if isinstance(node, tree.Update):
            every = [] if node.every is None else [" every ", *expression(node.every)]
            path = ["update ", *expression(node.target), " all" if node.all else ""]
            return [*path, " = ", *expression(node.value), *every]
        if isinstance(node, tree.Metric):
            return [f"metric {node.name.text} = ", *expression(node.value)]
        if isinstance(node, tree.Optimizer):
            return ["optimizer ", *expression(node.call)]
        if isinstance(node, tree.LearningRate):
            return ["lr ", *self.write.separated(node.paths), " = ", *expression(node.value)]
        if isinstance(node, tree.Until):
            return ["until ", *expression(node.value)]
        if isinstance(node, tree.Return):
            return ["return ", *self.write.returned(node)]
        if isinstance(node, tree.Freeze):
            return ["freeze ", *self.write.separated(node.paths), f" {node.mode.text}" if node.mode else ""]
        return ["emit ", *self.write.separated(node.values)]

    def _share(self, node: tree.Share) -> list[str | Group]:
        way = [] if node.way is None else ["as ", *self.write.expression(node.way), " "]
        items = [self.write.item(member, self.write.expression(member)) for member in node.members]
        if node.exceptions:
            excepted = ["except ", *self.write.separated(node.exceptions)]
            items.append(Item(excepted, node.exceptions[0].span.start, node.exceptions[-1].span.end))
        group = self.write.group("list", "{ ", items, " }", node.span)
        clause = [] if node.clause is None else [" for ", *self.write.clause(node.clause)]
        return ["share ", f"{node.name.text} " if node.name else "", *way, group, *clause]

    def _load(self, node: tree.Load) -> list[str | Group]:
        at = [] if node.at is None else [f" at {quoted(node.at.value)}"]
        excepted = [" except ", *self.write.separated(node.exceptions)] if node.exceptions else []
        fit = [] if node.fit is None else [" fit ", *self.write.expression(node.fit)]
        return ["load ", *self._files(node.files), *at, " into ", *self.write.expression(node.target), *excepted, *fit]

    def _files(self, files: Sequence[tree.String]) -> Box:
        if len(files) == 1:
            return [quoted(files[0].value)]
        items = [self.write.item(file, [quoted(file.value)]) for file in files]
        return [self.write.group("list", "[", items, "]", files[0].span.to(files[-1].span))]

    def _scan(self, node: tree.Scan) -> list[str | Group]:
        box: list[str | Group] = [f"{_names(node.targets)} = " if node.targets else "", "scan "]
        box.append("reverse " if node.reverse else "")
        box += self._along(node.over) if isinstance(node.over, tree.Along) else self._numbers(node.over)
        for number, carry in enumerate(node.carried):
            box += [", " if number else " with ", f"{carry.name.text} = ", *self.write.expression(carry.value)]
        return box

    def _numbers(self, over: tree.Numbers) -> list[str | Group]:
        return [f"{over.name.text} in ", *self.write.expression(over.range)]

    def _along(self, over: tree.Along) -> list[str | Group]:
        box: list[str | Group] = []
        for number, step in enumerate(over.steps):
            box += [", " if number else "", f"{step.name.text} in ", *self.write.expression(step.value)]
        return [*box, " along ", *self.write.expression(over.axis)]

    # -- variants ------------------------------------------------------------------------------------------------------

    def _stands_apart(self, node: Any) -> bool:
        """Whether a declaration always has an empty line before and behind it."""
        if isinstance(node, tree.Variant):
            return bool(node.body) and not self._is_one_line(node)
        return isinstance(node, tree.Block | tree.Model | tree.Train)

    def _is_one_line(self, node: tree.Variant) -> bool:
        """Whether a variant of one statement stays on one line, as the author wrote it and as long as it fits."""
        return (
            "\n" not in node.span.text
            and len(node.body) == 1
            and not isinstance(node.body[0], tree.Changes)
            and not (isinstance(node.body[0], tree.Load) and node.body[0].table)
            and len(flat(self._variant(node)) or " " * WIDTH) < WIDTH
        )

    def _variant(self, node: tree.Variant) -> Box:
        return [f"variant {node.name.text} {{ ", *self._simple(node.body[0]), " }"]

    # -- signatures ----------------------------------------------------------------------------------------------------

    def _signature(self, node: tree.Block | tree.Model) -> list[str | Group]:
        word = "block" if isinstance(node, tree.Block) else "model"
        box: list[str | Group] = [f"{word} {node.name.text}"]
        end = node.name.span.end
        if isinstance(node, tree.Block):
            span = self._brackets(node, end)
            box.append(self.write.bracket("(", node.configuration, ")", span, self.write.configuration))
            end = span.end
        span = self._brackets(node, end)
        box.append(self.write.bracket("(", node.inputs, ")", span, self.write.typed))
        if node.outputs is None:
            return box
        box.append(" -> ")
        if len(node.outputs) == 1 and node.outputs[0].name is None:
            return [*box, *self.write.type(node.outputs[0].type)]
        span = self._brackets(node, span.end)
        return [*box, self.write.bracket("(", node.outputs, ")", span, self.write.output)]

    def _train(self, node: tree.Train) -> list[str | Group]:
        span = self._brackets(node, node.model.span.end)
        of = "" if node.model is node.name else f" of {node.model.text}"
        return [f"train {node.name.text}{of}", self.write.bracket("(", node.targets, ")", span, self.write.typed)]

    def _brackets(self, node: tree.Node, start: int) -> Span:
        """The next pair of parentheses at or behind an offset."""
        depth = 0
        for match in _BRACKETS.finditer(self.code, start):
            depth += {"(": 1, ")": -1}.get(match[0], 0)
            if match[0] == ")" and depth == 0:
                return Span(node.span.source, start, match.end())
        raise AssertionError("a signature without its parentheses")


def _names(names: Iterable[tree.Name]) -> str:
    return ", ".join(name.text for name in names)


def _lines_between(above: tree.Node, below: tree.Node) -> int:
    return below.span.line - above.span.end_line


def _aligned(rows: Iterable[Row]) -> Iterator[str]:
    """The lines, with comments behind adjacent lines in one column: the author's, if all of them were in it."""
    for behind, group in groupby(rows, key=lambda row: row.comment is not None and row.text.strip() != ""):
        lines = list(group)
        if not behind:
            yield from ((row.text + (row.comment.text if row.comment else "")).rstrip() for row in lines)
            continue
        column = max(len(row.text) for row in lines) + 2
        chosen = {row.comment.span.column - 1 for row in lines if row.comment}
        if len(chosen) == 1 and (len(lines) > 1 or _as_written(lines[0])):
            column = max(column, *chosen)
        for row in lines:
            yield f"{row.text:<{column}}{row.comment.text if row.comment else ''}"


def _as_written(row: Row) -> bool:
    """Whether a line was the same before, so that the author chose the column of its comment for it."""
    if row.comment is None:
        return False
    span = row.comment.span
    return span.source.line(span.line)[: span.column - 1].rstrip() == row.text
