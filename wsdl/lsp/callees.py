"""What is called: blocks, operations, optimizers, schedules and initializers with their parameters, for completion and
signature help."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from wsdl.api.reference import page, text_and_example
from wsdl.elaborate.operations import parameter_text
from wsdl.elaborate.scopes import standard_block
from wsdl.ir.initializers import INITIALIZERS
from wsdl.ir.training import OPTIMIZERS, SCHEDULES
from wsdl.lsp.place import Place
from wsdl.ops import NAMED, Operation
from wsdl.syntax import tree


@dataclass(frozen=True)
class Parameter:
    """`label` is how a signature writes it: `bias: bool = true`."""

    name: str
    label: str
    required: bool = False


@dataclass(frozen=True)
class Callee:
    name: str
    parameters: tuple[Parameter, ...]
    text: str = ""  # its documentation, as Markdown

    @property
    def label(self) -> str:
        return f"{self.name}({', '.join(parameter.label for parameter in self.parameters)})"


def called(call: tree.Call, place: Place) -> tuple[Callee, int] | None:
    """What a call calls, and how many of its parameters are given in front of it: `x |> softmax(axis=-1)`."""
    function = call.function
    if isinstance(function, tree.Call) or (isinstance(function, tree.Name) and _layer(function.text, place)):
        block = _block(function, place)  # a layer, which is applied
        return None if block is None else (_inputs(block), int(_is_stage(call, place)))
    if isinstance(function, tree.Field):
        operation = NAMED.get(function.name.text)
        return None if operation is None else (of_operation(operation), 1)
    name = function.text if isinstance(function, tree.Name) else ""
    named = by_name(name, place)
    return None if named is None else (named, int(name in NAMED and _is_stage(call, place)))


def by_name(name: str, place: Place) -> Callee | None:
    if name in OPTIMIZERS and isinstance(place.declaration, tree.Train | tree.Variant):
        return _of_options(name, OPTIMIZERS[name])
    if name in SCHEDULES and place.within(tree.Optimizer, tree.LearningRate):
        return _of_options(name, SCHEDULES[name])
    if name in INITIALIZERS and place.within(tree.Parameter):
        kind = INITIALIZERS[name]
        words = max(kind.forms, key=len, default=())
        return Callee(name, tuple(Parameter(word, word) for word in words), kind.doc)
    definition = place.scope.find(name)
    if definition is not None and isinstance(definition.node, tree.Block):
        return of_block(definition.node)
    return of_operation(NAMED[name]) if name in NAMED else None


def of_block(block: tree.Block) -> Callee:
    """A block, called with its configuration."""
    parameters = tuple(
        Parameter(c.name.text, " ".join(c.span.text.split()), c.default is None) for c in block.configuration
    )
    return Callee(block.name.text, parameters, text_and_example(block)[0])


def of_operation(operation: Operation) -> Callee:
    return Callee(operation.name, tuple(Parameter(p.name, parameter_text(p), p.required) for p in operation.parameters))


def documentation(name: str) -> str:
    """The page of an operation or a standard block without its title, as Markdown; empty for other names."""
    if name not in NAMED and standard_block(name) is None:
        return ""
    return page(name).partition("\n\n")[2].replace("```wsd fragment", "```wsd").strip()


def _of_options(name: str, options: Any) -> Callee:
    parameters = (
        Parameter(o.name, o.name if o.required else f"{o.name}={_value(o.default)}", o.required) for o in options
    )
    return Callee(name, tuple(parameters))


def _value(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return "none" if default is None else str(list(default) if isinstance(default, tuple) else default)


def _inputs(block: tree.Block) -> Callee:
    return Callee(block.name.text, _written(block.inputs), text_and_example(block)[0])


def _written(items: Iterable[tree.Configuration] | Iterable[tree.Input]) -> tuple[Parameter, ...]:
    return tuple(Parameter(i.name.text, " ".join(i.span.text.split()), i.default is None) for i in items)


def _is_stage(call: tree.Call, place: Place) -> bool:
    return any(isinstance(node, tree.Pipe) and node.stage is call for node in place.nodes)


def _block(node: tree.Expression, place: Place) -> tree.Block | None:
    """The block of a layer: `Dense` of `Dense(64)`, or of the name of one."""
    if isinstance(node, tree.Call):
        return _block(node.function, place)
    if not isinstance(node, tree.Name):
        return None
    layer = _layer(node.text, place)
    if layer is not None:
        return _block(layer.value, place)
    definition = place.scope.find(node.text)
    return definition.node if definition is not None and isinstance(definition.node, tree.Block) else None


def _layer(name: str, place: Place) -> tree.Layer | None:
    """The declaration of a layer in the body around the place, or in the file."""
    definition = place.scope.definitions.get(name)
    if definition is not None and isinstance(definition.node, tree.Layer):
        return definition.node
    return next((layer for layer in _layers(place.declaration) if layer.name.text == name), None)


def _layers(node: tree.Node | None) -> Iterator[tree.Layer]:
    for statement in getattr(node, "body", ()):
        if isinstance(statement, tree.Layer):
            yield statement
