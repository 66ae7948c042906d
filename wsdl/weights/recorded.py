"""What a file of weights says of how its tensors were read, and the file as what the parameters of its program held.

    wsdl.sharing     stored tensors with the parameters that are views of them (`metadata.py`)
    wsdl.formulas    by the path of a parameter, the text of the graph that computes it (`wsdl.ir.text`)
    wsdl.inputs      the names of what ways of sharing take as their input

So weights of one program load into another that shares otherwise: from what was stored to parameters, and from these
to what is stored now. Anybody may have written the file, so nothing in it is trusted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import prod
from typing import Any

from wsdl.diagnostics import limits
from wsdl.ir.graph import Graph, file_path
from wsdl.ir.inventory import Tensor, Use
from wsdl.ir.ranges import count, expand
from wsdl.ir.text import from_text
from wsdl.ir.types import BYTES, TensorType
from wsdl.ir.views import View, ViewError
from wsdl.ir.weight_files import FORMULAS, INPUTS, SHARING, TensorInfo, are_sizes
from wsdl.ops import OPERATIONS
from wsdl.ops.verify import InvalidProgram, verify
from wsdl.sharing.reading_texts import view_text
from wsdl.weights.source import Source, broken

STRUCTURE = ("parameter", "scan")  # nodes of a formula that are no operations
MOST_NODES = 10_000  # of one formula
MOST_TIMES, MOST_ANYWAY = (
    64,
    1 << 20,
)  # elements of a value in it: so many times those of the file, and so many in any case


def by_slots(source: Source) -> Source:
    """The same weights with each parameter under its path, whatever was stored for it. `source.stored` is what the file
    itself holds."""
    shared, formulas, inputs = _shared(source), _formulas(source), _inputs(source)
    if source.path.endswith(".onnx") and shared:  # which are all that it stores; the others are its constants
        source = replace(source, tensors={t.name: source.tensors[t.name] for t in shared})
    if not formulas and not shared and not inputs:
        return source
    readers: dict[str, Callable[[], Any]] = {}
    tensors = dict(source.tensors)
    parts: dict[str, tuple[str, ...]] = {}
    readings = {path: text for path, (text, _) in formulas.items()}

    def add(path: str, info: TensorInfo, read: Callable[[], Any], of: tuple[str, ...]) -> None:
        readers[file_path(path)], tensors[file_path(path)], parts[file_path(path)] = read, info, of

    for tensor in shared:
        for use in (use for use in tensor.uses if not use.formula):
            info = source.tensors[tensor.name]
            view = View.parse(use.view, info.shape)
            readings[use.path] = view_text(tensor.name, view)
            if file_path(use.path) == tensor.name:
                continue
            add(use.path, replace(info, shape=view.shape), _Viewed(source, tensor.name, view), (tensor.name,))
    for path, (_, graph) in formulas.items():
        [output] = graph.outputs
        info = TensorInfo(output.type.dtype, output.type.sizes or ())
        add(path, info, _Computed(source, graph), tuple(graph.stored()))

    def read(name: str) -> Any:
        return readers[name]() if name in readers else source.read(name)

    return replace(source, tensors=tensors, reader=read, stored=source, parts=parts, readings=readings, inputs=inputs)


class _Viewed:
    """A view of a tensor of a file, when it is asked for."""

    def __init__(self, source: Source, name: str, view: View) -> None:
        self._source, self._name, self._view = source, name, view

    def __call__(self) -> Any:
        return self._view.of(self._source.read(self._name))


class _Computed(Mapping[str, Any]):
    """What a formula gives over the tensors of a file, which it reads one at a time."""

    def __init__(self, source: Source, graph: Graph) -> None:
        self._source, self._graph = source, graph

    def __call__(self) -> Any:
        from wsdl.ops.interpreter import evaluate

        [array] = evaluate(self._graph, [], self)
        return array

    def __getitem__(self, name: str) -> Any:
        return self._source.read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._source.tensors)

    def __len__(self) -> int:
        return len(self._source.tensors)


# -- what a file says --------------------------------------------------------------------------------------------------


def described(metadata: str) -> dict[str, Tensor]:
    """The tensors that `wsdl.sharing` of a file describes, by name, each slot by itself. Anybody may have written it:
    raises `ValueError` where it says something else than a `sharing_record` each, or names slots without end."""
    try:
        records = json.loads(metadata)
        slots = [slot for record in records for slot in record["slots"]]
        if max((len(slot["path"]) for slot in slots), default=0) > limits.PATH:
            raise ValueError("the path of a slot has no end")
        if sum(count(slot["path"]) for slot in slots) > limits.SLOTS:
            raise ValueError(f"more than {limits.SLOTS:,} slots")
        tensors = {record["name"]: _described(record) for record in records}
    except (KeyError, TypeError, AttributeError, RecursionError, ViewError) as error:
        raise ValueError(str(error)) from error
    if len(tensors) < len(records):
        raise ValueError("a name occurs twice")
    return tensors


def _described(record: Mapping[str, Any]) -> Tensor:
    name, shape, dtype, group = (record.get(key, "") for key in ("name", "shape", "dtype", "group"))
    texts = [name, dtype, group, *(slot[key] for slot in record["slots"] for key in ("path", "view"))]
    texts += [slot.get("formula", "") for slot in record["slots"]]
    if not all(isinstance(text, str) for text in texts) or type(record["trainable"]) is not bool:
        raise TypeError("what should be a text is none")
    if not are_sizes(shape) or dtype not in BYTES:
        raise ValueError("a type of nobody")
    uses = []
    for slot in record["slots"]:
        times = slot.get("used", 1)
        elements = slot.get("elements", times * prod(View.parse(slot["view"], shape).shape))
        if not are_sizes([times]) or not are_sizes([elements]):
            raise ValueError("a count of nobody")
        formula = slot.get("formula", "")
        uses += [Use(path, slot["view"], elements, times, formula) for path in expand(slot["path"])]
    return Tensor(name, dtype, tuple(shape), tuple(uses), record["trainable"], group)


def _shared(source: Source) -> list[Tensor]:
    """The tensors that the file has, as its record describes them."""
    if SHARING not in source.metadata:
        return []
    try:
        tensors = described(source.metadata[SHARING])
    except ValueError as error:
        raise broken(source.path, f"what it says about shared weights can't be read: {error}") from error
    known = [t for t in tensors.values() if t.name in source.tensors]
    return [t for t in known if source.tensors[t.name].shape == t.shape]


def _inputs(source: Source) -> frozenset[str]:
    """The names of the inputs of ways of sharing."""
    try:
        names = json.loads(source.metadata.get(INPUTS, "[]"))
        return frozenset(name for name in names if isinstance(name, str))
    except (ValueError, TypeError, RecursionError) as error:
        raise broken(source.path, "what it says about ways of sharing can't be read") from error


def _formulas(source: Source) -> dict[str, tuple[str, Graph]]:
    """The formulas of the file by the path of what they compute: text and graph."""
    if FORMULAS not in source.metadata:
        return {}
    try:
        texts = json.loads(source.metadata[FORMULAS])
        if len(texts) > limits.SLOTS:
            raise ValueError(f"more than {limits.SLOTS:,} formulas")
        return {path: (text, _parsed(text, source)) for path, text in texts.items()}
    except Exception as error:  # of a text that anybody may have written, from many places
        raise broken(source.path, "what it says about formulas can't be read") from error


def _parsed(text: str, source: Source) -> Graph:
    """The graph of a text; raises one of many exceptions where it is none over the tensors of the file."""
    if text.count("\n") > MOST_NODES:
        raise ValueError("a formula without end")
    declared = {name: info for name, info in source.tensors.items() if f'stored="{name}"' in text}
    types = {name: TensorType.of("f32", info.shape) for name, info in declared.items()}
    program = from_text("".join(f"stored {name}: {type}\n" for name, type in types.items()) + "\n" + text)
    if any(node.op not in OPERATIONS and node.op not in STRUCTURE for node in program.only.graph.walk()):
        raise InvalidProgram("an operation of nobody")
    verify(program)
    graph = program.only.graph
    if graph.inputs or len(graph.outputs) != 1:
        raise InvalidProgram("a formula has no inputs and one output")
    most = MOST_TIMES * sum(prod(info.shape) for info in source.tensors.values()) + MOST_ANYWAY
    for value in (v for node in graph.walk() for v in node.results):
        if value.type.elements.constant is None or value.type.elements.constant > most:
            raise InvalidProgram(f"{value.type} is too large")
    return graph
