"""Texts of readings of parameters, stored in weights files and compared: if two are equal, equal stored tensors give
equal values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256

from wsdl.ir.graph import Graph, Node, Value
from wsdl.ir.stages import Formula, FormulaReading, Storage
from wsdl.ir.text import graph_text
from wsdl.ir.views import View

COMPUTED = "= "  # prefix of the path of a computed parameter, where a text has the name of a stored tensor


def reading_texts(storage: Storage) -> dict[str, str]:
    """The reading of each parameter, by its path: equal in two programs if they compute its values from the same stored
    tensors in the same way."""
    formulas = comparable(formula_texts(storage))
    texts = {}
    for slot in storage.checked.slots():
        if slot.path in formulas:
            texts[slot.path] = formulas[slot.path]
        else:
            stored, view = storage.home(slot.path)
            texts[slot.path] = view_text(stored.name, view)
    return texts


def formula_texts(storage: Storage) -> dict[str, str]:
    """By the path of each computed parameter, the text of the graph that computes it from stored tensors and from other
    computed parameters, whose texts come before its own."""
    texts: dict[str, str] = {}
    paths: dict[Formula, str] = {}  # the parameter that has the formula's value without a view
    for reading in storage.readings.values():  # each formula comes after those that it reads
        if not isinstance(reading, FormulaReading) or (formula := reading.formula) in paths:
            continue
        path = paths[formula] = next(slot.path for slot, view in formula.slots if not view.steps)
        values = formula.graph.outputs[:1]
        graph = Graph([], formula.graph.needed(values), values).copy({})
        for node in graph.walk():
            if node.op == "parameter":
                _name_what_is_read(node, paths, storage)
        texts[path] = graph_text(graph)
        for slot, view in formula.slots:
            if slot.path != path:
                value = Value(slot.type)
                node = Node("parameter", [], {"stored": f"{COMPUTED}{path}"}, [value], view=view)
                texts[slot.path] = graph_text(Graph([], [node], [value]))
    return texts


def _name_what_is_read(node: Node, paths: Mapping[Formula, str], storage: Storage) -> None:
    reading = storage.readings[str(node.attributes["slot"])]
    if isinstance(reading, FormulaReading):
        node.attributes = {"stored": f"{COMPUTED}{paths[reading.formula]}"}
    else:
        node.attributes = {"stored": reading.stored}
    node.view = reading.view


def view_text(stored: str, view: View) -> str:
    """The text of a view of a stored tensor."""
    return f"{stored}{view}"


# -- between texts -----------------------------------------------------------------------------------------------------

_NAMED = re.compile(f'stored="{COMPUTED}([^"]*)"')


def named_in(text: str) -> list[str]:
    """The paths of the computed parameters that a text reads."""
    return list(dict.fromkeys(_NAMED.findall(text)))


def with_named(paths: Iterable[str], texts: Mapping[str, str]) -> dict[str, str]:
    """The texts of some parameters, and of all computed parameters that they read, in the order of `texts`."""
    needed: set[str] = set()
    stack = [path for path in paths if path in texts]
    while stack:
        path = stack.pop()
        if path not in needed:
            needed.add(path)
            stack += named_in(texts[path])
    return {path: text for path, text in texts.items() if path in needed}


def comparable(texts: Mapping[str, str]) -> dict[str, str]:
    """For each text, a digest of it and of all texts that it reads."""
    digests: dict[str, str] = {}
    for path, text in texts.items():
        whole = _NAMED.sub(lambda named: digests.get(named[1], named[1]), text)
        digests[path] = sha256(whole.encode()).hexdigest()
    return digests
