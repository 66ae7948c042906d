"""Extract block: selected statements, or selected stages of a pipeline, become a block that is applied in their place.

Tensors that they read are its inputs, of the types that the checker found; constants and layers that they read are its
configuration, so that a layer that was declared before keeps its path. Tensors that are read behind them are its
results.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from lsprotocol.types import CodeActionKind

from wsdl.diagnostics import Edit
from wsdl.diagnostics.span import Span
from wsdl.elaborate.bound_names import bound_names, last_places, names_of
from wsdl.elaborate.training import names_read
from wsdl.ir.types import TensorType
from wsdl.lsp.documents import Document
from wsdl.lsp.names import definitions_of, nodes_at, walk
from wsdl.lsp.rewrites import Rewrite
from wsdl.syntax import tree

_MOVED = (tree.Assign, tree.Layer, tree.Parameter, tree.Let, tree.For, tree.If, tree.Scan, tree.Require, tree.Loss)
_INDENTATION = "    "


def extractions(document: Document, start: int, end: int) -> Iterator[Rewrite]:
    """Of what a selection contains, without the space around it."""
    text = document.source.text
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    owner = next((d for d in document.tree.declarations if d.span.start <= start and end <= d.span.end), None)
    if start == end or not isinstance(owner, tree.Block | tree.Model):
        return
    selected = [s for s in owner.body if s.span.start < end and start < s.span.end]
    if selected and selected[0].span.start == start and selected[-1].span.end == end:
        yield from _of_statements(document, owner, selected)
    else:
        yield from _of_stages(document, owner, start, end)


def _of_statements(
    document: Document, owner: tree.Block | tree.Model, selected: Sequence[tree.Statement]
) -> Iterator[Rewrite]:
    behind = owner.body[owner.body.index(selected[-1]) + 1 :]
    bound = bound_names(selected)
    read_behind = {name.text for name in _read(behind)}
    results = [name for name in bound if name in read_behind]
    declared = {n.name.text for s in selected for n in walk(s) if isinstance(n, tree.Layer | tree.Parameter)}
    if not results or declared & read_behind or not all(isinstance(statement, _MOVED) for statement in selected):
        return
    if any(bound[name] not in document.index.bindings for name in results):  # a list, or a constant
        return
    signature = _Signature(document, owner)
    if not signature.take(_read(selected), selected):
        return
    body = document.source.text[_line_start(selected[0]) : selected[-1].span.end]
    call = f"{', '.join(results)} = {signature.call()}"
    places = [last_places(selected)[name] for name in results]
    block = signature.block(
        f"{body}\n{_INDENTATION}return {', '.join(results)}", dict(zip(results, places, strict=True))
    )
    yield _rewrite(document, owner, selected[0].span.to(selected[-1].span), call, block)


def _of_stages(document: Document, owner: tree.Block | tree.Model, start: int, end: int) -> Iterator[Rewrite]:
    """Of `|> Dense(8) |> relu`, with or without the sign before the first one."""
    text = document.source.text
    start += 2 if text.startswith("|>", start) else 0
    while text[start].isspace():
        start += 1
    around = list(nodes_at(owner, start))
    if any(isinstance(node, tree.Comprehension | tree.For | tree.Scan | tree.If) for node in around):
        return
    pipe = next((node for node in around if isinstance(node, tree.Pipe) and node.span.end >= end), None)
    stages: list[tree.Expression] = []
    at: tree.Expression | None = pipe
    while isinstance(at, tree.Pipe):
        stages.insert(0, at.stage)
        at = at.value
    chosen = [stage for stage in stages if start <= stage.span.start and stage.span.end <= end]
    if len(chosen) < 2 or chosen[0].span.start != start or chosen[-1].span.end != end:
        return
    signature = _Signature(document, owner)
    if not signature.take([name for stage in chosen for name in names_of(stage)], chosen) or signature.inputs:
        return
    first = pipe
    while isinstance(first, tree.Pipe) and first.stage is not chosen[0]:
        first = first.value if isinstance(first.value, tree.Pipe) else None
    value = first.value if first is not None else None
    places = definitions_of(document, value.span) if isinstance(value, tree.Name) else ()
    types = [binding.type for place in places for binding in document.index.bindings.get(place, ())]
    integers = bool(types) and not all(type.is_float for type in types)
    signature.inputs["x"] = _general(types) if integers else "[...]"
    block = signature.block(f"{_INDENTATION}return x |> {text[start:end]}")
    yield _rewrite(document, owner, document.source.span(start, end), signature.layer(), block)


def _rewrite(document: Document, owner: tree.Node, place: Span, call: str, block: str) -> Rewrite:
    name = block.partition(" ")[2].partition("(")[0]
    above = document.source.span(*[_start_with_comments(document, owner)] * 2)
    edits = (Edit(above, f"{block}\n\n"), Edit(place, call))
    return Rewrite(f"Extract the block `{name}`", CodeActionKind.RefactorExtract.value, edits)


def _line_start(node: tree.Node) -> int:
    return node.span.source.text.rfind("\n", 0, node.span.start) + 1


def _start_with_comments(document: Document, node: tree.Node) -> int:
    """The start of a declaration with the lines of comments directly above it."""
    text, start = document.source.text, _line_start(node)
    while start and text[text.rfind("\n", 0, start - 1) + 1 : start].lstrip().startswith("#"):
        start = text.rfind("\n", 0, start - 1) + 1
    return start


def _read(statements: Iterable[tree.Statement]) -> list[tree.Name]:
    """The names that statements read, and those that paths begin with."""
    return [name for statement in statements for name in (*names_read(statement), *_in_paths(statement))]


def _in_paths(statement: tree.Statement) -> Iterator[tree.Name]:
    for node in walk(statement):
        if isinstance(node, tree.Share | tree.Freeze | tree.Formula | tree.Update):
            yield from (part for part in walk(node) if isinstance(part, tree.Name))


class _Signature:
    """The inputs and the configuration of a new block, by name."""

    def __init__(self, document: Document, owner: tree.Block | tree.Model) -> None:
        self._document, self._owner = document, owner
        self.inputs: dict[str, str] = {}
        self._configuration: dict[str, str] = {}
        taken = {d.name.text for d in document.tree.declarations if isinstance(d, tree.Block)}
        self._name = next(name for name in _names() if name not in taken)

    def take(self, names: Iterable[tree.Name], inside: Sequence[tree.Node]) -> bool:
        """Add what stands for the names that are bound outside; `False` if that can't be done."""
        own = [part.span for part in inside]
        sizes: list[str] = []
        for name in names:
            places = definitions_of(self._document, name.span)
            outside = [p for p in places if not any(s.source is p.source and s.start <= p.start < s.end for s in own)]
            outside = [p for p in outside if p.source is name.span.source and self._owner.span.start <= p.start]
            outside = [p for p in outside if p != name.span and p.end <= self._owner.span.end]
            if not outside or name.text in self.inputs or name.text in self._configuration:
                continue
            role = self._role(name, outside)
            if role == "size":
                sizes.append(name.text)
            elif role is None:
                return False
        return all(self._has_size(size) for size in sizes)

    def _role(self, name: tree.Name, places: Sequence[Span]) -> str | None:
        """Add a name; what it is, `None` if a block can't have it."""
        bindings = self._document.index.bindings
        inputs = {item.name.span: item for item in self._owner.inputs}
        configuration = self._owner.configuration if isinstance(self._owner, tree.Block) else ()
        for item in configuration:
            if item.name.span in places:
                self._configuration[name.text] = " | ".join(kind.text for kind in item.types)
                return "configuration"
        declared = next((n for n in walk(self._owner) if isinstance(n, tree.Layer) and n.name.span in places), None)
        if declared is not None:
            is_array = declared.count is not None or isinstance(declared.value, tree.List | tree.Comprehension)
            self._configuration[name.text] = "list" if is_array else "layer"
            return "configuration"
        input_ = next((inputs[place] for place in places if place in inputs), None)
        if input_ is not None and len(places) == 1:
            if input_.count is not None or input_.default is not None:
                return None
            self.inputs[name.text] = input_.type.span.text
            return "input"
        types = [binding.type for place in places for binding in bindings.get(place, ())]
        if types:
            is_one = isinstance(self._owner, tree.Model) and len({*map(str, types)}) == 1
            self.inputs[name.text] = _written(types[0]) if is_one else _general(types)
            return "input"
        sizes = {n.span for i in self._owner.inputs for dim in i.type.dims for n in names_of(dim)}
        return "size" if sizes.intersection(places) else None

    def _has_size(self, size: str) -> bool:
        """Whether an input of the block binds a size."""
        return any(size in _parts(type) for type in self.inputs.values())

    def _call_arguments(self) -> str:
        return ", ".join(f"{name}={name}" for name in self._configuration)

    def layer(self) -> str:
        return f"{self._name}({self._call_arguments()})"

    def call(self) -> str:
        return f"{self.layer()}({', '.join(self.inputs)})"

    def _results(self, places: Mapping[str, Span]) -> str:
        """The types of results; left out if they differ from one application of the block around it to another."""
        bindings = self._document.index.bindings
        types = {name: {str(b.type): b.type for b in bindings.get(place, ())} for name, place in places.items()}
        bound = {part for type in self.inputs.values() for part in _parts(type)}
        listed: list[str] = []
        for name, alike in types.items():
            written = _written(next(iter(alike.values()))) if len(alike) == 1 else ""
            dtype, *sizes = _parts(written) or [""]
            if (
                not dtype
                or not isinstance(self._owner, tree.Model)
                or not {s for s in sizes if not s.isdigit()} <= bound
            ):
                return ""
            listed.append(f"{name}: {written}")
        return f" -> {listed[0].partition(': ')[2]}" if len(listed) == 1 else f" -> ({', '.join(listed)})"

    def block(self, body: str, results: Mapping[str, Span] | None = None) -> str:
        configuration = ", ".join(f"{name}: {kind}" for name, kind in self._configuration.items())
        inputs = ", ".join(f"{name}: {type}" for name, type in self.inputs.items())
        types = self._results(results) if results else ""
        return f"block {self._name}({configuration})({inputs}){types} {{\n{body}\n}}"


def _written(type: TensorType) -> str:
    """A type in the signature of a block: sizes that are computed from others are left open."""
    dims = (str(dim) if dim.constant is not None or str(dim).isidentifier() else "_" for dim in type.shape)
    return f"{type.dtype}[{', '.join(dims)}]" if type.shape else type.dtype


def _general(types: Sequence[TensorType]) -> str:
    """A type of the inputs of a block that all of these have: without sizes, and without a dtype if it is a float."""
    dtypes, ranks = {type.dtype for type in types}, {len(type.shape) for type in types}
    dtype = "" if all(type.is_float for type in types) else dtypes.pop() if len(dtypes) == 1 else "any"
    return f"{dtype}[{', '.join('_' * ranks.pop()) if len(ranks) == 1 else '...'}]"


def _parts(type: str) -> list[str]:
    return "".join(c if c.isalnum() or c == "_" else " " for c in type).split()


def _names() -> Iterator[str]:
    yield "Extracted"
    number = 2
    while True:
        yield f"Extracted{number}"
        number += 1
