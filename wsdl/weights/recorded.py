"""The record in a weights file of how its tensors were read, and the values of the parameters that follow from it.

    wsdl.sharing     stored tensors with the parameters that are views of them (`metadata.py`)
    wsdl.formulas    texts of the graphs that compute parameters, by path (`wsdl.ir.text`)
    wsdl.inputs      the names of the inputs of ways of sharing
    wsdl.ways        the stored tensors of each way of sharing

So weights of one program load into another with different sharing: from the old stored tensors to parameters, and from
these to the new stored tensors. The file is untrusted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

from wsdl.diagnostics import limits
from wsdl.ir.graph import Graph, file_path
from wsdl.ir.inventory import Tensor, Use, Way
from wsdl.ir.ranges import count, expand
from wsdl.ir.text import from_text
from wsdl.ir.types import BYTES, DTYPES, FLOATS, DType, TensorType
from wsdl.ir.views import View, ViewError
from wsdl.ir.weight_files import FORMULAS, INPUTS, SHARING, TensorInfo, are_sizes
from wsdl.ops import OPERATIONS
from wsdl.ops.verify import InvalidProgram, verify
from wsdl.sharing.fold_views import view_of
from wsdl.sharing.reading_texts import COMPUTED, comparable, named_in, view_text
from wsdl.weights.source import Source, broken

STRUCTURE = ("parameter", "scan")  # nodes of a formula that aren't operations
MAX_NODES = 10_000  # of one formula
# The elements of a value in a formula are limited to this multiple of those in the file, plus this number.
MAX_RATIO, MAX_EXTRA = 64, 1 << 20


def by_slots(source: Source) -> Source:
    """The same weights with each parameter under its path, however it was stored. The tensors of the file itself are in
    the `stored` of the result."""
    shared, formulas, inputs = _shared(source), _formulas(source), _inputs(source)
    if source.path.endswith(".onnx") and shared:  # all weights of the file; its other initializers are constants
        source = replace(source, tensors={t.name: source.tensors[t.name] for t in shared})
    if not formulas and not shared and not inputs:
        return source
    readers: dict[str, Callable[[], Any]] = {}
    tensors = dict(source.tensors)
    parts: dict[str, tuple[str, ...]] = {}
    readings = comparable({path: text for path, (text, _) in formulas.items()})

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
    values = _Computed(source, {path: graph for path, (_, graph) in formulas.items()})
    for path, (_, graph) in formulas.items():
        [output] = graph.outputs
        info = TensorInfo(output.type.dtype, output.type.sizes or ())
        add(path, info, partial(values.of, path), values.behind(path))

    def read(name: str) -> Any:
        return readers[name]() if name in readers else source.read(name)

    return replace(source, tensors=tensors, reader=read, stored=source, parts=parts, readings=readings, inputs=inputs)


class _Viewed:
    """Reads a view of a tensor of a file, when called."""

    def __init__(self, source: Source, name: str, view: View) -> None:
        self._source, self._name, self._view = source, name, view

    def __call__(self) -> Any:
        return self._view.of(self._source.read(self._name))


class _Computed(Mapping[str, Any]):
    """Computes formulas over the tensors of a file, which it reads one at a time. Maps names in graphs to values;
    those of formulas that others read are cached."""

    def __init__(self, source: Source, graphs: Mapping[str, Graph]) -> None:
        self._source, self._graphs = source, graphs
        self._needed = {path: [*map(_path, filter(_path, graph.stored()))] for path, graph in graphs.items()}
        self._needed_by_others = {path for needed in self._needed.values() for path in needed}
        self._values: dict[str, Any] = {}

    def of(self, path: str) -> Any:
        """The value of a formula."""
        from wsdl.ops.interpreter import evaluate

        array, stack = self._values.get(path), [path]
        while stack:
            first = stack[-1]
            missing = [needed for needed in self._needed[first] if needed not in self._values]
            stack = [*stack, *missing] if missing else stack[:-1]
            if not missing and first not in self._values:
                [array] = evaluate(self._graphs[first], [], self)
                if first in self._needed_by_others:
                    self._values[first] = array
        return array

    def behind(self, path: str) -> tuple[str, ...]:
        """The names of the tensors of the file that a formula is computed from."""
        names: dict[str, None] = {}
        seen, stack = {path}, [path]
        while stack:
            first = stack.pop()
            names |= dict.fromkeys(name for name in self._graphs[first].stored() if not _path(name))
            more = [needed for needed in self._needed[first] if needed not in seen]
            seen.update(more)
            stack += more
        return tuple(names)

    def __getitem__(self, name: str) -> Any:
        return self._values[_path(name)] if _path(name) else self._source.read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._source.tensors)

    def __len__(self) -> int:
        return len(self._source.tensors)


def _path(name: str) -> str:
    """The path of the parameter whose formula a graph names; empty where it names a tensor of the file."""
    return name.removeprefix(COMPUTED) if name.startswith(COMPUTED) else ""


# -- parsing the record ------------------------------------------------------------------------------------------------


def described(metadata: str) -> dict[str, Tensor]:
    """The tensors that `wsdl.sharing` of a file describes, by name, with ranges of slots expanded. The text is
    untrusted: raises `ValueError` if it isn't a list of `sharing_record`s, or exceeds a limit."""
    try:
        records = json.loads(metadata)
        slots = [slot for record in records for slot in record["slots"]]
        if max((len(slot["path"]) for slot in slots), default=0) > limits.PATH:
            raise ValueError(f"the path of a slot has more than {limits.PATH:,} characters")
        if sum(count(slot["path"]) for slot in slots) > limits.SLOTS:
            raise ValueError(f"more than {limits.SLOTS:,} slots")
        tensors = {record["name"]: _described(record) for record in records}
    except (KeyError, TypeError, AttributeError, RecursionError, ViewError) as error:
        raise ValueError(str(error)) from error
    if len(tensors) < len(records):
        raise ValueError("duplicate name")
    return tensors


def described_ways(metadata: str, stored: Collection[str]) -> tuple[Way, ...]:
    """The ways of sharing that `wsdl.ways` of a file describes, over its tensors. The text is untrusted: raises
    `ValueError` if it is invalid."""
    try:
        ways = tuple(
            Way(record["block"], record["name"], *(tuple(record[key]) for key in ("members", "shared", "own")))
            for record in [*json.loads(metadata)]
        )
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    texts = [text for w in ways for text in (w.block, w.name, *w.members, *w.shared, *w.own)]
    names = [name for way in ways for name in (*way.shared, *way.own)]
    if not all(isinstance(text, str) for text in texts) or not {*names} <= {*stored}:
        raise ValueError("a way of sharing of unknown tensors")
    if len(set(names)) < len(names) or not all(way.shared or way.own for way in ways):
        raise ValueError("a tensor in two ways of sharing, or a way of sharing without tensors")
    return ways


def _described(record: Mapping[str, Any]) -> Tensor:
    name, shape, dtype, group = (record.get(key, "") for key in ("name", "shape", "dtype", "group"))
    texts = [name, dtype, group, *(slot[key] for slot in record["slots"] for key in ("path", "view"))]
    texts += [slot.get("formula", "") for slot in record["slots"]]
    if not all(isinstance(text, str) for text in texts) or type(record["trainable"]) is not bool:
        raise TypeError("not a string")
    if not are_sizes(shape) or dtype not in BYTES:
        raise ValueError("unknown type")
    uses = []
    for slot in record["slots"]:
        times = slot.get("used", 1)
        elements = slot.get("elements", times * prod(View.parse(slot["view"], shape).shape))
        if not are_sizes([times]) or not are_sizes([elements]):
            raise ValueError("invalid count")
        formula = slot.get("formula", "")
        uses += [Use(path, slot["view"], elements, times, formula) for path in expand(slot["path"])]
    return Tensor(name, dtype, tuple(shape), tuple(uses), record["trainable"], group)


def _shared(source: Source) -> list[Tensor]:
    """The tensors of the file, as its record describes them."""
    if SHARING not in source.metadata:
        return []
    try:
        tensors = described(source.metadata[SHARING])
    except ValueError as error:
        raise broken(source.path, f"the metadata about shared weights is invalid: {error}") from error
    known = [t for t in tensors.values() if t.name in source.tensors]
    return [t for t in known if source.tensors[t.name].shape == t.shape]


def _inputs(source: Source) -> frozenset[str]:
    """The names of the inputs of ways of sharing."""
    try:
        names = json.loads(source.metadata.get(INPUTS, "[]"))
        return frozenset(name for name in names if isinstance(name, str))
    except (ValueError, TypeError, RecursionError) as error:
        raise broken(source.path, "the metadata about ways of sharing is invalid") from error


def _formulas(source: Source) -> dict[str, tuple[str, Graph]]:
    """The formulas of the file, text and graph, by the path of the parameter that they compute."""
    if FORMULAS not in source.metadata:
        return {}
    try:
        texts = json.loads(source.metadata[FORMULAS])
        if len(texts) > limits.SLOTS:
            raise ValueError(f"more than {limits.SLOTS:,} formulas")
        formulas: dict[str, tuple[str, Graph]] = {}
        for path, text in texts.items():
            formulas[path] = text, _parsed(text, formulas, source)
        return formulas
    except Exception as error:  # many kinds, as the text is untrusted
        raise broken(source.path, "the metadata about formulas is invalid") from error


def computed_parameters(source: Source) -> dict[str, tuple[str, tuple[int, ...]]]:
    """For each parameter that the formulas of a file compute, by path: the parameter whose value it is a view of, which
    may be itself, and the shape of that. Those that are views of stored tensors are not among them."""
    computed: dict[str, tuple[str, tuple[int, ...]]] = {}
    for path, (_, graph) in _formulas(source).items():
        viewed = view_of(graph)
        if viewed is None:
            computed[path] = path, graph.outputs[0].type.sizes or ()
        elif _path(viewed[0]) in computed:
            computed[path] = computed[_path(viewed[0])]
    return computed


def _parsed(text: str, before: Mapping[str, tuple[str, Graph]], source: Source) -> Graph:
    """The graph of a formula, which may read what the formulas `before` it compute; raises an exception of any kind if
    the text is invalid or doesn't fit the file."""
    if text.count("\n") > MAX_NODES:
        raise ValueError("the formula is too long")
    types = {
        name: TensorType.of(_dtype(info), info.shape)
        for name, info in source.tensors.items()
        if f'stored="{name}"' in text
    }
    types |= {f"{COMPUTED}{path}": before[path][1].outputs[0].type for path in named_in(text)}
    program = from_text("".join(f"stored {name}: {type}\n" for name, type in types.items()) + "\n" + text)
    if any(node.op not in OPERATIONS and node.op not in STRUCTURE for node in program.only.graph.walk()):
        raise InvalidProgram("unknown operation")
    verify(program)
    graph = program.only.graph
    if graph.inputs or len(graph.outputs) != 1:
        raise InvalidProgram("a formula must have no inputs and one output")
    limit = MAX_RATIO * sum(prod(info.shape) for info in source.tensors.values()) + MAX_EXTRA
    for value in (v for node in graph.walk() for v in node.results):
        if value.type.elements.constant is None or value.type.elements.constant > limit:
            raise InvalidProgram(f"{value.type} is too large")
    return graph


def _dtype(info: TensorInfo) -> DType:
    """The dtype in which a tensor is read: f32 for all floats, as a file may store them in 16 bits."""
    return next((dtype for dtype in DTYPES if dtype == info.dtype and dtype not in FLOATS), "f32")
