"""Expressions, types and lists as boxes, with the parentheses that they need and those of the author."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from wsdl.diagnostics.span import Span
from wsdl.syntax import tree
from wsdl.syntax.boxes import Box, Group, Item

# Precedences. An expression of lower precedence than its context requires gets parentheses.
PIPE, OR, AND, NOT, COMPARISON, SUM, PRODUCT, UNARY, POWER, POSTFIX = range(10)
_BINARY = {
    **{"or": OR, "and": AND, "+": SUM, "-": SUM, "*": PRODUCT, "/": PRODUCT, "//": PRODUCT, "%": PRODUCT},
    **{"@": PRODUCT, "**": POWER},
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in", "not in"), COMPARISON),
}


class Unparser:
    """Boxes for the nodes of one file; `comments` are those inside the statement that is being written."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.comments: list[tree.Comment] = []

    # -- expressions ---------------------------------------------------------------------------------------------------

    def expression(self, node: Any, context: int = PIPE) -> list[str | Group]:
        """An expression in a context that requires at least this precedence."""
        level = _level(node)
        chosen = context > PIPE and level < POSTFIX and self._parenthesized(node)
        if level < context or chosen:
            return [self.group("parentheses", "(", [self.item(node, self._bare(node))], ")", node.span)]
        return self._bare(node)

    def _bare(self, node: Any) -> list[str | Group]:
        if isinstance(node, tree.Name):
            return [node.text]
        if isinstance(node, tree.Number):
            return [node.text]
        if isinstance(node, tree.String):
            return [quoted(node.value)]
        if isinstance(node, tree.Constant):
            return ["none" if node.value is None else str(node.value).lower()]
        if isinstance(node, tree.List):
            return self._list(node)
        if isinstance(node, tree.Comprehension):
            return self._comprehension(node)
        if isinstance(node, tree.Unary):
            return self._unary(node)
        if isinstance(node, tree.Binary):
            return self._binary(node)
        if isinstance(node, tree.Pipe):
            return self._pipeline(node)
        if isinstance(node, tree.Call):
            return self._call(node)
        if isinstance(node, tree.Field):
            return [*self.expression(node.object, POSTFIX), f".{node.name.text}"]
        if isinstance(node, tree.Index):
            return self._index(node)
        if isinstance(node, tree.Range):
            return [*self.expression(node.start, OR), "..", *self.expression(node.stop, OR)]
        raise TypeError(f"not an expression: {node!r}")

    def _unary(self, node: tree.Unary) -> list[str | Group]:
        if node.operator == "not":
            return ["not ", *self.expression(node.operand, NOT)]
        return [node.operator, *self.expression(node.operand, UNARY)]

    def _binary(self, node: tree.Binary) -> list[str | Group]:
        level = _BINARY[node.operator]
        left, right = level, level + 1
        if level == COMPARISON:
            left = SUM
        elif level == POWER:
            left, right = POSTFIX, UNARY
        return [*self.expression(node.left, left), f" {node.operator} ", *self.expression(node.right, right)]

    def _pipeline(self, node: tree.Pipe) -> list[str | Group]:
        stages: list[tree.Expression] = []
        value: tree.Expression = node
        while isinstance(value, tree.Pipe):
            stages.insert(0, value.stage)
            value = value.value
        items = [self.item(value, self.expression(value, OR))]
        for stage in stages:
            item = self.item(stage, self.expression(stage, POSTFIX))
            item.new_line = "\n" in self.text[items[-1].end : item.start]
            items.append(item)
        return [self.group("pipeline", "", items, "", Span(node.span.source, items[0].start, items[-1].end))]

    def _list(self, node: tree.List) -> list[str | Group]:
        kind = (
            "fill" if all(isinstance(item, tree.Number | tree.String | tree.Unary) for item in node.items) else "list"
        )
        return [self.bracket("[", node.items, "]", node.span, self.expression, kind)]

    def _comprehension(self, node: tree.Comprehension) -> list[str | Group]:
        clause = self.item(node.clause, ["for ", *self.clause(node.clause)])
        return [
            self.group("list", "[", [self.item(node.element, self.expression(node.element)), clause], "]", node.span)
        ]

    def clause(self, node: tree.Clause) -> list[str | Group]:
        """`a, b in left, right`"""
        names = ", ".join(name.text for name in node.names)
        return [f"{names} in ", *self.separated(node.series)]

    def separated(self, nodes: Iterable[tree.Expression | tree.Range]) -> list[str | Group]:
        box: list[str | Group] = []
        for node in nodes:
            box += [*([", "] if box else []), *self.expression(node)]
        return box

    def returned(self, node: tree.Return) -> list[str | Group]:
        """`h, c`, `states=h, memory=c`"""
        box: list[str | Group] = []
        for i, value in enumerate(node.values):
            name = f"{node.names[i].text}=" if i < len(node.names) else ""
            box += [f"{', ' if box else ''}{name}", *self.expression(value)]
        return box

    def _call(self, node: tree.Call) -> list[str | Group]:
        inside = Span(node.span.source, node.function.span.end, node.span.end)
        return [
            *self.expression(node.function, POSTFIX),
            self.bracket("(", node.arguments, ")", inside, self._argument),
        ]

    def _argument(self, node: tree.Argument) -> list[str | Group]:
        name = [] if node.name is None else [f"{node.name.text}="]
        return [*name, *self.expression(node.value)]

    def _index(self, node: tree.Index) -> list[str | Group]:
        inside = Span(node.span.source, node.object.span.end, node.span.end)
        group = self.bracket("[", node.subscripts, "]", inside, self._subscript)
        return [*self.expression(node.object, POSTFIX), _together(group)]

    def _subscript(self, node: Any) -> list[str | Group]:
        if isinstance(node, tree.Star):
            return ["*"]
        if isinstance(node, tree.Ellipsis):
            return ["..." if node.name is None else f"...{node.name.text}"]
        if isinstance(node, tree.Slice):
            return self._slice(node)
        return self.expression(node)

    def _slice(self, node: tree.Slice) -> list[str | Group]:
        """`a:b`, with spaces around the colon where a bound is more than a name or a number: `2 * i : n`."""
        bounds = [node.start, node.stop, *([node.step] if node.step is not None else [])]
        wide = any(isinstance(bound, tree.Binary) for bound in bounds)
        box: list[str | Group] = []
        for number, bound in enumerate(bounds):
            if number:
                before = " " if wide and bounds[number - 1] is not None else ""
                box.append(f"{before}:{' ' if wide and bound is not None else ''}")
            if bound is not None:
                box += self.expression(bound, OR)
        return box

    # -- types ---------------------------------------------------------------------------------------------------------

    def type(self, node: tree.Type) -> list[str | Group]:
        dtype = node.dtype.text if node.dtype else ""
        if not node.dims and dtype:
            return [dtype]
        start = node.dtype.span.end if node.dtype else node.span.start
        inside = Span(node.span.source, start, node.span.end)
        return [dtype, _together(self.bracket("[", node.dims, "]", inside, self._subscript))]

    def typed(self, node: tree.Input | tree.Parameter) -> list[str | Group]:
        """`x: f32[n] = default`."""
        default = node.default if isinstance(node, tree.Input) else node.initializer
        count = node.count if isinstance(node, tree.Input) else None
        return [*self.named(node.name, count), *self.type(node.type), *self.default(default)]

    def named(self, name: tree.Name, count: tree.Expression | None) -> list[str | Group]:
        """`x: `, or `x[12]: `."""
        return [f"{name.text}: "] if count is None else [f"{name.text}[", *self.expression(count), "]: "]

    def default(self, node: tree.Expression | None) -> list[str | Group]:
        return [] if node is None else [" = ", *self.expression(node)]

    def configuration(self, node: tree.Configuration) -> list[str | Group]:
        types = " | ".join(name.text for name in node.types)
        return [f"{node.name.text}: {types}", *self.default(node.default)]

    def output(self, node: tree.Output) -> list[str | Group]:
        return [*(self.named(node.name, node.count) if node.name else []), *self.type(node.type)]

    # -- groups --------------------------------------------------------------------------------------------------------

    def bracket(
        self,
        opening: str,
        nodes: Sequence[tree.Node],
        closing: str,
        span: Span,
        write: Callable[[Any], list[str | Group]],
        kind: str = "list",
    ) -> Group:
        return self.group(kind, opening, [self.item(node, write(node)) for node in nodes], closing, span)

    def item(self, node: Any, box: Box) -> Item:
        return Item(box, node.span.start, node.span.end)

    def group(self, kind: str, opening: str, items: list[Item], closing: str, span: Span) -> Group:
        """A group, with the comments in its span assigned to its items."""
        group = Group(kind, opening, items, closing)
        for comment in [c for c in self.comments if span.start <= c.span.start < span.end]:
            self._place(comment, group)
        return group

    def _place(self, comment: tree.Comment, group: Group) -> None:
        """Assign a comment to the item on its line, otherwise above the next item. Inner groups come first."""
        self.comments.remove(comment)
        before = [item for item in group.items if item.end <= comment.span.start]
        after = [item for item in group.items if item.end > comment.span.start]
        last = before[-1] if before else None
        if last is not None and "\n" not in self.text[last.end : comment.span.start] and last.behind is None:
            last.behind = comment
        elif after:
            after[0].above.append(comment)
        else:
            group.below.append(comment)

    def _parenthesized(self, node: tree.Node) -> bool:
        """Whether the author put parentheses around a node: then its span begins before its first part."""
        parts = [value for name, value in vars(node).items() if isinstance(value, tree.Node)]
        first = min((part.span.start for part in parts), default=node.span.start)
        return self.text[node.span.start : node.span.start + 1] == "(" and first > node.span.start


def _level(node: Any) -> int:
    if isinstance(node, tree.Binary):
        return _BINARY[node.operator]
    if isinstance(node, tree.Unary):
        return NOT if node.operator == "not" else UNARY
    return PIPE if isinstance(node, tree.Pipe) else POSTFIX


def _together(group: Group) -> str | Group:
    """A group that is only broken for comments."""
    return group if group.flat is None else group.flat


def quoted(value: str) -> str:
    for character, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t")):
        value = value.replace(character, escape)
    return f'"{value}"'
