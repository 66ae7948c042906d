"""Rolls the unrolled iterations of a `for` into one loop body, if all compute the same with the same weights.

    stored m.w: f32[4, 4]

    model m(%x: f32[n, 4]) -> (y: %c) {
        %w = parameter {stored="m.w"}: f32[4, 4]
        %a = matmul(%x, %w) {at=["0:0/3"]}: f32[n, 4]
        %b = matmul(%a, %w) {at=["0:1/3"]}: f32[n, 4]
        %c = matmul(%b, %w) {at=["0:2/3"]}: f32[n, 4]
    }

becomes, with `loop`,

    stored m.w: f32[4, 4]

    model m(%x: f32[n, 4]) -> (y: %1) {
        %w = parameter {stored="m.w"}: f32[4, 4]
        %1 = loop([%x]) {count=3}: f32[n, 4] do (%a: f32[n, 4]) {
            %0 = matmul(%a, %w): f32[n, 4]
            yield %0
        }
    }

The size of the file and the start of a session then don't depend on the number of steps. Values that don't change from
step to step are computed once, before the loop. If a constant differs between steps, such as the index of a dropout,
the loop is a `scan` over the list of its values. The same is done for small stored tensors that differ, such as the
low-rank changes of `Delta`: the loop scans over the stack of them, which is the only copy that the runtime keeps.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from itertools import count
from math import prod
from typing import TypeAlias

from wsdl.ir.graph import Attribute, Graph, LoopChoice, Lowered, Node, Operand, Repetition, Value
from wsdl.ir.rewriter import Rewriter
from wsdl.ir.target import Loops
from wsdl.ir.types import TensorType
from wsdl.ir.views import View
from wsdl.ops.build import Build
from wsdl.rewrite.dedupe import frozen_attributes
from wsdl.rewrite.from_stored import from_stored
from wsdl.rewrite.product_plans import elements

MIN_STEPS = 8  # for `auto`: with fewer, a session starts fast enough, and unrolled nodes run a little faster


class StepsDiffer(Exception):
    """The reason why the steps can't be one loop body, for messages."""


def roll_loops(program: Lowered, *, stacks: bool = True) -> Lowered:
    """Roll the `for`s of every model as the target requires; `program.loops` receives the choice for each. Without
    `stacks`, loops whose steps read different stored tensors are rolled only with `--loops loop`."""
    for model in program.models.values():
        _hoist_parameters(model.graph)
        _take_into_steps(model.graph)
        _roll_all(model.graph, program, stacks)
    return program


def _roll_all(graph: Graph, program: Lowered, stacks: bool) -> None:
    """Roll outermost `for`s first; if one can't be rolled, those inside it are tried."""
    for depth in count():
        loops = {n.steps[depth].loop: n.steps[depth] for n in graph.nodes if len(n.steps) > depth}
        if not loops:
            break
        for repetition in loops.values():
            if repetition.count > 1 and any(_is_in(n, repetition.loop) for n in graph.nodes):
                program.loops.append(_choose(graph, repetition, depth, program.target.loops, stacks))
    for node in graph.nodes:
        if node.body is not None:
            _roll_all(node.body, program, stacks)


def _is_in(node: Node, loop: int) -> bool:
    return any(step.loop == loop for step in node.steps)


def _choose(graph: Graph, repetition: Repetition, depth: int, mode: Loops, stacks: bool) -> LoopChoice:
    steps, span = repetition.count, repetition.span
    if mode == "unroll":
        return LoopChoice(span, steps, False, "requested with --loops unroll")
    if mode == "auto" and steps < MIN_STEPS:
        return LoopChoice(span, steps, False, f"fewer than {MIN_STEPS} steps")
    try:
        has_stacks = _roll(graph, repetition, depth, stacks or mode == "loop")
    except StepsDiffer as reason:
        return LoopChoice(span, steps, False, str(reason))
    same = "all steps use the same weights" + (", except small parts" if has_stacks else "")
    return LoopChoice(span, steps, True, "requested with --loops loop" if mode == "loop" else same)


def _hoist_parameters(graph: Graph) -> None:
    """Move the reads of stored tensors to the front, and merge those with the same view and dtype."""
    reads: dict[object, Node] = {}
    with Rewriter(graph) as rewriter:
        for node in graph.nodes:
            if node.op == "parameter" and node.view is not None:
                view = node.view.source, node.view.layout, node.result.type.dtype
                first = reads.setdefault((node.attributes["stored"], *view), node)
                if first is not node:
                    rewriter.replace_node(node, [], first.results)
                node.steps = ()
    graph.nodes.sort(key=lambda node: node.op != "parameter")


def _take_into_steps(graph: Graph) -> None:
    """Move nodes of formulas that only one step of a `for` reads into that step. Constants outside of formulas stay:
    one may be what the first step starts from, like the others from the result of the step before."""
    fixed = from_stored(graph)
    rewriter = Rewriter(graph)
    for node in reversed(graph.nodes):
        of_formula = node.in_f32 or (node.op != "constant" and fixed.issuperset(node.results))
        if node.op == "parameter" or node.steps or not of_formula:
            continue
        steps = {r.steps if isinstance(r, Node) else () for v in node.results for r in rewriter.readers(v)}
        if len(steps) == 1:
            [node.steps] = steps


# -- matching the steps ------------------------------------------------------------------------------------------------


@dataclass
class Match:
    """The steps of a loop, compared with step 0. Keys are values of step 0, or positions of its nodes and operands.

    `uses` has, for each operand of step 0 that comes from outside the step, what later steps read there: the same value
    (`None`), or a result of the step before (as a value of step 0). `numbers` are the values of a scalar constant in
    each step; `stored` are the stored tensors that an operand reads in each step.
    """

    names: dict[Value, str]  # of stored tensors
    steps: list[list[Node]]
    history: list[dict[Value, Value]] = field(default_factory=list)  # per step, its value for each value of step 0
    numbers: dict[int, list[Attribute]] = field(default_factory=dict)
    uses: dict[tuple[int, int], Value | None] = field(default_factory=dict)
    stored: dict[tuple[int, int], list[Value]] = field(default_factory=dict)

    def step(
        self, first: list[Node], nodes: list[Node], previous: dict[Value, Value], index: int
    ) -> dict[Value, Value]:
        """Compare a step with the first one; returns the value of this step for each value of step 0."""
        if len(first) != len(nodes):
            raise StepsDiffer(f"step {index} computes something other than step 0")
        values: dict[Value, Value] = {}
        before = {value: original for original, value in previous.items()}
        for at, (a, b) in enumerate(zip(first, nodes, strict=True)):
            if a.body is not None or b.body is not None:
                raise StepsDiffer("a step contains a scan or a loop")
            if _is_number(a) and _is_number(b):
                self.numbers.setdefault(at, [a.attributes["value"]]).append(b.attributes["value"])
            elif a.op != b.op or frozen_attributes(a) != frozen_attributes(b):
                raise StepsDiffer(f"step {index} computes something other than step 0 (`{b.op}` in `{b.path}`)")
            if [v.type.key for v in a.results] != [v.type.key for v in b.results]:
                raise StepsDiffer(
                    f"shapes change from step to step ({a.result.type} in step 0, {b.result.type} in {index})"
                )
            left, right = a.inputs, b.inputs
            if len(left) != len(right):
                raise StepsDiffer(f"step {index} computes something other than step 0 (`{b.op}` in `{b.path}`)")
            for operand, (x, y) in enumerate(zip(left, right, strict=True)):
                if x in values:
                    if values[x] is not y:
                        raise StepsDiffer(f"step {index} connects its operations differently from step 0")
                    continue
                if x in self.names and y in self.names and str(x.type) == str(y.type):
                    self.stored.setdefault((at, operand), [x]).append(y)
                    continue
                source = None if x is y else before.get(y)
                if source is None and x is not y:
                    raise StepsDiffer(self.difference(x, y, index))
                if self.uses.setdefault((at, operand), source) is not source:
                    raise StepsDiffer(f"step {index} connects its operations differently from step 1")
            values.update(zip(a.results, b.results, strict=True))
        return values

    def varying_numbers(self) -> dict[int, list[Attribute]]:
        """The constants that differ between steps."""
        return {at: values for at, values in self.numbers.items() if len(set(map(repr, values))) > 1}

    def varying_tensors(self) -> dict[Value, list[Value]]:
        """The stored tensors that step 0 reads and that differ between steps, with those of each step. Together they
        must be smaller than those that all steps share."""
        tensors: dict[Value, list[Value]] = {}
        for values in self.stored.values():
            if tensors.setdefault(values[0], values) != values:
                raise StepsDiffer("the operands that read one stored tensor in step 0 read several in another step")
        varying = {x: values for x, values in tensors.items() if any(v is not x for v in values)}
        shared = sum(elements(x) for x in tensors.keys() - varying.keys())
        if varying and sum(elements(v) for values in varying.values() for v in dict.fromkeys(values)) > shared:
            differing = ((i, v) for values in varying.values() for i, v in enumerate(values) if v is not values[0])
            index, other = next(differing)
            raise StepsDiffer(self.difference(next(iter(varying)), other, index))
        return varying

    def difference(self, x: Value, y: Value, index: int) -> str:
        if x in self.names and y in self.names:
            if self.names[x] == self.names[y]:
                return f"step {index} reads another part or view of `{self.names[y]}` than step 0"
            return f"step {index} has its own weights (`{self.names[y]}`)"
        return f"step {index} reads a value that is neither the same in each step nor a result of the step before"


def _is_number(node: Node) -> bool:
    return node.op == "constant" and node.result.type.rank == 0


def match_steps(graph: Graph, repetition: Repetition, depth: int) -> Match:
    """Compare all steps of a `for` with step 0. Raises `StepsDiffer` if one computes something else."""
    steps: list[list[Node]] = [[] for _ in range(repetition.count)]
    for node in graph.nodes:
        if len(node.steps) > depth and node.steps[depth].loop == repetition.loop:
            steps[node.steps[depth].index].append(node)
    match = Match({n.result: str(n.attributes["stored"]) for n in graph.nodes if n.op == "parameter"}, steps)
    match.history.append({v: v for n in steps[0] for v in n.results})
    for index, nodes in enumerate(steps[1:], start=1):
        match.history.append(match.step(steps[0], nodes, match.history[-1], index))
    return match


def _roll(graph: Graph, repetition: Repetition, depth: int, stacks: bool) -> bool:
    """Replace the nodes of all steps by one `loop` node, or by one `scan` over the constants and stored tensors that
    differ between them. Returns whether stored tensors differ."""
    match = match_steps(graph, repetition, depth)
    varying = match.varying_tensors()
    if varying and not stacks:
        raise StepsDiffer("small parts of the weights differ between steps")
    steps, last = match.steps, match.history[-1]
    first = steps[0]
    hoisted = _invariant(first, match)
    carried = _carried(first, match, hoisted)
    results = _results(graph, match, carried)
    lists = [_list(first[at], numbers, depth) for at, numbers in match.varying_numbers().items()]
    parameters = {n.result: n for n in graph.nodes if n.op == "parameter"}
    lists += [_stacked([parameters[v] for v in values], first[0], depth) for values in varying.values()]
    body = _body(first, match, hoisted, carried, depth)
    starts: list[Operand] = [[v for v, _ in carried]]
    if lists:
        attributes: dict[str, Attribute] = {"axes": [0] * len(lists), "emit_axes": [], "reverse": False, "rolled": True}
        loop = Node("scan", [*starts, [n.result for n in lists]], attributes, results)
    else:
        loop = Node("loop", starts, {"count": repetition.count}, results)
    loop.path, loop.span, loop.steps, loop.body = _path(first), first[0].span, first[0].steps[:depth], body

    at, inside = graph.nodes.index(first[0]), {node for nodes in steps for node in nodes}
    for node in hoisted:
        node.steps = node.steps[:depth]
    others = [node for node in graph.nodes[at:] if node not in inside]
    before = _leading_to([*hoisted, *lists, loop], others)
    graph.nodes[at:] = [*before, *hoisted, *lists, loop, *(node for node in others if node not in before)]
    rewriter = Rewriter(graph)
    for (_, source), result in zip(carried, results, strict=True):
        rewriter.replace(last[source], result)
    return bool(varying)


def _leading_to(readers: Iterable[Node], others: list[Node]) -> dict[Node, None]:
    """Those of the other nodes that some nodes depend on, in order. They may stand between these: the cast of a
    parameter that a formula computes stands before the first node that reads it."""
    needed = {value for node in readers for value in node.reads()}
    found = []
    for node in reversed(others):
        if not needed.isdisjoint(node.results):
            needed.update(node.reads())
            found.append(node)
    return dict.fromkeys(reversed(found))


def _invariant(first: list[Node], match: Match) -> dict[Node, None]:
    """The loop-invariant nodes of a step, in order."""
    hoisted: dict[Node, None] = {}
    varying: set[Value] = {*match.varying_tensors()}
    numbers = match.varying_numbers()
    for at, node in enumerate(first):
        reads = enumerate(node.inputs)
        if at in numbers or any(v in varying or match.uses.get((at, operand)) is not None for operand, v in reads):
            varying.update(node.results)
        else:
            hoisted[node] = None
    return hoisted


Carried: TypeAlias = "list[tuple[Value, Value]]"
"""Pairs of an initial value, and the value of step 0 that the next step reads instead of it."""


def _carried(first: list[Node], match: Match, hoisted: Collection[Node]) -> Carried:
    """The carried values."""
    pairs: dict[tuple[Value, Value], None] = {}
    for (at, operand), source in match.uses.items():
        start = first[at].inputs[operand]
        if source is None or first[at] in hoisted:
            continue
        if str(start.type) != str(source.type):
            raise StepsDiffer(f"shapes change from step to step ({start.type} before step 0, {source.type} after it)")
        pairs[start, source] = None
    if not pairs:
        raise StepsDiffer("no step uses a result of the step before")
    return list(pairs)


def _results(graph: Graph, match: Match, carried: Carried) -> list[Value]:
    """New values for the results of the loop. Raises `StepsDiffer` if other values are read after it."""
    inside = {node for nodes in match.steps for node in nodes}
    read = {value for node in graph.nodes if node not in inside for value in node.reads()} | {*graph.outputs}
    finals = {match.history[-1][source] for _, source in carried}
    if any(value in read and value not in finals for node in inside for value in node.results):
        raise StepsDiffer("values other than the last step's result are used after the loop")
    return [Value(source.type, source.name) for _, source in carried]


def _body(first: list[Node], match: Match, hoisted: Collection[Node], carried: Carried, depth: int) -> Graph:
    numbers = match.varying_numbers()
    body = Graph([Value(start.type, source.name) for start, source in carried])
    inputs = dict(zip(carried, body.inputs, strict=True))
    tensors = {x: Value(x.type, x.name) for x in match.varying_tensors()}
    for at, node in enumerate(first):
        if node in hoisted:
            continue
        if at in numbers:
            body.inputs.append(node.result)
            continue
        sources = [match.uses.get((at, operand)) for operand in range(len(node.inputs))]
        reads = zip(node.inputs, sources, strict=True)
        operands = (tensors.get(v, v) if source is None else inputs[v, source] for v, source in reads)
        node.operands = node.operands_of(operands)
        node.steps = node.steps[depth + 1 :]
        body.nodes.append(node)
    body.inputs += tensors.values()
    body.outputs = [source for _, source in carried]
    return body


def _list(first: Node, numbers: list[Attribute], depth: int) -> Node:
    """The values of the constant `first` in all steps, as one constant."""
    type = TensorType.of(first.result.type.dtype, [len(numbers)])
    attributes: dict[str, Attribute] = {"value": numbers, "dtype": type.dtype}
    return Node("constant", [], attributes, [Value(type)], first.path, first.span, first.steps[:depth])


def _stacked(parameters: list[Node], first: Node, depth: int) -> Node:
    """The stored tensors that the steps read, stacked along a new first axis: a view of one stored tensor if they are
    its consecutive parts, otherwise a `stack`."""
    build = Build(Graph(), first.path, first.span, first.steps[:depth])
    view, type, count = parameters[0].view, parameters[0].result.type, len(parameters)
    assert view is not None
    assert type.sizes is not None
    stored = {str(node.attributes["stored"]) for node in parameters}
    if len(stored) == 1 and prod(view.source) == count * prod(type.sizes):
        whole = View.identity(view.source).reshape((count, *type.sizes))
        parts = [whole.slice([(i, i + 1, 1), *((0, size, 1) for size in type.sizes)]) for i in range(count)]
        reads = zip(parameters, parts, strict=True)
        if all(n.view is not None and n.view.reads_like(part.reshape(type.sizes)) for n, part in reads):
            return replace(parameters[0], results=[Value(TensorType.of(type.dtype, whole.shape))], view=whole)
    build("stack", [node.result for node in parameters], axis=0)
    [node] = build.nodes
    return node


def _path(nodes: list[Node]) -> str:
    """The path of the loop: the common prefix of the paths of its nodes."""
    common = nodes[0].path.split(".")
    for node in nodes:
        parts = node.path.split(".")
        while common != parts[: len(common)]:
            common.pop()
    return ".".join(common)
