"""Prints programs as text, for tests and for people, and parses them.

    stored m.weight: f32[8, 4]

    model m(%x: f32[n, 4]) -> (y: %y) {
        %w = parameter {stored="m.weight", view=".T"}: f32[4, 8]
        %y = matmul(%x, %w): f32[n, 8]
    }

Values are `%name`, a list operand is `[%a, %b]`, one left out `_`; a dimension in an attribute stands in `<n * 2>`. A
tensor that is computed when compiling is printed as `derived` and can't be read back. The body of a scan or loop is a
block behind it that begins with its inputs and ends with `yield`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from itertools import count
from math import inf, nan

from wsdl.diagnostics.span import Source, Span
from wsdl.ir.dims import Dim
from wsdl.ir.graph import (
    Attribute,
    Graph,
    Initializer,
    Lowered,
    Model,
    Module,
    Node,
    Operand,
    Repetition,
    Slot,
    Stored,
    Value,
)
from wsdl.ir.types import DTYPES, TensorType
from wsdl.ir.views import View

NOWHERE = Span(Source("<ir>", ""), 0, 0)


# -- printing ----------------------------------------------------------------------------------------------------------


def to_text(program: Lowered) -> str:
    """The text of a program; deterministic."""
    stored = "".join(f"{'derived' if s.derived else 'stored'} {s.name}: {s.type}\n" for s in program.stored.values())
    models = [model_to_text(model) for model in program.models.values()]
    return "\n".join(filter(None, [stored, *models]))


def model_to_text(model: Model) -> str:
    """The text of one model, whose graph may also be over slots."""
    return _Printer().model(model)


def graph_text(graph: Graph) -> str:
    """The text of a graph by itself, without the names of its values: equal for graphs that compute the same."""
    graph = graph.copy({})
    for value in (v for node in graph.walk() for v in node.results):
        value.name = ""
    names = ["y", *(f"y{number}" for number in range(1, len(graph.outputs)))]
    return model_to_text(Model("slot", graph, Module("slot", "model", NOWHERE), output_names=names))


class _Printer:
    """Names each value once: by its own name where it is free, by a number otherwise."""

    def __init__(self) -> None:
        self.names: dict[Value, str] = {}
        self.taken: set[str] = set()
        self.numbers = count()

    def model(self, model: Model) -> str:
        graph = model.graph
        inputs = ", ".join(f"{self.name(v)}: {v.type}" for v in graph.inputs)
        body = [line for node in graph.nodes for line in self.node(node)]
        outputs = [f"{n}: {self.name(v)}" for n, v in zip(model.output_names, graph.outputs, strict=True)]
        return "\n".join([f"model {model.name}({inputs}) -> ({', '.join(outputs)}) {{", *_indented(body), "}", ""])

    def node(self, node: Node) -> Iterator[str]:
        operands = ", ".join(self.operand(o) for o in node.operands)
        attributes = dict(node.attributes)
        if node.view is not None and node.view.steps:
            attributes["view"] = str(node.view)
        if node.steps:
            attributes["at"] = [f"{s.loop}:{s.index}/{s.count}" for s in node.steps]
        written = ", ".join(f"{k}={_attribute(v)}" for k, v in attributes.items())
        call = (
            node.op
            + (f"({operands})" if operands or node.op != "parameter" else "")
            + (f" {{{written}}}" if written else "")
        )
        types = ", ".join(str(v.type) for v in node.results)
        if node.body is None:
            yield f"{', '.join(self.name(v) for v in node.results)} = {call}: {types}"
            return
        inputs = ", ".join(f"{self.name(v)}: {v.type}" for v in node.body.inputs)
        lines = [line for inner in node.body.nodes for line in self.node(inner)]
        lines.append(f"yield {', '.join(self.name(v) for v in node.body.outputs)}")
        yield f"{', '.join(self.name(v) for v in node.results)} = {call}: {types} do ({inputs}) {{"
        yield from _indented(lines)
        yield "}"

    def operand(self, operand: Operand) -> str:
        if isinstance(operand, list):
            return f"[{', '.join(map(self.name, operand))}]"
        return "_" if operand is None else self.name(operand)

    def name(self, value: Value) -> str:
        if value not in self.names:
            name = value.name if value.name and value.name not in self.taken else str(next(self.numbers))
            self.taken.add(name)
            self.names[value] = f"%{name}"
        return self.names[value]


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _attribute(value: Attribute) -> str:
    if isinstance(value, Dim):
        return f"<{value}>"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return f"[{', '.join(map(_attribute, value))}]"
    return (
        {True: "true", False: "false", None: "none"}[value] if value is None or isinstance(value, bool) else repr(value)
    )


# -- parsing -----------------------------------------------------------------------------------------------------------


def from_text(text: str) -> Lowered:
    """The program of a text. Raises `ValueError` if it is invalid."""
    program = Lowered()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    while lines:
        line = lines.pop(0)
        if match := re.fullmatch(r"stored ([^:]+): (.+)", line):
            program.stored[match[1]] = _stored(match[1], _type(match[2]))
        elif match := re.fullmatch(r"model (\w+)\((.*)\) -> \((.*)\) \{", line):
            values: dict[str, Value] = {}
            inputs = _declared(match[2], values)
            graph = Graph(inputs, _nodes(lines, values, program))
            outputs = [part.split(": ") for part in _split(match[3])]
            graph.outputs = [values[name] for _, name in outputs]
            program.models[match[1]] = Model(match[1], graph, Module(match[1], "model", NOWHERE))
            program.models[match[1]].output_names = [name for name, _ in outputs]
        else:
            raise ValueError(f"neither a stored tensor nor a model: {line}")
    return program


def _stored(name: str, type: TensorType) -> Stored:
    slot = Slot(name, type, "param", Initializer("kaiming_uniform"), NOWHERE, NOWHERE)
    return Stored(name, type, slot, ((slot, View.identity(slot.sizes)),), slot.initializer)


def _declared(text: str, values: dict[str, Value]) -> list[Value]:
    result = []
    for part in _split(text):
        name, _, type_ = part.partition(": ")
        values[name] = Value(_type(type_), name[1:])
        result.append(values[name])
    return result


_NODE = re.compile(
    r"(?P<results>%[^=]*?) = (?P<op>\w+)(?:\((?P<operands>.*?)\))?(?: \{(?P<attributes>.*?)\})?"
    r": (?P<types>\w+\[.*?\](?:, \w+\[.*?\])*)(?: do \((?P<inputs>.*)\) \{)?"
)


def _nodes(lines: list[str], values: dict[str, Value], program: Lowered) -> list[Node]:
    """The nodes up to the line that closes the block, which is consumed too."""
    nodes: list[Node] = []
    while lines and lines[0] != "}" and not lines[0].startswith("yield"):
        line = lines.pop(0)
        match = _NODE.fullmatch(line)
        if match is None:
            raise ValueError(f"not a node: {line}")
        operands = [_operand(part, values) for part in _split(match["operands"] or "")]
        attributes = dict(_named(part) for part in _split(match["attributes"] or ""))
        view, steps = attributes.pop("view", ""), attributes.pop("at", [])
        body = _body(match["inputs"], lines, values, program) if match["inputs"] is not None else None
        results = [
            Value(_type(t), n[1:]) for n, t in zip(_split(match["results"]), _split(match["types"]), strict=True)
        ]
        values.update(zip(_split(match["results"]), results, strict=True))
        node = Node(match["op"], operands, attributes, results, span=NOWHERE, body=body)
        if node.op == "parameter":
            stored = program.stored[str(attributes["stored"])]
            node.view = _view(View.identity(stored.sizes), str(view))
        assert isinstance(steps, list)
        node.steps = tuple(_repetition(str(s)) for s in steps)
        nodes.append(node)
    if lines and lines[0] == "}":
        lines.pop(0)
    return nodes


def _body(inputs: str, lines: list[str], values: dict[str, Value], program: Lowered) -> Graph:
    inner = dict(values)
    graph = Graph(_declared(inputs, inner))
    graph.nodes = _nodes(lines, inner, program)
    graph.outputs = [inner[name] for name in _split(lines.pop(0).removeprefix("yield "))]
    lines.pop(0)
    return graph


def _split(text: str) -> list[str]:
    """The parts between commas outside of brackets."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += c in "[(<{"
        depth -= c in "])>}"
        if c == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return [*parts, text[start:].strip()] if text.strip() else []


def _operand(text: str, values: dict[str, Value]) -> Operand:
    if text == "_":
        return None
    if text.startswith("["):
        return [values[name] for name in _split(text[1:-1])]
    return values[text]


def _named(text: str) -> tuple[str, Attribute]:
    name, _, value = text.partition("=")
    return name, _parsed(value)


def _parsed(text: str) -> Attribute:
    if text.startswith("<"):
        return _dim(text[1:-1])
    if text.startswith("["):
        return [_parsed(part) for part in _split(text[1:-1])]
    words: dict[str, Attribute] = {"true": True, "false": False, "none": None, "inf": inf, "-inf": -inf, "nan": nan}
    if text in words:
        return words[text]
    value = ast.literal_eval(text)
    assert isinstance(value, int | float | str)
    return value


def _type(text: str) -> TensorType:
    name, _, shape = text.rstrip("]").partition("[")
    dtype = next(d for d in DTYPES if d == name)
    return TensorType(dtype, tuple(_dim(part) for part in _split(shape)))


def _dim(text: str) -> Dim:
    """A dimension as `str` prints it."""

    def of(node: ast.expr) -> Dim:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return Dim.of(node.value)
        if isinstance(node, ast.Name):
            return Dim.symbol(node.id)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -of(node.operand)
        if isinstance(node, ast.BinOp):
            a, b = of(node.left), of(node.right)
            for kind, result in _ARITHMETIC.items():
                if isinstance(node.op, kind):
                    return result(a, b)
        raise ValueError(f"not a dimension: {text}")

    if re.fullmatch(r"(\w+|\(.*\))(\.\d+)+", text):
        return Dim.symbol(text)  # a part
    return of(ast.parse(text, mode="eval").body)


_ARITHMETIC = {
    ast.Add: Dim.__add__,
    ast.Sub: Dim.__sub__,
    ast.Mult: Dim.__mul__,
    ast.FloorDiv: Dim.__floordiv__,
    ast.Mod: Dim.__mod__,
}


def _view(view: View, text: str) -> View:
    """A view as `str` prints it."""
    for step in re.findall(r"\.T|\.\w+\([^)]*\)|\[[^]]*\]", text):
        if step == ".T":
            view = view.transposed
        elif step.startswith("["):
            bounds = [[int(b) if b.strip() else None for b in part.split(":")] for part in step[1:-1].split(",")]
            view = view.slice([(b[0], b[1], b[2] if len(b) > 2 else None) for b in bounds])
        else:
            name, numbers = step[1:-1].split("(")
            view = {"permute": view.permute, "reshape": view.reshape, "flip": view.flip}[name](
                [int(n) for n in numbers.split(",")]
            )
    return view


def _repetition(text: str) -> Repetition:
    loop, index, total = map(int, re.split("[:/]", text))
    return Repetition(loop, index, total, NOWHERE)
