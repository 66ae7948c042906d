"""Completion: what may stand at the cursor, the nearest first.

The grammar says which words and whether a name or a string fits, the tree around the cursor what kind of name, and the
scope which names there are (`place.py`). Paths go through the layers of the last version of the text without
errors.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lsprotocol import types

from wsdl.diagnostics import CompileError, Problems
from wsdl.elaborate.bound_names import BUILTINS
from wsdl.elaborate.kinds import CONFIGURATION
from wsdl.elaborate.scopes import standard_block, standard_blocks, standard_ways
from wsdl.ir.initializers import INITIALIZERS
from wsdl.ir.training import OPTIMIZERS, SCHEDULES
from wsdl.ir.types import DTYPES
from wsdl.lsp.callees import Callee, by_name, called, documentation, of_block
from wsdl.lsp.documents import Document
from wsdl.lsp.names import walk
from wsdl.lsp.place import Place, place_at
from wsdl.ops import NAMED
from wsdl.syntax import tree
from wsdl.syntax.allowed import allows
from wsdl.syntax.mistakes import KEYWORDS
from wsdl.syntax.parser import parse
from wsdl.weights.open_source import open_source

Kind = types.CompletionItemKind

TRIGGERS = [".", '"', "/"]
"""Of a path and of a file. Behind `|>` comes a space and then a word, which clients ask about by themselves; VS Code
shows nothing for it if the answer about `>` comes later."""

# The words that begin statements, with their nodes.
_STATEMENTS: dict[str, type[tree.Node]] = {
    "carry": tree.Carry, "emit": tree.Emit, "for": tree.For, "freeze": tree.Freeze, "if": tree.If, "layer": tree.Layer,
    "let": tree.Let, "limit": tree.Limit, "load": tree.Load, "loss": tree.Loss, "lr": tree.LearningRate,
    "metric": tree.Metric, "optimizer": tree.Optimizer, "param": tree.Parameter, "require": tree.Require,
    "return": tree.Return, "scan": tree.Scan, "share": tree.Share, "shared": tree.Parameter, "state": tree.Parameter,
    "train": tree.Changes, "until": tree.Until, "update": tree.Update, "weight": tree.LossWeight,
}  # fmt: skip
_OF_SCANS = ("emit", "until")
_PATHS = (tree.Share, tree.Freeze, tree.Load, tree.LearningRate, tree.Copy)
_WEIGHTS = (".safetensors", ".npz", ".pt", ".pth", ".bin", ".onnx", ".json")
_NEARNESS = "abcdefghij"  # what `sortText` begins with


@dataclass(frozen=True)
class _Item:
    """`near` orders groups of proposals, `order` those of a group, `insert` is a snippet; the two last are the label
    where left out."""

    label: str
    kind: types.CompletionItemKind
    near: int
    detail: str = ""
    insert: str = ""
    order: str = ""


def completion(document: Document, params: types.CompletionParams) -> types.CompletionList:
    offset = document.positions.offset(params.position)
    place = place_at(document, offset)
    if place is None:
        return types.CompletionList(is_incomplete=False, items=[])
    if isinstance(place.nodes[-1] if place.nodes else None, tree.String):
        start, end = _of_file(place, document.source.text, offset)
        proposals = _files(document, place, document.source.text[place.start + 1 : start])
    else:
        start, end = place.start, place.end
        proposals = _proposals(document, place)
    edited = types.Range(document.positions.position(start), document.positions.position(end))
    found: dict[str, _Item] = {}
    for item in proposals:
        found.setdefault(item.label, item)
    snippets = document.documents.client.takes_snippets
    items = [_shown(item, edited, snippets) for item in found.values()]
    return types.CompletionList(is_incomplete=False, items=items)


def resolved_item(item: types.CompletionItem) -> types.CompletionItem:
    """A proposal with its documentation."""
    if isinstance(item.data, str) and (text := documentation(item.data)):
        item.documentation = types.MarkupContent(types.MarkupKind.Markdown, text)
    return item


def _shown(item: _Item, edited: types.Range, snippets: bool) -> types.CompletionItem:
    text = item.insert or item.label
    as_snippet = snippets and "$" in text
    return types.CompletionItem(
        item.label,
        kind=item.kind,
        detail=item.detail or None,
        sort_text=f"{_NEARNESS[item.near]}{item.order or item.label}",
        text_edit=types.TextEdit(edited, text if as_snippet else re.sub(r"\(?\$.*", "", text)),
        insert_text_format=types.InsertTextFormat.Snippet if as_snippet else types.InsertTextFormat.PlainText,
        data=item.label.split("(")[0].rstrip("="),
    )


# -- by the place ------------------------------------------------------------------------------------------------------


def _proposals(document: Document, place: Place) -> Iterator[_Item]:
    name, parent = place.nodes[-1] if place.nodes else None, place.parent()
    if name is None or _begins_statement(place):
        yield from _keywords(place)
    if name is None or parent is None:
        return
    if isinstance(parent, tree.Field) and parent.name is name:
        yield from _members(document, place, parent)
    elif isinstance(type := place.within(tree.Type), tree.Type):
        yield from _of_type(place, type)
        if parent is not type:
            yield from _in_expression(document, place)
    elif isinstance(parent, tree.Configuration) and name in parent.types:
        yield from (_Item(word, Kind.TypeParameter, 0) for word in CONFIGURATION)
    elif isinstance(parent, tree.Train) and name is parent.model:
        yield from (_Item(model.name, Kind.Class, 0, "model") for model in place.scope.models())
    elif isinstance(parent, tree.Import):
        yield from _importable(document, parent)
    elif above := _above(place):
        yield from _parts(document, place, above)
    elif isinstance(parent, tree.Call) and parent.function is name and place.within(tree.Optimizer):
        yield from _callables(place, {**OPTIMIZERS, **SCHEDULES} if place.call() else OPTIMIZERS, 0)
    elif isinstance(parent, tree.Call) and isinstance(place.within(tree.Share), tree.Share) and _is_way(place, parent):
        yield from _ways(place)
    elif _begins_statement(place):  # a name that is bound again
        yield from _bound(document, place, 1)
    elif not _is_declared(name, parent):
        yield from _in_expression(document, place)


def _begins_statement(place: Place) -> bool:
    parent = place.parent()
    return isinstance(parent, tree.Assign) and place.nodes[-1] in parent.targets


def _is_declared(name: tree.Node, parent: tree.Node) -> bool:
    """Whether a name is one that the statement declares, so that it is new."""
    if isinstance(parent, tree.Clause):
        return name in parent.names
    if isinstance(parent, tree.Scan):
        return name in parent.targets
    return getattr(parent, "name", None) is name and not isinstance(parent, tree.Argument | tree.LossWeight)


def _is_way(place: Place, call: tree.Call) -> bool:
    share = place.within(tree.Share)
    return isinstance(share, tree.Share) and share.way is call


def _keywords(place: Place) -> Iterator[_Item]:
    """The words that the grammar accepts, without statements that the declaration around them can't have."""
    around = type(place.declaration) if place.declaration is not None else None
    in_scan = place.within(tree.Scan) is not None
    for word in sorted(terminal.lower() for terminal in place.accepts):
        statement = _STATEMENTS.get(word)
        if statement is None and word not in _WORDS:
            continue
        if around is not None and statement is not None and not allows(around, statement):
            continue
        if word not in _OF_SCANS or in_scan:
            yield _Item(word, Kind.Keyword, 4)


_WORDS = {*KEYWORDS.split("|"), "block", "model", "train", "variant", "turns", "mix", "from", "import"}


def _of_type(place: Place, type: tree.Type) -> Iterator[_Item]:
    """A dtype, or names of dimensions: those of other types in the declaration, and constants."""
    if type.dtype is place.nodes[-1]:
        yield from (_Item(dtype, Kind.TypeParameter, 0) for dtype in DTYPES)
        return
    declaration = place.declaration
    around = [declaration] if declaration is not None else []
    if isinstance(declaration, tree.Train):
        around += [model.node for model in place.scope.models() if model.name == declaration.model.text]
    for node in (inner for outer in around for inner in walk(outer)):
        if isinstance(node, tree.Type):
            for dim in node.dims:
                names = [n for n in walk(dim) if isinstance(n, tree.Name) and n is not place.nodes[-1]]
                yield from (_Item(n.text, Kind.Variable, 0, "dimension") for n in names)
    for name in getattr(declaration, "configuration", ()):
        yield _Item(name.name.text, Kind.Constant, 1, name.span.text)
    for name, definition in place.scope.definitions.items():
        if isinstance(definition.node, tree.Let):
            yield _Item(name, Kind.Constant, 1, definition.node.span.text)


def _importable(document: Document, node: tree.Import) -> Iterator[_Item]:
    folder = os.path.dirname(document.source.path)
    try:
        source = document.documents.read(os.path.join(folder, node.file.value))
    except CompileError:
        return
    for declared in parse(source, Problems()).declarations if source is not None else ():
        if isinstance(declared, tree.Block | tree.Model | tree.Let | tree.Layer | tree.Parameter):
            yield _Item(declared.name.text, Kind.Class, 0, " ".join(declared.span.text.split("{")[0].split()))


def _in_expression(document: Document, place: Place) -> Iterator[_Item]:
    parent, call = place.parent(), place.call()
    is_stage = isinstance(parent, tree.Pipe) and parent.stage is place.nodes[-1]
    if call is not None and isinstance(parent, tree.Argument):
        yield from _arguments(place, *call)
        if parent.name is not None and parent.name is place.nodes[-1]:
            return
    if isinstance(parent, tree.Parameter):
        yield from _callables(place, INITIALIZERS, 0)
        return
    yield from _bound(document, place, 3 if is_stage else 1)
    if place.within(*_PATHS, tree.Formula) is not None:
        yield from (_Item(model.name, Kind.Class, 2, "model") for model in place.scope.models())
        for name, found in place.scope.definitions.items():
            if isinstance(found.node, tree.Layer | tree.Parameter | tree.Let):
                yield _Item(name, Kind.Module, 1, " ".join(found.node.span.text.split()))
        if place.within(tree.Formula) is None:
            return
    for name, found in place.scope.definitions.items():
        if isinstance(found.node, tree.Block):
            yield _callable(of_block(found.node), Kind.Class, 2)
        elif not isinstance(found.node, tree.Model):
            yield _Item(name, Kind.Constant, 2, " ".join(found.node.span.text.split()))
    for name in standard_blocks():
        definition = standard_block(name)
        if definition is not None and isinstance(definition.node, tree.Block):
            yield _callable(of_block(definition.node), Kind.Class, 3 if is_stage else 5)
    yield from _callables(place, NAMED, 2 if is_stage else 3, given=int(is_stage))
    if not is_stage:
        yield from (_Item(name, Kind.Function, 4) for name in BUILTINS)
        yield from (_Item(name, Kind.TypeParameter, 7) for name in DTYPES)
        yield from (_Item(t.lower(), Kind.Keyword, 6) for t in ("TRUE", "FALSE", "NONE", "NOT") if t in place.accepts)
    if place.within(tree.Optimizer, tree.LearningRate) is not None:
        yield from _callables(place, SCHEDULES, 0)


def _bound(document: Document, place: Place, near: int) -> Iterator[_Item]:
    """The names of the body that are bound at the place, with their types in the last program."""
    known = {span.text: str(b.type) for span, of in document.last_checked.index.bindings.items() for b in of}
    for name in place.names:
        if name not in place.scope.definitions:
            yield _Item(name, Kind.Variable, near, known.get(name, ""))


def _arguments(place: Place, call: tree.Call, argument: tree.Argument) -> Iterator[_Item]:
    """The parameters of what is called that aren't given yet, by name."""
    found = called(call, place)
    if found is None:
        return
    callee, before = found
    given = {a.name.text for a in call.arguments if a.name is not None}
    positional = [a for a in call.arguments if a.name is None and a is not argument]
    sign = "" if argument.name is place.nodes[-1] else "="  # it may stand behind the cursor
    for i, parameter in enumerate(callee.parameters[before + len(positional) :]):
        if parameter.name not in given:
            yield _Item(f"{parameter.name}{sign}", Kind.Property, 0, parameter.label, order=f"{i:03}")


def _callables(place: Place, names: Iterable[str], near: int, given: int = 0) -> Iterator[_Item]:
    for name in names:
        callee = by_name(name, place)
        if callee is not None:
            yield _callable(callee, Kind.Function, near, given)


def _callable(callee: Callee, kind: types.CompletionItemKind, near: int, given: int = 0) -> _Item:
    """`given` parameters stand in front of a call: `x |> softmax(axis=-1)`."""
    needed = [p.name for p in callee.parameters[given:] if p.required]
    written = ", ".join(f"${{{i}:{name}}}" for i, name in enumerate(needed, start=1))
    insert = f"{callee.name}({written})" if needed else f"{callee.name}($1)" if not given else callee.name
    return _Item(callee.name, kind, near, callee.label, insert)


def _ways(place: Place) -> Iterator[_Item]:
    for name in standard_ways():
        definition = standard_block(name)
        if definition is not None and isinstance(definition.node, tree.Block):
            yield _callable(of_block(definition.node), Kind.Class, 1)
    for found in place.scope.definitions.values():
        if isinstance(found.node, tree.Block):
            yield _callable(of_block(found.node), Kind.Class, 0)


# -- paths and files ---------------------------------------------------------------------------------------------------


def _members(document: Document, place: Place, node: tree.Field) -> Iterator[_Item]:
    """What a path goes on with: layers and parameters; behind a value, operations."""
    path, above = node.object.span.text, _above(place)
    yield from _parts(document, place, f"{above}.{path}" if above else path)
    yield _Item("T", Kind.Property, 1, "transposed")
    if place.within(*_PATHS) is None:
        yield from _callables(place, NAMED, 2, given=1)


def _parts(document: Document, place: Place, path: str) -> Iterator[_Item]:
    index = document.last_checked.index
    pattern = re.sub(r"\\\[.*?\\\]", r"\\[\\d+\\]", re.escape("".join(path.split())))
    declaration = place.declaration
    owner = declaration.name.text if isinstance(declaration, tree.Model) else ""
    begins = rf"^{re.escape(owner)}\." if owner else r"(?:^|\.)"
    part = re.compile(rf"{begins}{pattern}\.(\w+)(\[\d+\])?($)?")
    for path, slot in index.slots.items():
        match = part.search(path)
        if match is not None and match[3] is not None:
            yield _Item(match[1], Kind.Field, 0, str(slot.type))
        elif match is not None:
            yield _Item(match[1], Kind.Module, 0, "layers" if match[2] else "layer")


def _above(place: Place) -> str:
    """The path below which the path at the place begins: that of the target of a `load`, or of what a `share` lists."""
    path, mapping = _path(place), place.within(tree.Mapping)
    statement = place.within(tree.Load, tree.Share)
    if isinstance(statement, tree.Load):
        is_below = path in statement.exceptions or (isinstance(mapping, tree.Mapping) and mapping.target is path)
        return statement.target.span.text if is_below else ""
    return statement.members[0].span.text if isinstance(statement, tree.Share) and path in statement.exceptions else ""


def _path(place: Place) -> tree.Node:
    """The whole path that the name at the place is a part of; a name in its brackets is a path by itself."""
    path = place.nodes[-1]
    for node in reversed(place.nodes[:-1]):
        if not isinstance(node, tree.Field | tree.Index) or (isinstance(node, tree.Index) and node.object is not path):
            break
        path = node
    return path


def _tensors(document: Document, load: tree.Load) -> Iterator[_Item]:
    """The names of the tensors in the files of a `load`."""
    folder = os.path.dirname(document.source.path)
    for file in load.files:
        try:
            listing = open_source(os.path.join(folder, file.value))
        except CompileError:
            continue
        yield from (_Item(name, Kind.Field, 0, str(listing.info(name))) for name in listing.names)


def _of_file(place: Place, text: str, offset: int) -> tuple[int, int]:
    """The part of a string that a proposal replaces: a name of a file from the last slash before the cursor on."""
    end = place.end - (place.end > offset and text[place.end - 1] == '"')
    folder = text[place.start + 1 : offset].rfind("/") + 1 if place.within(tree.Mapping, tree.Ignore) is None else 0
    return place.start + 1 + folder, end


def _files(document: Document, place: Place, folder: str) -> Iterator[_Item]:
    """The files that an `import` or a `load` may name, and folders; in a table the tensors."""
    parent, load = place.parent(), place.within(tree.Load)
    if isinstance(load, tree.Load) and place.within(tree.Mapping, tree.Ignore) is not None:
        yield from _tensors(document, load)
        return
    endings = (".wsd",) if isinstance(parent, tree.Import) else _WEIGHTS if isinstance(parent, tree.Load) else ()
    own = Path(document.source.path)
    try:
        beside = sorted((own.parent / folder).iterdir()) if endings else []
    except OSError:
        return
    for path in beside:
        if path.is_dir() and not path.name.startswith((".", "__")):
            yield _Item(f"{path.name}/", Kind.Folder, 1)
        elif path.name.endswith(endings) and '"' not in path.name and path != own:
            yield _Item(path.name, Kind.File, 0)
