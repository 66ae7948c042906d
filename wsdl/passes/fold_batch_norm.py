"""Multiplies a batch normalisation into the convolution before it, once for all uses of the weights.

    stored m.conv.weight: f32[2, 1, 1, 1]
    stored m.scale: f32[2]
    stored m.shift: f32[2]
    stored m.mean: f32[2]
    stored m.var: f32[2]

    model m(%x: f32[n, 1, h, w]) -> (y: %y) {
        %weight = parameter {stored="m.conv.weight"}: f32[2, 1, 1, 1]
        %scale = parameter {stored="m.scale"}: f32[2]
        %shift = parameter {stored="m.shift"}: f32[2]
        %mean = parameter {stored="m.mean"}: f32[2]
        %var = parameter {stored="m.var"}: f32[2]
        %c = conv2d(%x, %weight, _): f32[n, 2, h, w]
        %y = batch_norm(%c, %scale, %shift, %mean, %var) {eps=0.1}: f32[n, 2, h, w]
    }

becomes (without what nothing reads any more)

    stored m.conv.weight: f32[2, 1, 1, 1]
    stored m.scale: f32[2]
    stored m.shift: f32[2]
    stored m.mean: f32[2]
    stored m.var: f32[2]
    derived m.conv.weight.folded: f32[2, 1, 1, 1]
    derived m.conv.bias.folded: f32[2]

    model m(%x: f32[n, 1, h, w]) -> (y: %y) {
        %0 = parameter {stored="m.conv.weight.folded"}: f32[2, 1, 1, 1]
        %1 = parameter {stored="m.conv.bias.folded"}: f32[2]
        %y = conv2d(%x, %0, %1): f32[n, 2, h, w]
    }

The runtime does the same for each use by itself, and so makes a copy of shared weights for each. Here the folded
weights are stored *instead of* the others, where every use in the program agrees: the convolution is always followed
by this normalisation, and by nothing else. Running statistics don't change at inference, so nothing is lost.
"""

from __future__ import annotations

from dataclasses import dataclass

from wsdl.ir.dims import Dim
from wsdl.ir.graph import Graph, Initializer, Node, Program, Slot, Stored, Value
from wsdl.ir.types import TensorType
from wsdl.ir.views import View

CONVOLUTIONS = {"conv1d": 0, "conv2d": 0, "conv3d": 0}
CONVOLUTIONS |= {"conv_transpose1d": 1, "conv_transpose2d": 1, "conv_transpose3d": 1}  # the axis of output channels


@dataclass(frozen=True)
class _Pair:
    """A convolution, the normalisation of its result, and the names of the stored tensors that both read."""

    convolution: Node
    norm: Node
    weight: str
    bias: str | None
    statistics: tuple[str, str, str, str]  # weight, bias, mean, variance

    @property
    def agreement(self) -> tuple[object, ...]:
        return self.weight, self.bias, self.statistics, self.norm.attributes["eps"]


def fold_batch_norm(program: Program) -> Program:
    """Fold every normalisation on which all uses of a convolution's weights agree."""
    uses: dict[str, list[Node]] = {}
    pairs: dict[str, list[_Pair]] = {}
    for model in program.models.values():
        _collect(model.graph, uses, pairs)
    for weight, found in pairs.items():
        agree = len({p.agreement for p in found}) == 1
        bias = found[0].bias
        everywhere = len(found) == len(uses[weight]) and (bias is None or len(uses[bias]) == len(found))
        if agree and everywhere:
            _fold(program, found)
    return program


def _collect(graph: Graph, uses: dict[str, list[Node]], pairs: dict[str, list[_Pair]]) -> None:
    """Who reads each stored tensor, and which convolutions are only ever normalised."""
    stored: dict[int, Node] = {}
    readers: dict[int, list[Node]] = {}
    makers: dict[int, Node] = {}
    for node in graph.walk():
        if node.op == "parameter":
            stored[id(node.result)] = node
        for value in node.inputs:
            readers.setdefault(id(value), []).append(node)
            if id(value) in stored:
                uses.setdefault(str(stored[id(value)].attributes["stored"]), []).append(node)
        makers.update({id(v): node for v in node.results})
    outputs = {id(v) for g in [graph, *(n.body for n in graph.walk() if n.body)] for v in g.outputs}

    def name(value: Value) -> str | None:
        """The stored tensor that a value is, whole and unmoved."""
        node = stored.get(id(value))
        whole = node is not None and node.view is not None and node.view.is_identity
        return str(node.attributes["stored"]) if node is not None and whole else None

    for norm in graph.walk():
        if norm.op != "batch_norm":
            continue
        source, *statistics = norm.inputs
        convolution = makers.get(id(source))
        names = [name(v) for v in statistics]
        if convolution is None or convolution.op not in CONVOLUTIONS or convolution.attributes.get("groups", 1) != 1:
            continue
        weight, biases = name(convolution.inputs[1]), [name(v) for v in convolution.inputs[2:]]
        alone = readers[id(source)] == [norm] and id(source) not in outputs
        if alone and weight and None not in names and None not in biases:
            scale, shift, mean, variance = (str(n) for n in names)
            bias = biases[0] if biases else None
            pair = _Pair(convolution, norm, weight, bias, (scale, shift, mean, variance))
            pairs.setdefault(weight, []).append(pair)


def _fold(program: Program, pairs: list[_Pair]) -> None:
    pair = pairs[0]
    weight, bias = _derived(program, pair)
    for stored in (weight, bias):
        program.stored[stored.name] = stored
    for model in program.models.values():
        _rewrite(model.graph, pairs, weight, bias)


def _rewrite(graph: Graph, pairs: list[_Pair], weight: Stored, bias: Stored) -> None:
    norms = {id(p.norm): p.convolution for p in pairs}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.body is not None:
            _rewrite(node.body, pairs, weight, bias)
        if id(node) in norms:
            convolution = norms[id(node)]
            reads = [_read(s, convolution) for s in (weight, bias)]
            folded = Node(convolution.op, [], convolution.attributes, node.results, convolution.path, convolution.span)
            folded.operands = [convolution.operands[0], *(read.result for read in reads)]
            folded.steps = convolution.steps
            nodes += [*reads, folded]
        elif not any(node is p.convolution for p in pairs):
            nodes.append(node)
    graph.nodes = nodes


def _read(stored: Stored, at: Node) -> Node:
    type = stored.type.with_dtype(at.result.type.dtype)
    node = Node("parameter", [], {"stored": stored.name}, [Value(type)], at.path, at.span, at.steps)
    node.view = View.identity(stored.sizes)
    return node


# -- the folded tensors, as graphs over the stored ones ----------------------------------------------------------------


def _derived(program: Program, pair: _Pair) -> tuple[Stored, Stored]:
    scale, shift, mean, variance = (program.stored[n] for n in pair.statistics)
    weight = program.stored[pair.weight]
    axis = CONVOLUTIONS[pair.convolution.op]
    layer = weight.name.rpartition(".")[0]

    build = _Build(Graph())
    factor = _factor(build, scale, variance, pair)
    column = [scale.type.shape[0] if a == axis else Dim.of(1) for a in range(weight.type.rank)]
    factor_column = build("reshape", [factor], {"shape": column}, factor.type.with_shape(column))
    build.graph.outputs = [build("mul", [build.read(weight), factor_column], {}, _computed(weight.type))]
    new_weight = build.graph

    build = _Build(Graph())
    factor = _factor(build, scale, variance, pair)
    type = _computed(mean.type)
    centre = build("neg", [build.read(mean)], {}, type)
    if pair.bias is not None:
        centre = build("add", [centre, build.read(program.stored[pair.bias])], {}, type)
    scaled = build("mul", [centre, factor], {}, type)
    build.graph.outputs = [build("add", [scaled, build.read(shift)], {}, type)]

    return (
        _stored(f"{layer}.weight.folded", weight, new_weight),
        _stored(f"{layer}.bias.folded", shift, build.graph),
    )


def _factor(build: _Build, scale: Stored, variance: Stored, pair: _Pair) -> Value:
    """scale / sqrt(variance + eps), for each channel."""
    type_ = _computed(scale.type)
    eps = build("constant", [], {"value": pair.norm.attributes["eps"], "dtype": type_.dtype}, type_.with_shape(()))
    spread = build("add", [build.read(variance), eps], {}, type_)
    return build("mul", [build("rsqrt", [spread], {}, type_), build.read(scale)], {}, type_)


def _computed(type: TensorType) -> TensorType:
    """What is computed of floats of 16 bits has f32; the result is then stored like its origin."""
    return type.with_dtype("f32") if type.dtype in ("f16", "bf16") else type


@dataclass
class _Build:
    graph: Graph

    def __call__(self, op: str, operands: list[Value], attributes: dict[str, object], type: TensorType) -> Value:
        node = Node(op, list(operands), attributes, [Value(type)])  # type: ignore[arg-type]
        self.graph.nodes.append(node)
        return node.result

    def read(self, stored: Stored) -> Value:
        value = Value(_computed(stored.type))
        node = Node("parameter", [], {"stored": stored.name}, [value], view=View.identity(stored.sizes))
        self.graph.nodes.append(node)
        return node.result


def _stored(name: str, origin: Stored, graph: Graph) -> Stored:
    root = origin.root
    slot = Slot(name, root.type, root.kind, Initializer("zeros"), root.span, root.layer_span, frozen=root.frozen)
    return Stored(name, slot, origin.slots, origin.group, derived=graph)
