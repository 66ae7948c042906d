"""`share as BLOCK(…)`: configures the block with the file, and runs it for each member once `sharing` knows these.

Its body runs like that of a layer, with the names `rows`, `columns`, `axes`, `member` and `members`. Its parameters are
parts, of one member or shared, with the paths that `WayMember` lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from wsdl.diagnostics import Label, Problems
from wsdl.diagnostics.span import Span
from wsdl.elaborate import declarations
from wsdl.elaborate.bound_names import flattened, maps_matrices, names_of
from wsdl.elaborate.context import Context, Meanings, Running
from wsdl.elaborate.evaluate import evaluate, run
from wsdl.elaborate.graph_builder import GraphBuilder
from wsdl.elaborate.items import POISON, Frame, Item, Layer, Recipe, describe, has_poison
from wsdl.elaborate.layers import declared_names, make_layer
from wsdl.elaborate.losses import auxiliary_losses
from wsdl.elaborate.program_builder import ProgramBuilder
from wsdl.elaborate.report import TooMuch
from wsdl.elaborate.results import finish
from wsdl.elaborate.scopes import Definition
from wsdl.elaborate.signatures import Signature, type_of
from wsdl.elaborate.where import Use
from wsdl.ir.dims import TooLong
from wsdl.ir.graph import Graph, Initializer, Module, Slot, Value
from wsdl.ir.types import TensorType, same_type, shape_text
from wsdl.ir.ways import ExpandedWay, Part, WayMember
from wsdl.syntax import tree


@dataclass(frozen=True, eq=False)
class BlockWay:
    """A block with its configuration and all that is needed to run it later. `layer` isn't part of the program."""

    layer: Layer
    root: Layer
    meanings: Meanings
    dims: Mapping[str, int]

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def span(self) -> Span:
        return self.layer.call_span

    @property
    def configuration(self) -> Mapping[str, object]:
        return self.layer.configuration

    @property
    def input(self) -> str | None:
        return next((i.name.text for i in self.layer.block.inputs), None)

    @property
    def losses(self) -> Sequence[str]:
        body = flattened(self.layer.block.body, into_scans=True)
        return [s.name.text for s in body if isinstance(s, tree.Loss) and s.name is not None]

    def places_of(self, parameter: str) -> Sequence[Span]:
        body = flattened(self.layer.block.body)
        return [s.name.span for s in body if isinstance(s, tree.Parameter) and s.name.text == parameter]

    def run(self, members: Sequence[WayMember], problems: Problems) -> ExpandedWay | None:
        meanings = replace(self.meanings, statements={**self.meanings.statements, tree.Parameter: _parameter})
        context = Context(ProgramBuilder(), meanings, self.dims, self.root, problems)
        context.where.uses.append(Use(self.root, self.span))  # the file, so that messages show the nesting
        parts: dict[str, Part] = {}
        graphs: list[Graph] = []
        losses: list[tuple[tuple[str, Span], ...]] = []
        before = len(problems.errors)
        try:
            for member in members:
                graph = _run(self.layer, member, parts, context)
                if graph is None or len(problems.errors) > before:
                    return None
                graphs.append(graph)
                losses.append(tuple((loss.name, loss.span) for loss in context.builder.losses or ()))
        except TooMuch:  # reported
            return None
        except TooLong as error:
            with suppress(TooMuch):
                context.refuse_size(error, self.span)
            return None
        return ExpandedWay(graphs, losses, parts)


# -- configuring -------------------------------------------------------------------------------------------------------


def way_of(call: tree.Call, frame: Frame, context: Context) -> BlockWay | None:
    """The way of `share as BLOCK(…)`; `None` after reporting an error."""
    item = evaluate(call.function, frame, context)
    if has_poison(item):
        return None
    block = item.node if isinstance(item, Definition) else None
    if not isinstance(item, Definition) or not isinstance(block, tree.Block) or not maps_matrices(block):
        own = isinstance(block, tree.Block) and not block.span.source.is_standard
        context.error(
            "E0340",
            call.function.span,
            f"{f'`{block.name.text}`' if block else describe(item)} isn't a way of sharing",
            "doesn't map a matrix to a matrix" if isinstance(block, tree.Block) else "not a block",
            labels=[Label(block.name.span, "declared here")] if own and block else (),
            help="the block of a way has one matrix or nothing as input, and one as result: "
            "`block Name(…)(base: [rows, columns]) -> [rows, columns]`",
        )
        return None
    layer = make_layer(item, call, "", call.span, frame, context)
    if not isinstance(layer, Layer) or not _may_stand(block, context):
        return None
    for name, value in layer.configuration.items():
        if _has_layer(value):
            context.error(
                "E0340",
                layer.argument_spans.get(name, call.span),
                f"`{name}` of `{item.name}` is a layer, but a way of sharing can't have layers",
                help="declare the parameters in the block itself, `shared param` where the members share them",
            )
            return None
    return BlockWay(layer, context.root, context.meanings, context.dims)


def _may_stand(block: tree.Block, context: Context) -> bool:
    """Whether all statements of a block are allowed in a way; reports those that aren't."""
    fine = True
    for statement in flattened(block.body, into_scans=True):
        is_state = isinstance(statement, tree.Parameter) and statement.kind == "state"
        if is_state or isinstance(
            statement, tree.Share | tree.Freeze | tree.Limit | tree.Load | tree.Copy | tree.Update
        ):
            word = statement.span.text.split()[0]
            context.error(
                "E0342",
                statement.span,
                f"`{word}` isn't allowed in a way of sharing",
                "changes with the data, unlike a weight" if is_state else "not part of the computation of a weight",
                help="declare a `param`" if is_state else "write it beside the `share as`",
                applied=False,
            )
            fine = False
    return fine


def _has_layer(item: Item) -> bool:
    return any(map(_has_layer, item)) if isinstance(item, list) else isinstance(item, Layer | Recipe)


# -- running -----------------------------------------------------------------------------------------------------------


def _run(configured: Layer, member: WayMember, parts: dict[str, Part], context: Context) -> Graph | None:
    block = configured.block
    module = Module(member.path, configured.name, configured.call_span)
    layer = Layer(
        configured.definition, configured.configuration, module, configured.call_span, configured.argument_spans
    )
    layer.taken |= set(declared_names(block.body))
    rows, columns = member.matrix
    names: dict[str, Item] = {"rows": rows, "columns": columns, "axes": len(member.sizes)}
    names |= {"member": member.index, "members": member.count, **configured.configuration}
    frame = Frame(layer, configured.definition.scope, names, member.dtype)
    graph = Graph()
    context.builder = GraphBuilder(context.where, context.report, context.budget, context.program.origins, [graph])
    suffix = f", for `{member.path}` {shape_text(member.sizes)}"
    context.where.uses.append(Use(layer, configured.call_span, dtype=member.dtype, member=suffix))
    context.mode.way = Running(layer, member, parts)
    try:
        signature = Signature(frame, context)
        for declared in block.inputs:
            assert member.input is not None
            value = context.builder.parameter(member.input)
            name = declared.name.text
            if not signature.match(declared.type, value.type, configured.call_span, f"`{name}` of `{block.name.text}`"):
                return None
            frame.names[name] = value
            frame.declared[name] = value, declared.type
        run(block.body, frame, context)
        results = finish(frame, signature, block.outputs, f"`{block.name.text}`", context)
    finally:
        context.where.uses.pop()
        context.mode.way = None
    if results is None:
        return None
    if context.mode.depends_on_training:
        context.error(
            "E0342",
            configured.call_span,
            f"`{block.name.text}` computes a different value in training",
            "a weight must be the same in the compiled model",
            help="leave out dropout and statistics of batches: a way of sharing computes weights from parameters alone",
        )
        return None
    if any(node.op == "gradient" for node in graph.walk()):
        context.error(
            "E0342",
            configured.call_span,
            f"`{block.name.text}` computes a gradient",
            "a way of sharing can't contain a gradient",
            help="write the gradient as a formula",
        )
        return None
    graph.outputs = [*results, *(loss.value for loss in auxiliary_losses(context))]
    return Graph([], graph.needed(), graph.outputs)


# -- parameters --------------------------------------------------------------------------------------------------------


def _parameter(node: tree.Parameter, frame: Frame, context: Context) -> None:
    """`param` in the body of a way, or of a block that it applies."""
    running = context.mode.way
    if running is not None and frame.layer is running.layer:
        frame.names[node.name.text] = _part(node, running, frame, context)
    else:
        declarations.run_parameter(node, frame, context)


def _part(node: tree.Parameter, running: Running, frame: Frame, context: Context) -> Item:
    """A parameter of a way: declared by the first member that it belongs to, and read by the others."""
    name, member = node.name.text, running.member
    type_ = type_of(node.type, frame, context)
    if type_ is None or declarations.refuse_large(node, type_, frame, context):
        return POISON
    path = f"{_prefix(node, member)}.{name}"
    part = running.parts.get(path)
    if part is None:
        part = running.parts[path] = _new_part(node, type_, path, running, frame, context)
    elif not same_type(part.slot.type, type_):
        _report_type_change(part, type_, node, member, context)
        return POISON
    return context.builder.parameter(part.slot)


def _prefix(node: tree.Parameter, member: WayMember) -> str:
    """The beginning of the path of a part."""
    if node.extent is None:
        return member.family if node.shared else member.path
    return member.group if node.extent.text == "group" else member.layer


def _new_part(
    node: tree.Parameter, type_: TensorType, path: str, running: Running, frame: Frame, context: Context
) -> Part:
    context.budget.count(node.span, 3)
    leading = None if node.extent else _leading(node, running.layer.block)
    initializer = _initializer(node, type_, running, frame, context)
    inherits = initializer is None and leading is not None
    if initializer is None:
        initializer = declarations.initializer(node, type_, frame, context)
    slot = Slot(path, type_, "param", initializer, node.span, running.layer.call_span, node.name.span)
    return Part(slot, running.member, leading, node.shared, inherits, not node.nodecay)


def _leading(node: tree.Parameter, block: tree.Block) -> int | None:
    """The number of axes before `[rows, columns]`, as the block's result names them; `None` if the shape doesn't end
    in these."""
    assert block.outputs is not None
    [output] = block.outputs
    matrix = [dim.span.text for dim in output.type.dims]
    return len(node.type.dims) - 2 if [dim.span.text for dim in node.type.dims[-2:]] == matrix else None


def _initializer(
    node: tree.Parameter, type_: TensorType, running: Running, frame: Frame, context: Context
) -> Initializer | None:
    """The declared initializer, which may be computed from the input and from other parts; `None` if there is none."""
    expression = node.initializer
    if expression is None:
        return None
    if not any(isinstance(frame.names.get(name.text), Value) for name in names_of(expression)):
        return declarations.initializer(node, type_, frame, context)
    item = evaluate(expression, frame, context)
    if not isinstance(item, Value) or not same_type(item.type, type_):
        if not has_poison(item):
            context.error(
                "E0343",
                expression.span,
                f"`{node.name.text}` is {type_}, but its initial value is {describe(item)}",
                "computed initial value",
                labels=[] if node.span.source.is_standard else [Label(node.type.span, "declared here")],
                help="the shapes must be equal; `keepdims=true` keeps the axis of a sum",
            )
        return Initializer("zeros")
    graph = Graph([], context.builder.graphs[0].needed([item]), [item]).copy({})
    return Initializer(expression.span.text, explicit=not node.span.source.is_standard, graph=graph)


def _report_type_change(
    part: Part, type_: TensorType, node: tree.Parameter, member: WayMember, context: Context
) -> None:
    """Members that share a parameter declare it with two shapes."""
    first, extent = part.member, "all members"
    help = "give it a shape that doesn't depend on `member`"
    if node.extent is not None:
        extent = "all weights of a member" if node.extent.text == "member" else "all weights of all members"
        help = "give it a shape that doesn't depend on `rows`, `columns` and `axes`, or leave out `per`"
    context.error(
        "E0344",
        node.type.span,
        f"`{part.slot.path}` is one parameter for {extent}, but would have two shapes",
        f"{type_} for `{member.path}` {shape_text(member.sizes)}",
        labels=[Label(part.slot.span, f"{part.slot.type} for `{first.path}` {shape_text(first.sizes)}")]
        if first is not member
        else (),
        help=help,
    )
