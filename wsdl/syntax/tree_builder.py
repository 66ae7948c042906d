"""Builds the syntax tree while the parser recognizes the grammar.

The parser calls one method for each rule of `grammar/wsdl.lark`, innermost first, with the parts of the rule: nodes,
tokens, and `None` for an optional part that is absent. No intermediate tree is built, and nothing recurses.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import Any, TypeAlias

from lark import Token

from wsdl.diagnostics import Edit, Problems, limits
from wsdl.diagnostics.span import Source, Span
from wsdl.syntax import mistakes, tree
from wsdl.syntax.allowed import OF_CHANGES, OF_MODELS, OF_TRAINING, OF_VARIANTS

Part: TypeAlias = Any  # a token, a node, a tuple of nodes, or None
Parts: TypeAlias = "list[Part]"

PYTHON_CONSTANTS = {"True": "true", "False": "false", "None": "none"}
CONSTANTS = {"true": True, "false": False, "none": None}
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=", "in", "not in")
ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}


def _nodes(parts: Parts) -> tuple[Any, ...]:
    """The parts that are nodes, in order."""
    return tuple(p for p in parts if isinstance(p, tree.Node))


def _has(parts: Parts, word: str) -> bool:
    return any(isinstance(p, Token) and p == word for p in parts)


def _after(parts: Parts, word: str) -> Part:
    """The part that follows a keyword or sign, or `None` if that is absent."""
    for part, following in pairwise(parts):
        if isinstance(part, Token) and part == word:
            return following
    return None


class Builder:
    """Creates the nodes of one text at a time, which `begin` sets."""

    def begin(self, source: Source, offset: int, docs: dict[int, str], problems: Problems) -> None:
        """Begin a declaration at `offset` of `source`; `docs` are the doc comments by the line below them."""
        self.source = source
        self.offset = offset
        self.docs = docs
        self.problems = problems
        self.placeholders: list[tree.Name] = []

    def finish(self) -> None:
        """Report errors that only the complete declaration shows: placeholders outside `load`."""
        for name in self.placeholders:
            mistakes.PLACEHOLDER.report(self.problems, name.span, placeholder=name.text)

    # -- places --------------------------------------------------------------------------------------------------------

    def _span(self, parts: Parts) -> Span:
        """From the first of the parts to the last."""
        located = [p for p in parts if p is not None and p != ()]
        return Span(self.source, self._start(located[0]), self._end(located[-1]))

    def _start(self, part: Part) -> int:
        if isinstance(part, Token):
            return self.offset + (part.start_pos or 0)
        return self._start(part[0]) if isinstance(part, tuple) else int(part.span.start)

    def _end(self, part: Part) -> int:
        if isinstance(part, Token):
            return min(self.offset + (part.end_pos or 0), len(self.source.text))
        return self._end(part[-1]) if isinstance(part, tuple) else int(part.span.end)

    def _doc(self, span: Span) -> str:
        """The doc comment above a node that is the first on its line."""
        line, column = self.source.position(span.start)
        doc = self.docs.get(line, "")
        return doc if doc and not self.source.line(line)[: column - 1].strip() else ""

    # -- declarations --------------------------------------------------------------------------------------------------

    def let(self, parts: Parts) -> tree.Let:
        span = self._span(parts)
        return tree.Let(span, parts[1], parts[3], self._doc(span))

    def block(self, parts: Parts) -> tree.Block:
        span = self._span(parts)
        _, name, _, configuration, _, _, inputs, _, results, body = parts
        self._check_places(body[1], mistakes.OUTSIDE_TRAIN, OF_TRAINING, f"the block `{name.text}`")
        return tree.Block(span, name, configuration or (), inputs or (), results, body[1], self._doc(span))

    def model(self, parts: Parts) -> tree.Model:
        span = self._span(parts)
        _, name, _, inputs, _, results, body = parts
        self._check_places(body[1], mistakes.OUTSIDE_TRAIN, OF_TRAINING, f"the model `{name.text}`")
        return tree.Model(span, name, inputs or (), results, body[1], self._doc(span))

    def train(self, parts: Parts) -> tree.Train:
        span = self._span(parts)
        name, body = parts[1], parts[-1]
        model, targets = _after(parts, "of") or name, parts[-3] or ()
        self._check_places(body[1], mistakes.INSIDE_TRAIN, OF_MODELS, f"`train {name.text}`")
        return tree.Train(span, name, model, targets, body[1], self._doc(span))

    def turns(self, parts: Parts) -> tree.Turns:
        span = self._span(parts)
        [turns] = (part for part in parts if isinstance(part, tuple))
        kind = tree.Name(self._span(parts[:1]), str(parts[0]))
        return tree.Turns(span, kind, turns, self._doc(span))

    def turn_list(self, parts: Parts) -> tuple[Any, ...]:
        return self.members(parts)

    def turn(self, parts: Parts) -> tree.Turn:
        return tree.Turn(self._span(parts), *parts)

    def variant(self, parts: Parts) -> tree.Variant:
        span = self._span(parts)
        _, name, body = parts
        for statement in body[1]:
            if not isinstance(statement, OF_VARIANTS):
                self._report_place(statement, mistakes.INSIDE_VARIANT, f"the variant `{name.text}`")
        return tree.Variant(span, name, body[1], self._doc(span))

    def changes(self, parts: Parts) -> tree.Changes:
        _, name, body = parts
        for statement in body[1]:
            if not isinstance(statement, OF_CHANGES):
                self._report_place(statement, mistakes.INSIDE_CHANGES, f"the `train {name.text}` of a variant")
        return tree.Changes(self._span(parts), name, body[1])

    def _check_places(
        self, body: tuple[tree.Statement, ...], mistake: mistakes.Mistake, misplaced: tuple[type, ...], where: str
    ) -> None:
        """Report the statements that belong in another kind of declaration."""
        rest = [*reversed(body)]
        while rest:
            statement = rest.pop()
            if isinstance(statement, tree.Changes):
                self._report_place(statement, mistakes.OUTSIDE_VARIANT, where)
            elif isinstance(statement, misplaced):
                self._report_place(statement, mistake, where)
            elif isinstance(statement, tree.Loss) and statement.name is None and mistake is mistakes.OUTSIDE_TRAIN:
                self._report_place(statement, mistakes.UNNAMED_LOSS, where)
            elif isinstance(statement, tree.For | tree.Scan):
                rest += reversed(statement.body)
            elif isinstance(statement, tree.If):
                rest += reversed((*statement.then, *statement.otherwise))

    def _report_place(self, statement: tree.Statement, mistake: mistakes.Mistake, where: str) -> None:
        """Report a misplaced statement at its first word."""
        start = statement.span.start
        first = re.match(mistakes.NAME, statement.span.text)
        assert first is not None, "every statement begins with a word"
        word = "scan" if isinstance(statement, tree.Scan) else first[0]
        mistake.report(self.problems, Span(self.source, start, start + first.end()), word=word, where=where)

    def configuration(self, parts: Parts) -> tree.Configuration:
        return tree.Configuration(self._span(parts), parts[0], parts[2], _after(parts, "="))

    def input(self, parts: Parts) -> tree.Input:
        return tree.Input(self._span(parts), parts[0], _after(parts, "["), _after(parts, ":"), _after(parts, "="))

    def result(self, parts: Parts) -> tuple[tree.Output, ...]:
        return (tree.Output(parts[1].span, None, None, parts[1]),)

    def output(self, parts: Parts) -> tree.Output:
        count = None
        if _has(parts, "["):
            sizes: tuple[Any, ...] = _after(parts, "[") or ()
            if len(sizes) != 1 or isinstance(sizes[0], tree.Ellipsis):
                message = "an array of results has one size, and each result the type after the `:`"
                self.problems.error("E0234", self._span(parts[:-1]), message, f"write `{parts[0].text}[12]: …`")
            count = sizes[0] if sizes else None
        return tree.Output(self._span(parts), parts[0], count, parts[-1])

    def type(self, parts: Parts) -> tree.Type:
        dtype = parts[0] if isinstance(parts[0], tree.Name) else None
        return tree.Type(self._span(parts), dtype, _after(parts, "[") or ())

    def import_(self, parts: Parts) -> tree.Import:
        return tree.Import(self._span(parts), parts[1], parts[3])

    # -- lists of things -----------------------------------------------------------------------------------------------

    def _collect(self, parts: Parts) -> tuple[Any, ...]:
        return _nodes(parts)

    names = types = targets = configurations = inputs = results = dims = _collect
    arguments = subscripts = list_items = expressions = paths = steps = carried = _collect

    def members(self, parts: Parts) -> tuple[Any, ...]:
        """`members` is written left-recursively in the grammar: the first part may hold all members so far."""
        return (*(parts[0] if isinstance(parts[0], tuple) else ()), *_nodes(parts))

    def exceptions(self, parts: Parts) -> tuple[Any, ...]:
        return self.members(parts)

    statements = _collect

    def body(self, parts: Parts) -> tuple[Part, ...]:
        """Opening brace, statements, closing brace; the braces have the location."""
        return (parts[0], _nodes(parts), parts[-1])

    table = body

    # -- statements ----------------------------------------------------------------------------------------------------

    def assign(self, parts: Parts) -> tree.Assign:
        return tree.Assign(self._span(parts), parts[0], parts[2])

    def layer(self, parts: Parts) -> tree.Layer:
        span = self._span(parts)
        return tree.Layer(span, parts[1], _after(parts, "["), parts[-1], self._doc(span))

    def parameter(self, parts: Parts) -> tree.Parameter:
        span = self._span(parts)
        if _has(parts, "state"):
            return tree.Parameter(span, "state", parts[1], parts[3], _after(parts, "="), self._doc(span))
        shared, _, name, _, type_ = parts[:5]
        extent = _after(parts, "per")
        if extent is not None and (extent.text == "group") != (shared is not None):
            both = f"{'shared ' if shared is not None else ''}param … per {extent.text}"
            problem = "each member has its own" if extent.text == "member" else "the members share it"
            mistakes.EXTENT.report(self.problems, extent.span, written=both, problem=problem)
        words = {"shared": shared is not None, "extent": extent, "nodecay": _has(parts, "nodecay")}
        return tree.Parameter(span, "param", name, type_, _after(parts, "="), self._doc(span), **words)

    def formula(self, parts: Parts) -> tree.Formula:
        _, target, _, value, _, clause = parts
        if isinstance(target, tree.Name):
            mistakes.UNTYPED.report(self.problems, target.span, name=target.text)
        return tree.Formula(self._span(parts), target, value, clause)

    def freeze(self, parts: Parts) -> tree.Freeze:
        return tree.Freeze(self._span(parts), parts[1], parts[2])

    def limit(self, parts: Parts) -> tree.Limit:
        return tree.Limit(self._span(parts), parts[1], parts[2])

    def require(self, parts: Parts) -> tree.Require:
        return tree.Require(self._span(parts), parts[1], parts[-1])

    def emit(self, parts: Parts) -> tree.Emit:
        return tree.Emit(self._span(parts), parts[1])

    def until(self, parts: Parts) -> tree.Until:
        return tree.Until(self._span(parts), parts[1])

    def return_(self, parts: Parts) -> tree.Return:
        results = _nodes(parts)
        names = tuple(result.name for result in results if result.name is not None)
        if names and len(names) < len(results):
            unnamed = next(result for result in results if result.name is None)
            mistakes.RESULTS.report(self.problems, unnamed.span)
        return tree.Return(self._span(parts), tuple(result.value for result in results), names)

    def loss(self, parts: Parts) -> tree.Loss:
        return tree.Loss(self._span(parts), parts[1], parts[-1])

    def loss_weight(self, parts: Parts) -> tree.LossWeight:
        return tree.LossWeight(self._span(parts), parts[1], parts[3])

    def carry_(self, parts: Parts) -> tree.Carry:
        return tree.Carry(self._span(parts), parts[1], parts[3])

    def update(self, parts: Parts) -> tree.Update:
        return tree.Update(self._span(parts), parts[1], _has(parts, "all"), _after(parts, "="), _after(parts, "every"))

    def metric(self, parts: Parts) -> tree.Metric:
        return tree.Metric(self._span(parts), parts[1], parts[3])

    def optimizer(self, parts: Parts) -> tree.Optimizer:
        return tree.Optimizer(self._span(parts), self.call([parts[1], parts[2], parts[3], parts[4]]))

    def learning_rate(self, parts: Parts) -> tree.LearningRate:
        return tree.LearningRate(self._span(parts), parts[1], parts[3])

    def if_(self, parts: Parts) -> tree.If:
        _, condition, then, _, otherwise = parts
        if isinstance(otherwise, tuple):
            otherwise = otherwise[1]
        elif otherwise is not None:
            otherwise = (otherwise,)
        return tree.If(self._span(parts), condition, then[1], otherwise or ())

    def for_(self, parts: Parts) -> tree.For:
        return tree.For(self._span(parts), parts[1], parts[2][1])

    def clause(self, parts: Parts) -> tree.Clause:
        names, series = parts[0], _nodes(parts[1:])
        for values in series:
            if isinstance(values, tree.Call) and isinstance(values.function, tree.Name):
                self._check_range(values, values.function)
        if len(names) != len(series):
            several = f"{len(names)} names" if len(names) > 1 else "one name"
            given = f"{len(series)} lists" if len(series) > 1 else "one list"
            mistakes.CLAUSE.report(self.problems, self._span(parts), names=several, series=given)
        return tree.Clause(self._span(parts), names, series)

    def range(self, parts: Parts) -> tree.Range:
        return tree.Range(self._span(parts), parts[0], parts[2])

    def scan(self, parts: Parts) -> tree.Scan:
        targets = parts[0] or ()
        over = next(p for p in parts if isinstance(p, tree.Along | tree.Numbers))
        carried = parts[-2] or ()
        return tree.Scan(self._span(parts), targets, _has(parts, "reverse"), over, carried, parts[-1][1])

    def numbers(self, parts: Parts) -> tree.Numbers:
        return tree.Numbers(self._span(parts), parts[0], parts[2])

    def along(self, parts: Parts) -> tree.Along:
        return tree.Along(self._span(parts), parts[0], parts[-1])

    def binding(self, parts: Parts) -> tree.Binding:
        return tree.Binding(self._span(parts), parts[0], parts[2])

    # -- sharing and loading -------------------------------------------------------------------------------------------

    def share(self, parts: Parts) -> tree.Share:
        closing = next(i for i, p in enumerate(parts) if isinstance(p, Token) and p == "}")
        groups = [p for p in parts[:closing] if isinstance(p, tuple)]
        clause = parts[-1] if isinstance(parts[-1], tree.Clause) else None
        exceptions = groups[1] if len(groups) > 1 else ()
        return tree.Share(self._span(parts), parts[1], groups[0], exceptions, clause, parts[2])

    def way(self, parts: Parts) -> tree.Call:
        return self.call(parts[1:])

    def load(self, parts: Parts) -> tree.Load:
        at, target, exceptions, fit = (_after(parts, word) for word in ("at", "into", "except", "fit"))
        table = parts[-1][1] if parts[-1] else ()
        return tree.Load(self._span(parts), parts[1], at, target, exceptions or (), fit, table)

    def files(self, parts: Parts) -> tuple[Any, ...]:
        return _nodes(parts)

    def copy(self, parts: Parts) -> tree.Copy:
        return tree.Copy(self._span(parts), parts[1], parts[3])

    def mapping(self, parts: Parts) -> tree.Mapping:
        target = parts[2].span
        self.placeholders = [n for n in self.placeholders if not target.start <= n.span.start < target.end]
        return tree.Mapping(self._span(parts), parts[0], parts[2])

    def ignore(self, parts: Parts) -> tree.Ignore:
        return tree.Ignore(self._span(parts), _nodes(parts))

    # -- expressions ---------------------------------------------------------------------------------------------------

    def pipe(self, parts: Parts) -> tree.Pipe:
        value, _, stage = parts
        if not isinstance(stage, tree.Name | tree.Call | tree.Field | tree.Index):
            mistakes.STAGE.report(self.problems, stage.span)
        return tree.Pipe(value.span.to(stage.span), value, stage)

    def binary(self, parts: Parts) -> tree.Binary:
        left, operator, right = parts
        if operator.type == "COMPARISON" and _is_comparison(left):
            mistakes.CHAIN.report(self.problems, left.span.to(right.span))
        return tree.Binary(left.span.to(right.span), str(operator), self._span([operator]), left, right)

    def contains(self, parts: Parts) -> tree.Binary:
        """`x in list`, `x not in list`"""
        left, negated, word, right = parts
        signs = [part for part in (negated, word) if part is not None]
        if _is_comparison(left):
            mistakes.CHAIN.report(self.problems, left.span.to(right.span))
        operator = "in" if negated is None else "not in"
        return tree.Binary(left.span.to(right.span), operator, self._span(signs), left, right)

    def unary(self, parts: Parts) -> tree.Unary:
        return tree.Unary(self._span(parts), str(parts[0]), parts[1])

    def field(self, parts: Parts) -> tree.Field:
        span = self._span(parts)
        if isinstance(parts[0], tree.Number):
            mistakes.NUMBER.report(self.problems, span, problem="a number has no parts")
        return tree.Field(span, parts[0], parts[2])

    def call(self, parts: Parts) -> tree.Call:
        arguments = parts[2] or ()
        for before, argument in pairwise(arguments):
            if before.name is not None and argument.name is None:
                mistakes.POSITIONAL.report(self.problems, argument.span)
        return tree.Call(self._span(parts), parts[0], arguments)

    def index(self, parts: Parts) -> tree.Index:
        return tree.Index(self._span(parts), parts[0], parts[2])

    def argument(self, parts: Parts) -> tree.Argument:
        return tree.Argument(self._span(parts), parts[0], parts[-1])

    def slice(self, parts: Parts) -> tree.Slice:
        bounds: list[Part] = [None]
        for part in parts:
            if isinstance(part, Token):
                bounds.append(None)
            elif part is not None:
                bounds[-1] = part
        start, stop, step = [*bounds, None][:3]
        return tree.Slice(self._span(parts), start, stop, step)

    def parenthesized(self, parts: Parts) -> tree.Expression:
        """The node inside, with a span that includes the parentheses, by which the formatter recognizes them."""
        return parts[1].replaced(span=self._span(parts))  # type: ignore[no-any-return] # an expression

    def list(self, parts: Parts) -> tree.List:
        return tree.List(self._span(parts), parts[1] or ())

    def comprehension(self, parts: Parts) -> tree.Comprehension:
        return tree.Comprehension(self._span(parts), parts[1], parts[3])

    def star(self, parts: Parts) -> tree.Star:
        return tree.Star(self._span(parts))

    def ellipsis(self, parts: Parts) -> tree.Ellipsis:
        return tree.Ellipsis(self._span(parts), parts[1] if len(parts) > 1 else None)

    def placeholder(self, parts: Parts) -> tree.Name:
        self.placeholders.append(tree.Name(self._span(parts), str(parts[0])))
        return self.placeholders[-1]

    def name(self, parts: Parts) -> tree.Name:
        span, text = self._span(parts), unicodedata.normalize("NFC", str(parts[0]))
        if text in PYTHON_CONSTANTS:
            meant = PYTHON_CONSTANTS[text]
            mistakes.PYTHON_CONSTANT.report(self.problems, span, fix=[Edit(span, meant)], word=text, meant=meant)
        elif not text.isidentifier():  # `\w` also matches superscripts and fractions
            mistakes.ODD_NAME.report(self.problems, span, name=text)
        return tree.Name(span, text)

    def number(self, parts: Parts) -> tree.Number:
        span, text = self._span(parts), str(parts[0])
        value: int | float = 0
        if re.search(r"[.eE]", text):
            value = float(text)
            if value == float("inf"):
                mistakes.NUMBER.report(self.problems, span, problem="too large for any dtype")
        elif len(text) > limits.DIGITS:
            mistakes.NUMBER.report(self.problems, span, problem="too large for any dtype")
        else:
            value = int(text)
        return tree.Number(span, text, value)

    def string(self, parts: Parts) -> tree.String:
        span, text = self._span(parts), str(parts[0])
        for escape in re.finditer(r"\\(.)", text):
            if escape[1] not in ESCAPES:
                escape_span = Span(self.source, span.start + escape.start(), span.start + escape.end())
                mistakes.ESCAPE.report(self.problems, escape_span, escape=escape[0])
        return tree.String(span, re.sub(r"\\(.)", lambda m: ESCAPES.get(m[1], m[0]), text[1:-1]))

    def constant(self, parts: Parts) -> tree.Constant:
        return tree.Constant(self._span(parts), CONSTANTS[parts[0]])

    def _check_range(self, call: tree.Call, function: tree.Name) -> None:
        """Report `for i in range(a, b)`."""
        bounds = [argument.value.span.text for argument in call.arguments]
        if function.text == "range" and len(bounds) in (1, 2):
            meant = "..".join(["0", *bounds][-2:])
            mistakes.PYTHON_RANGE.report(self.problems, call.span, fix=[Edit(call.span, meant)], meant=meant)


def _is_comparison(node: tree.Node) -> bool:
    """Whether a node is a comparison without parentheses around it."""
    return isinstance(node, tree.Binary) and node.operator in COMPARISONS and node.span.start == node.left.span.start
