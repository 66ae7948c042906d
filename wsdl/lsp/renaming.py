"""What has to change with a name: all places in the files of some programs that stand for the same thing.

Uses belong to their definitions, as the compiler resolves them (`wsdl.ir.references`). Beside these, bindings of one
name in one body are one variable; results, inputs and targets of a model go by their names into its trainings, and
placeholders of a `load` stand in a string and in the path of its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Source, Span
from wsdl.elaborate.bound_names import names_in_indices, names_of
from wsdl.ir.references import References
from wsdl.ir.stages import Checked
from wsdl.lsp.names import walk
from wsdl.ops import NAMED
from wsdl.syntax import tree
from wsdl.syntax.layout import words
from wsdl.syntax.parser import parse

_PLACEHOLDER = re.compile(r"\{(\w+)(?:\.\.\.)?\}")


class Program(NamedTuple):
    """A checked program, `None` if it couldn't be read, with the references of its names and its sources."""

    checked: Checked | None
    references: References
    sources: tuple[Source, ...]


class Bound(NamedTuple):
    """A name that a declaration of a file, or the file itself (`None`), binds as a `kind` of its own."""

    scope: tree.Node | None
    kind: str
    name: Span


def places(programs: Iterable[Program], name: Span) -> list[Span]:
    """All places that stand for what the name at a place does, itself included, in the order of files and offsets."""
    alike = _Alike()
    sources: dict[Source, None] = {}
    for program in programs:
        sources |= dict.fromkeys(program.sources)
        for use, definitions in program.references.definitions.items():
            alike.add(use, *(place for place in definitions if place.text == use.text))
        for same in _by_program(program.checked) if program.checked is not None else ():
            alike.add(*same)
    bound: dict[tuple[tree.Node | None, str, str], Span] = {}
    for source in sources:
        for scope, kind, place in bindings(source):
            alike.add(bound.setdefault((scope, kind, place.text), place), place)
        for same in placeholder_names(source):
            alike.add(*same)
    order = {source: number for number, source in enumerate(sources)}
    return sorted(alike.with_(name), key=lambda place: (order.get(place.source, -1), place.start))


def unresolved(programs: Sequence[Program], text: str) -> Iterator[Span]:
    """Where a name stands behind a dot, or as that of an argument, in a block or a branch that no program runs: what
    it is of is known by running it."""
    known = {use for program in programs for use in program.references.definitions}
    for source in dict.fromkeys(source for program in programs for source in program.sources):
        for body in parse(source, Problems()).declarations:
            for node in walk(body) if isinstance(body, tree.Block | tree.Model) else ():
                is_operation = isinstance(node, tree.Call) and node.function.span.text in NAMED
                arguments = node.arguments if isinstance(node, tree.Call) and not is_operation else ()
                names = [argument.name for argument in arguments if argument.name is not None]
                names += [node.name] if isinstance(node, tree.Field) else []
                yield from (name.span for name in names if name.text == text and name.span not in known)


def unknown(doubtful: Program, programs: Iterable[Program], text: str) -> Iterator[Span]:
    """Where a name stands in the files that only a program with errors reads, if it isn't known for what."""
    known = {place for use, places in doubtful.references.definitions.items() for place in (use, *places)}
    for source in set(doubtful.sources).difference(*(program.sources for program in programs)):
        imports = [node for node in parse(source, Problems()).declarations if isinstance(node, tree.Import)]
        imported = {name.span for node in imports for name in node.names}
        bound = {b.name for b in bindings(source)} - imported
        yield from (place for place in words(source) if place.text == text and place not in known | bound)


class _Alike:
    """Places in sets of those that stand for one thing."""

    def __init__(self) -> None:
        self._sets: dict[Span, set[Span]] = {}

    def add(self, *places: Span) -> None:
        """Join the sets of these places."""
        first = self.with_(places[0])
        for place in places[1:]:
            other = self.with_(place)
            if other is not first:
                first |= other
                self._sets.update(dict.fromkeys(other, first))

    def with_(self, place: Span) -> set[Span]:
        return self._sets.setdefault(place, {place})


# -- bindings ----------------------------------------------------------------------------------------------------------


def bindings(source: Source) -> Iterator[Bound]:
    """The names that a file binds. What is bound inside of a comprehension or in the `for` of a group belongs to it
    alone."""
    for node in parse(source, Problems()).declarations:
        if isinstance(node, tree.Import):
            yield from (Bound(None, "name", name.span) for name in node.names)
        elif isinstance(node, tree.Variant):
            yield Bound(None, "variant", node.name.span)
            yield from _in_body(node)
        elif isinstance(node, tree.Train):
            named_by_model = node.model.span == node.name.span
            yield from () if named_by_model else [Bound(None, "training", node.name.span)]
            yield from _in_body(node)
        elif isinstance(node, tree.Block | tree.Model):
            yield Bound(None, "name", node.name.span)
            yield from _in_body(node)
        else:
            yield from _below(node, None)


def _in_body(node: tree.Block | tree.Model | tree.Train | tree.Variant) -> Iterator[Bound]:
    """The names that a declaration with a body binds in it: configuration, inputs, dimensions and results first."""
    if isinstance(node, tree.Block):
        yield from (Bound(node, "name", item.name.span) for item in node.configuration)
    items: tuple[tree.Input | tree.Output, ...] = ()
    if isinstance(node, tree.Block | tree.Model):
        items = *node.inputs, *(node.outputs or ())
    elif isinstance(node, tree.Train):
        items = node.targets
    for item in items:
        if item.name is not None:
            yield Bound(node, "name" if isinstance(item, tree.Input) else "result", item.name.span)
        sizes = [name for dim in item.type.dims for name in names_of(dim)]
        sizes += [item.count] if isinstance(item.count, tree.Name) else []
        yield from (Bound(node, "size", size.span) for size in sizes)
    for statement in node.body:
        yield from _below(statement, node)


def _below(node: tree.Node, scope: tree.Node | None) -> Iterator[Bound]:
    for part in walk(node):
        own = part if isinstance(part, tree.Comprehension | tree.Share | tree.Formula) else scope
        if isinstance(part, tree.Clause):
            continue  # belongs to what is around it
        if isinstance(part, tree.Let | tree.Layer | tree.Parameter | tree.Carry | tree.Binding | tree.Numbers):
            yield Bound(scope, "name", part.name.span)
        elif isinstance(part, tree.Assign | tree.Scan):
            yield from (Bound(scope, "name", name.span) for name in part.targets)
        elif isinstance(part, tree.Loss | tree.Share | tree.Metric) and part.name is not None:
            yield Bound(scope, "group" if isinstance(part, tree.Share) else "reported", part.name.span)
        elif isinstance(part, tree.Changes):
            yield Bound(None, "training", part.name.span)
        elif isinstance(part, tree.Return):
            yield from (Bound(scope, "result", name.span) for name in part.names)
        clause = getattr(part, "clause", None)
        if isinstance(clause, tree.Clause):
            yield from (Bound(own, "name", name.span) for name in clause.names)


def _by_program(program: Checked) -> Iterator[list[Span]]:
    """Names that go from a model to its trainings, and losses that are added up."""
    files = {span.source: parse(span.source, Problems()) for span in (m.module.span for m in program.models.values())}
    for file in files.values():
        models = {node.name.text: node for node in file.declarations if isinstance(node, tree.Model)}
        for train in file.declarations:
            if not isinstance(train, tree.Train) or train.model.text not in models:
                continue
            outside: dict[str, Span] = {}
            for bound in _in_body(models[train.model.text]):
                if bound.kind == "result" or any(bound.name == i.name.span for i in models[train.model.text].inputs):
                    outside.setdefault(bound.name.text, bound.name)
            for bound in _in_body(train):
                if bound.kind == "name" and bound.name.text in outside:
                    yield [outside[bound.name.text], bound.name]
    for training in program.trainings.values():
        for loss in training.objective.auxiliary:
            yield [loss.span, *loss.others]


def placeholder_names(source: Source) -> Iterator[list[Span]]:
    """The names in braces of each line of a `load`, and in the indices of its path."""
    for node in walk(parse(source, Problems())):
        if not isinstance(node, tree.Mapping):
            continue
        by_name: dict[str, list[Span]] = {}
        for match in _PLACEHOLDER.finditer(node.span.text):
            start = node.span.start + match.start(1)
            by_name.setdefault(match[1], []).append(source.span(start, start + len(match[1])))
        for name in (*names_in_indices(node.target), *names_in_indices(node.source)):
            if name.text in by_name:
                by_name[name.text].append(name.span)
        yield from by_name.values()
