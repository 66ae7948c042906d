"""Runs the body of a model: its inputs, its graph, its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wsdl.elaborate.arrays import array_size, grouped
from wsdl.elaborate.bindings import assign
from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import run
from wsdl.elaborate.graph_builder import GraphBuilder
from wsdl.elaborate.items import POISON, Frame, Item, Layer
from wsdl.elaborate.layers import declared_names
from wsdl.elaborate.output_sizes import output_sizes
from wsdl.elaborate.results import finish, result_names
from wsdl.elaborate.scopes import Definition
from wsdl.elaborate.signatures import Signature, dim_of, dtype_of, names_in
from wsdl.elaborate.where import Use
from wsdl.ir.binding import size_sources
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Binding, Graph, Model, Module, Value
from wsdl.ir.origins import Origin
from wsdl.ir.types import TensorType
from wsdl.syntax import tree


@dataclass
class ModelRun:
    """A run of a model's body: its graph so far, and its inputs and outputs by name."""

    graph: Graph
    inputs: dict[str, Item]
    outputs: dict[str, Item]
    sizes: dict[str, Item]  # the dynamic dimensions of its inputs


def elaborate_model(definition: Definition, context: Context) -> Layer:
    """Add a model to the program; returns the layer of the model, which owns its layers."""
    node = definition.node
    assert isinstance(node, tree.Model)
    name = node.name.text
    taken = set(declared_names(node.body))
    layer = Layer(definition, {}, Module(name, "model", node.name.span), node.name.span, taken=taken)
    graph, frame, _, results = _run_body(layer, node, context)
    model = Model(name, graph, layer.module, node.doc, node.name.span, naming=context.builder.naming)
    context.program.models[name] = model
    if results is not None:
        graph.outputs = results
        outputs = _outputs(node, frame, results)
        model.output_names = [n for name, item in outputs.items() for n in _names(name, item)]
        model.sizes = output_sizes(node, frame, outputs, context)
    return layer


def run_again(layer: Layer, context: Context) -> ModelRun:
    """A new graph of a model, over the same layers."""
    node = layer.definition.node
    assert isinstance(node, tree.Model)
    context.budget.done = 0
    graph, frame, inputs, results = _run_body(layer, node, context)
    outputs = _outputs(node, frame, results)
    sizes = {name: frame.names[name] for name in context.builder.sizes}
    return ModelRun(graph, inputs, outputs, sizes)


def _run_body(
    layer: Layer, node: tree.Model, context: Context
) -> tuple[Graph, Frame, dict[str, Item], list[Value] | None]:
    """The graph of a model without outputs, the frame of its body, its inputs and outputs (`None` after errors)."""
    frame = Frame(layer, layer.definition.scope, {}, context.where.dtype, checks=[])
    graph = Graph()
    context.builder = GraphBuilder(context.where, context.report, context.budget, context.program.origins, [graph])
    context.builder.losses = [] if context.mode.again else None
    inputs = read_inputs(node.inputs, frame, graph, context)
    context.where.uses.append(Use(layer, node.name.span))
    run(node.body, frame, context)
    results = finish(frame, Signature(frame, context), node.outputs, f"`{node.name.text}`", context)
    context.where.uses.pop()
    return graph, frame, inputs, results


def read_inputs(inputs: Sequence[tree.Input], frame: Frame, graph: Graph, context: Context) -> dict[str, Item]:
    """Add inputs to a graph and bind their names, to a list for an array; returns what they are bound to."""
    _bind_sizes(inputs, frame, context)
    added: list[tuple[tree.Input, Value]] = []
    for declared in inputs:
        name = declared.name.text
        type_ = _input_type(declared, frame, context)
        count = 1 if declared.count is None else array_size(declared.count, "inputs", frame, context)
        values = [Value(type_) for _ in range(count)] if type_ and count else []
        item: Item = POISON if not values else values[0] if declared.count is None else [*values]
        for value, value_name in zip(values, _names(name, item) if values else [], strict=True):
            value.name = value_name
            graph.inputs.append(value)
            added.append((declared, value))
            context.builder.origins.named[value] = Origin(f"the input `{value_name}`", declared.span)
            if declared.count is not None and not context.mode.again:
                context.program.bindings.append(Binding(frame.layer.module.path, value_name, value, declared.name.span))
        assign((declared.name,), [item], frame, context)
        if isinstance(item, Value):
            frame.declared[name] = item, declared.type
    _check_sizes(added, graph, context)
    return {i.name.text: frame.names[i.name.text] for i in inputs}


def _outputs(node: tree.Model, frame: Frame, values: list[Value] | None) -> dict[str, Item]:
    """The outputs by their names; arrays are lists, errors `POISON`."""
    if values is None:
        return dict.fromkeys(output_names(node, 0), POISON)
    names = [name.text for name in result_names(node.outputs, frame)] or output_names(node, len(values))
    return dict(zip(names, grouped(node.outputs, frame, values), strict=True))


def output_names(node: tree.Model, count: int) -> list[str]:
    """The declared names of a model's outputs; by default `output`, `output_2`, … An array has one."""
    declared = [o.name.text if o and o.name else None for o in node.outputs or [None] * count]
    return [n or ("output" if i == 0 else f"output_{i + 1}") for i, n in enumerate(declared)]


def _names(name: str, item: Item) -> list[str]:
    """The names in the file of what a name stands for: `past.0`, `past.1`, … for an array."""
    return [f"{name}.{i}" for i in range(len(item))] if isinstance(item, list) else [name]


def _bind_sizes(inputs: Sequence[tree.Input], frame: Frame, context: Context) -> None:
    """Names in the types of a model's inputs that nothing else binds are dynamic dimensions."""
    for declared in inputs:
        for name in (name for dim in declared.type.dims for name in names_in(dim)):
            if name.text not in frame.names and name.text not in frame.scope.definitions:
                size = context.dims.get(name.text)
                frame.names[name.text] = Dim.symbol(name.text) if size is None else size
                context.builder.sizes[name.text] = declared


def _check_sizes(inputs: Sequence[tuple[tree.Input, Value]], graph: Graph, context: Context) -> None:
    """Check that each dynamic dimension can be computed from the shape of an input."""
    known = size_sources([value.type for value in graph.inputs])
    for declared, value in inputs:
        for dim, written in zip(value.type.shape, declared.type.dims, strict=False):
            if unknown := dim.names() - known.keys():
                context.error(
                    "E0419",
                    written.span,
                    f"no input determines `{min(unknown)}`",
                    f"`{written.span.text}` doesn't determine it",
                    help=f"let an axis of an input be `{min(unknown)}`, or fix it with `--dim {min(unknown)}=…`",
                )
                return


def _input_type(declared: tree.Input, frame: Frame, context: Context) -> TensorType | None:
    """The type of a model's input, which must have a dtype and no default."""
    node = declared.type
    if declared.default is not None:
        context.error(
            "E0232",
            declared.default.span,
            f"the input `{declared.name.text}` of a model can't have a default",
            help="only inputs of blocks are optional; write two models to have both",
        )
    if node.dtype is None:
        context.error(
            "E0415",
            node.span,
            f"the input `{declared.name.text}` of a model needs a dtype",
            "floats or integers?",
            help=f"write `f32{node.span.text}` for floats, `i64{node.span.text}` for indices",
        )
        return None
    dtype = dtype_of(node.dtype, context)
    shape: list[Dim] = []
    for dim in node.dims:
        if isinstance(dim, tree.Ellipsis):
            context.error(
                "E0416", dim.span, "an input of a model has a fixed number of dimensions", "name each of them"
            )
            return None
        item = dim_of(dim, frame, context)
        if item is None:
            return None
        shape.append(item)
    return TensorType(dtype, tuple(shape)) if dtype else None
