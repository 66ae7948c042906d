"""Tie these: a `share` of layers or parameters that fit, whole, by their weights, or transposed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lsprotocol.types import CodeActionKind

from wsdl.diagnostics import Edit
from wsdl.ir.graph import Slot
from wsdl.ir.stages import Storage
from wsdl.lsp.documents import Document
from wsdl.lsp.names import children
from wsdl.lsp.rewrites import Rewrite
from wsdl.syntax import tree

_MOST = 5  # layers that are proposed beside one


class _Member(NamedTuple):
    """A layer, an array of layers or a parameter, with the slots of each layer by their paths below it."""

    node: tree.Layer | tree.Parameter
    layers: list[dict[str, Slot]]

    @property
    def name(self) -> str:
        return self.node.name.text


def ties(document: Document, start: int, end: int) -> Iterator[Rewrite]:
    """Of the declarations that a selection touches; of one with each that fits in the same body."""
    storage = document.examined.storage
    body = _body_around(document.tree, start, end)
    declared = [node for node in body if isinstance(node, tree.Layer | tree.Parameter)]
    chosen = [node for node in declared if node.span.start <= end and start <= node.span.end]
    if storage is None or not chosen:
        return
    members = [member for node in declared if (member := _member(document, node)).layers]
    selected = [member for member in members if member.node in chosen]
    if len(selected) > 1:
        groups = [selected]
    else:
        groups = [[one, other] for one in selected for other in members if other is not one]
        for member in selected:
            if _is_array(member, storage):
                yield _rewrite(document, body, [member], [f"{member.name}[*]"])
    proposed = 0
    for group in groups:
        paths = _fitting(group, storage)
        if paths and proposed < _MOST:
            proposed += 1
            yield _rewrite(document, body, group, paths)


def _body_around(node: tree.Node, start: int, end: int) -> Sequence[tree.Node]:
    """The statements of the innermost body around a part of the text; those of the file where there is none."""
    body: Sequence[tree.Node] = node.declarations if isinstance(node, tree.File) else ()
    for child in children(node):
        if isinstance(child, tree.Block | tree.Model) and child.span.start <= start and end <= child.span.end:
            body = child.body
    return body


def _member(document: Document, node: tree.Layer | tree.Parameter) -> _Member:
    """With the slots of its first instance: a block may be applied several times."""
    if isinstance(node, tree.Parameter):
        slots = [slot for slot in document.index.slots_at(node.name.span) if slot.kind == "param"][:1]
        return _Member(node, [{"": slot} for slot in slots if node.kind == "param"])
    modules = document.index.modules_at(node.name.span)
    owner = modules[0].path.rpartition(".")[0] if modules else ""
    layers = []
    for module in modules:
        if module.path.rpartition(".")[0] == owner:
            layers.append({slot.path[len(module.path) + 1 :]: slot for slot in module.all_slots()})
    return _Member(node, [layer for layer in layers if layer])


# -- what fits ---------------------------------------------------------------------------------------------------------


def _is_array(member: _Member, storage: Storage) -> bool:
    """Whether it is an array of equal layers that aren't tied yet."""
    first, *others = member.layers
    return (
        isinstance(member.node, tree.Layer)
        and bool(others)
        and all(_alike(first, other) for other in others)
        and not all(_tied(a, b, storage) for a, b in zip(first.values(), others[0].values(), strict=True))
    )


def _fitting(group: Sequence[_Member], storage: Storage) -> list[str]:
    """The paths of a `share` of single layers or parameters; none where they don't fit, or are tied already."""
    if any(len(member.layers) > 1 or getattr(member.node, "count", None) is not None for member in group):
        return []
    first, *others = (member.layers[0] for member in group)
    if all(_alike(first, other) for other in others):
        tied = all(_tied(first[part], other[part], storage) for other in others for part in first)
        return [] if tied else [member.name for member in group]
    parts = ["" if isinstance(member.node, tree.Parameter) else "weight" for member in group]
    slots = [member.layers[0].get(part) for member, part in zip(group, parts, strict=True)]
    views = [_view(slot, slots[0]) for slot in slots]
    if None in views or all(_tied(slots[0], slot, storage) for slot in slots[1:]):
        return []
    paths = [f"{member.name}.{part}".rstrip(".") for member, part in zip(group, parts, strict=True)]
    return [f"{path}{view}" for path, view in zip(paths, views, strict=True)]


def _view(slot: Slot | None, first: Slot | None) -> str | None:
    """The view of a slot that has the shape of the first one; `None` if there is none."""
    if (
        first is None
        or slot is None
        or slot.kind != "param"
        or (slot.type.dtype, slot.kind) != (first.type.dtype, first.kind)
    ):
        return None
    if slot.sizes == first.sizes:
        return ""
    return ".T" if len(slot.sizes) == 2 and slot.sizes[::-1] == first.sizes else None


def _alike(first: dict[str, Slot], other: dict[str, Slot]) -> bool:
    types = [{part: (slot.kind, str(slot.type)) for part, slot in layer.items()} for layer in (first, other)]
    return types[0] == types[1]


def _tied(first: Slot | None, other: Slot | None, storage: Storage) -> bool:
    readings = [storage.readings[slot.path].tensors for slot in (first, other) if slot is not None]
    return len(readings) == 2 and readings[0] == readings[1]


def _except_states(group: Sequence[_Member], paths: Sequence[str]) -> str:
    """The states of layers, which each keeps: running statistics of different values don't mix."""
    if not all(path.removesuffix("[*]") == member.name for path, member in zip(paths, group, strict=True)):
        return ""
    states = [part for part, slot in group[0].layers[0].items() if slot.kind == "state"]
    listed = dict.fromkeys(part.partition("[")[0] for part in states)  # of an array, all of its layers whole
    return f" except {', '.join(listed)}" if listed else ""


# -- what is written ---------------------------------------------------------------------------------------------------


def _rewrite(document: Document, body: Sequence[tree.Node], group: Sequence[_Member], paths: Sequence[str]) -> Rewrite:
    """A `share` below the last of the declarations, and below those that follow it directly."""
    last = max(body.index(member.node) for member in group)
    while last + 1 < len(body) and isinstance(body[last + 1], tree.Layer | tree.Parameter | tree.Share):
        last += 1
    text = document.source.text
    line_end = text.find("\n", body[last].span.end)
    line_end = len(text) if line_end < 0 else line_end - (text[line_end - 1] == "\r")
    start = body[last].span.start
    indentation = text[text.rfind("\n", 0, start) + 1 : start]
    written = f"share {{ {', '.join(paths)}{_except_states(group, paths)} }}"
    place = document.source.span(line_end, line_end)
    kind = CodeActionKind.RefactorRewrite.value
    return Rewrite(f"Tie these: {written}", kind, (Edit(place, f"\n{indentation}{written}"),), keeps_meaning=False)
