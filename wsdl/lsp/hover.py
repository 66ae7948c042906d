"""Hover: the type of a value and where it comes from, what a layer or a parameter stores and who else reads it, the
documentation of a block or an operation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lsprotocol import types

from wsdl.api.listing import parts, slots
from wsdl.api.reference import text_and_example
from wsdl.diagnostics import Problems
from wsdl.diagnostics.figures import count, listed, size
from wsdl.diagnostics.span import Span
from wsdl.ir.graph import Binding, Slot, Value
from wsdl.ir.inventory import Inventory, Tensor
from wsdl.ir.origins import Origins
from wsdl.ir.ranges import compact
from wsdl.ir.stages import FormulaReading, Storage
from wsdl.lsp.callees import documentation
from wsdl.lsp.documents import Document
from wsdl.lsp.names import definitions_of, name_at, slots_of, walk
from wsdl.ops import NAMED
from wsdl.syntax import tree
from wsdl.syntax.parser import parse

_SEVERAL = 4  # types of a name that has another one in each layer


def hover(document: Document, params: types.HoverParams) -> types.Hover | None:
    name = name_at(document, params.position)
    if name is None:
        return None
    paragraphs = [*_values(document, name), *_stored(document, name)]
    definition = next((_declaration(place) for place in definitions_of(document, name)), None)
    if definition is not None:
        paragraphs = [*(() if _is_bound(paragraphs) else _head(definition)), *paragraphs, *_text(definition)]
    elif not paragraphs and name.text in NAMED:
        paragraphs = [documentation(name.text)]
    if not paragraphs:
        return None
    content = types.MarkupContent(types.MarkupKind.Markdown, "\n\n".join(paragraphs))
    return types.Hover(content, document.positions.range(name))


def _is_bound(paragraphs: list[str]) -> bool:
    return bool(paragraphs) and paragraphs[0].startswith("```")


def _code(text: str) -> str:
    return f"```wsd\n{text}\n```"


# -- values ------------------------------------------------------------------------------------------------------------


def _values(document: Document, name: Span) -> Iterator[str]:
    """The types that the bindings of a name have, and where the value of the last one comes from."""
    program = document.examined.program
    places = definitions_of(document, name)
    bindings = [binding for place in places for binding in document.index.bindings.get(place, ())]
    if program is None or not bindings:
        return
    by_type: dict[str, list[Binding]] = {}
    for binding in bindings:
        by_type.setdefault(str(binding.type), []).append(binding)
    shown = list(by_type.items())[:_SEVERAL]
    lines = [f"{name.text}: {type}" + (f"  # {_layers(alike)}" if len(by_type) > 1 else "") for type, alike in shown]
    yield _code("\n".join([*lines, *(["…"] if len(by_type) > _SEVERAL else [])]))
    story = origin(bindings[-1].value, program.origins)
    if story:
        yield story


def _layers(bindings: Iterable[Binding]) -> str:
    return ", ".join(compact(dict.fromkeys(binding.path for binding in bindings)))


def origin(value: Value, origins: Origins) -> str:
    """Where a value comes from: `the result of blocks[11], line 27`, or the operation with what it reads."""
    if value in origins.named:
        named = origins.named[value]
        what = named.name if named.name.startswith("the ") else f"the result of {named.name}"
        return f"{what}, line {named.span.line}"
    node = origins.producers.get(value)
    if node is None:
        return ""
    read = ", ".join(_operand(operand, origins) for operand in node.inputs)
    return f"`{node.op}`" + (f" of {read}" if read else "")


def _operand(value: Value, origins: Origins) -> str:
    named = origins.named.get(value)
    node = origins.producers.get(value)
    called = named.name if named is not None else f"`{value.name}`" if value.name else f"`{node.op}`" if node else ""
    return f"{called} `{value.type}`".strip()


# -- stored tensors ----------------------------------------------------------------------------------------------------


def _stored(document: Document, name: Span) -> Iterator[str]:
    """What is stored for the slots that a name stands for, and which other slots read it."""
    of_name = slots_of(document, name)
    storage, inventory = document.examined.storage, document.inventory
    if not of_name:
        return
    if len(of_name) == 1 and of_name[0].story:
        yield of_name[0].story
    if storage is None or inventory is None:  # there are errors, so that nothing is known but shapes
        by_type: dict[str, list[str]] = {}
        for slot in of_name:
            by_type.setdefault(str(slot.type), []).append(slot.path)
        rows = [f"- `{path}`: `{type}`" for type, alike in by_type.items() for path in compact(alike)]
        yield "\n".join(listed(rows))
        return
    names = list(dict.fromkeys(tensor for slot in of_name for tensor in storage.readings[slot.path].tensors))
    tensors = [inventory.stored[tensor] for tensor in names]
    elements, bytes = sum(tensor.elements for tensor in tensors), sum(tensor.bytes for tensor in tensors)
    variant = next((d for d in document.tree.declarations if isinstance(d, tree.Variant) and _is_in(name, d)), None)
    without = f", without the variant `{variant.name.text}`" if variant is not None else ""
    yield f"{count(elements, 'parameter')} in {count(len(tensors), 'stored tensor')}, {size(bytes)}{without}"
    rows = [_row(path, alike, inventory) for path, alike in parts(inventory, names)]
    yield "\n".join(listed([*rows, *_computed(of_name, storage)]))


def _is_in(name: Span, node: tree.Node) -> bool:
    return name.source is node.span.source and node.span.start <= name.start < node.span.end


def _row(path: str, alike: list[Tensor], inventory: Inventory) -> str:
    """A stored tensor, or those of repeated layers, with what reads it."""
    first, several = alike[0], f" × {len(alike)}" if len(alike) > 1 else ""
    row = f"- `{path}`: `{first.type}`{several}, {size(sum(tensor.bytes for tensor in alike))}"
    row += f", in the group `{first.group}`" if first.group not in ("", first.name) else ""
    row += "" if first.trainable else ", not trained"
    uses = inventory.uses(first)
    if len(alike) == 1 and inventory.used(first) > 1:
        readers = (f"`{line}`" + (f" {times}×" if times > 1 else "") for line, times in slots(uses))
        row += f", read {inventory.used(first)} times: {', '.join(readers)}"
    return row


def _computed(of_name: Iterable[Slot], storage: Storage) -> Iterator[str]:
    """The formulas that compute some of the slots."""
    formulas: dict[str, list[str]] = {}
    for slot in of_name:
        reading = storage.readings[slot.path]
        if isinstance(reading, FormulaReading):
            formulas.setdefault(reading.formula.text, []).append(slot.path)
    for text, paths in formulas.items():
        yield f"- {', '.join(f'`{path}`' for path in compact(paths))} is computed: `{text}`"


# -- declarations ------------------------------------------------------------------------------------------------------

_DECLARED = (
    tree.Let, tree.Layer, tree.Parameter, tree.Input, tree.Configuration, tree.Block, tree.Model, tree.Train, tree.Share
)  # fmt: skip


def _declaration(place: Span) -> tree.Node | None:
    """The declaration of the name at a place, in any file."""
    file = parse(place.source, Problems())
    return next((n for n in walk(file) if isinstance(n, _DECLARED) and n.name and n.name.span == place), None)


def _head(node: tree.Node) -> Iterator[str]:
    """A declaration on one line, without its body."""
    text = node.span.text
    if isinstance(node, tree.Block | tree.Model | tree.Train) and node.body:
        text = node.span.source.text[node.span.start : node.body[0].span.start].rpartition("{")[0]
        text = text.partition("{\n")[0]
    yield _code(" ".join(text.split()))


def _text(node: tree.Node) -> Iterator[str]:
    """Its doc comment."""
    if isinstance(node, tree.Block):
        text, example = text_and_example(node)
        yield from ([text] if text else [])
        yield from ([_code(example)] if example else [])
    elif doc := getattr(node, "doc", ""):
        yield doc
