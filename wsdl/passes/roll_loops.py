"""Turns the unrolled steps of a `for` back into one body, where all steps do the same with the same weights.

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

The size of the file and the start of a session then no longer depend on the number of steps. What doesn't change from
step to step is computed once, before the loop. Where a step has numbers of its own, as the place of a dropout, the loop
is a `scan` over the list of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Literal

from wsdl.ir.graph import Attribute, Graph, LoopChoice, Node, Operand, Program, Repetition, Value
from wsdl.ir.types import TensorType
from wsdl.passes.dedupe import frozen_attributes, swapped

Loops = Literal["auto", "loop", "unroll"]
ENOUGH = 8  # steps from which `auto` rolls: below, a session starts fast enough and unrolled nodes run a little faster


class NotTheSame(Exception):
    """Why two steps can't be one body, in words for the user."""


def roll_loops(program: Program, mode: Loops = "auto") -> Program:
    """Roll the `for`s of every model as `mode` says; `program.loops` tells what became of each."""
    for model in program.models.values():
        _hoist_parameters(model.graph)
        _roll_all(model.graph, program, mode)
    return program


def _roll_all(graph: Graph, program: Program, mode: Loops) -> None:
    """Outermost `for`s first; what can't be rolled is searched for those inside it."""
    for depth in count():
        loops = {n.steps[depth].loop: n.steps[depth] for n in graph.nodes if len(n.steps) > depth}
        if not loops:
            break
        for repetition in loops.values():
            if repetition.count > 1 and any(_of(n, repetition.loop) for n in graph.nodes):
                program.loops.append(_choose(graph, repetition, depth, mode))
    for node in graph.nodes:
        if node.body is not None:
            _roll_all(node.body, program, mode)


def _of(node: Node, loop: int) -> bool:
    return any(step.loop == loop for step in node.steps)


def _choose(graph: Graph, repetition: Repetition, depth: int, mode: Loops) -> LoopChoice:
    steps, span = repetition.count, repetition.span
    if mode == "unroll":
        return LoopChoice(span, steps, False, "asked for with --loops unroll")
    if mode == "auto" and steps < ENOUGH:
        return LoopChoice(span, steps, False, f"fewer than {ENOUGH} steps")
    try:
        _roll(graph, repetition, depth)
    except NotTheSame as reason:
        return LoopChoice(span, steps, False, str(reason))
    why = "asked for with --loops loop" if mode == "loop" else "all steps use the same weights"
    return LoopChoice(span, steps, True, why)


def _hoist_parameters(graph: Graph) -> None:
    """All reads of stored tensors first, each once: through one view, in one dtype."""
    reads: dict[object, Node] = {}
    replaced: dict[int, Value] = {}
    for node in graph.nodes:
        if node.op == "parameter" and node.view is not None:
            view = node.view.source, node.view.layout, node.result.type.dtype
            first = reads.setdefault((node.attributes["stored"], *view), node)
            replaced[id(node.result)] = first.result
            node.steps = ()
    _replace(graph, replaced)
    graph.nodes = [*reads.values(), *(n for n in graph.nodes if n.op != "parameter")]


def _replace(graph: Graph, replaced: dict[int, Value]) -> None:
    for node in graph.walk():
        node.operands = [swapped(o, replaced) for o in node.operands]
    for inner in [graph, *(n.body for n in graph.walk() if n.body is not None)]:
        inner.outputs = [replaced.get(id(v), v) for v in inner.outputs]


# -- matching the steps ------------------------------------------------------------------------------------------------


@dataclass
class Match:
    """The steps of a loop held against its first one. Values are named by those of step 0.

    `uses` says for each place where step 0 reads a value from outside what later steps read there: the same (`None`),
    or what the step before computed (a value of step 0). `numbers` are those of the scalar constants at a place, one of
    each step.
    """

    names: dict[int, str]  # of stored tensors, for messages
    steps: list[list[Node]]
    history: list[dict[int, Value]] = field(default_factory=list)  # for each value of step 0 the one of each step
    numbers: dict[int, list[Attribute]] = field(default_factory=dict)
    uses: dict[tuple[int, int], Value | None] = field(default_factory=dict)

    def step(self, first: list[Node], nodes: list[Node], previous: dict[int, Value], index: int) -> dict[int, Value]:
        """Hold one step against the first; for each value of step 0 the one of this step."""
        if len(first) != len(nodes):
            raise NotTheSame(f"step {index} computes something else than step 0")
        own: dict[int, Value] = {}
        before = {id(v): k for k, v in previous.items()}
        originals = {id(v): v for n in first for v in n.results}
        for at, (a, b) in enumerate(zip(first, nodes, strict=True)):
            if a.body is not None or b.body is not None:
                raise NotTheSame("a step holds a scan or a loop of its own")
            if _is_number(a) and _is_number(b):
                self.numbers.setdefault(at, [a.attributes["value"]]).append(b.attributes["value"])
            elif a.op != b.op or frozen_attributes(a) != frozen_attributes(b):
                raise NotTheSame(f"step {index} computes something else than step 0 (`{b.op}` in `{b.path}`)")
            if [str(v.type) for v in a.results] != [str(v.type) for v in b.results]:
                raise NotTheSame(
                    f"shapes change from step to step ({a.result.type} in step 0, {b.result.type} in {index})"
                )
            left, right = a.inputs, b.inputs
            if len(left) != len(right):
                raise NotTheSame(f"step {index} computes something else than step 0 (`{b.op}` in `{b.path}`)")
            for place, (x, y) in enumerate(zip(left, right, strict=True)):
                if id(x) in own:
                    if own[id(x)] is not y:
                        raise NotTheSame(f"step {index} connects its parts in another way than step 0")
                    continue
                source = None if x is y else originals.get(before.get(id(y), 0))
                if source is None and x is not y:
                    raise NotTheSame(self.difference(x, y, index))
                if self.uses.setdefault((at, place), source) is not source:
                    raise NotTheSame(f"step {index} connects its parts in another way than step 1")
            own.update({id(v): w for v, w in zip(a.results, b.results, strict=True)})
        return own

    def moving_numbers(self) -> dict[int, list[Attribute]]:
        """Those that are not the same in each step."""
        return {at: values for at, values in self.numbers.items() if len(set(map(repr, values))) > 1}

    def difference(self, x: Value, y: Value, index: int) -> str:
        if id(x) in self.names and id(y) in self.names:
            if self.names[id(x)] == self.names[id(y)]:
                return f"step {index} reads another part or view of `{self.names[id(y)]}` than step 0"
            return f"step {index} has weights of its own (`{self.names[id(y)]}`)"
        return f"step {index} reads a value that is neither the same in each step nor made by the step before it"


def _is_number(node: Node) -> bool:
    return node.op == "constant" and node.result.type.rank == 0


def match_steps(graph: Graph, repetition: Repetition, depth: int) -> Match:
    """All steps of a `for` held against its first one; `NotTheSame` where they do something else."""
    steps: list[list[Node]] = [[] for _ in range(repetition.count)]
    for node in graph.nodes:
        if len(node.steps) > depth and node.steps[depth].loop == repetition.loop:
            steps[node.steps[depth].index].append(node)
    match = Match({id(n.result): str(n.attributes["stored"]) for n in graph.nodes if n.op == "parameter"}, steps)
    match.history.append({id(v): v for n in steps[0] for v in n.results})
    for index, nodes in enumerate(steps[1:], start=1):
        match.history.append(match.step(steps[0], nodes, match.history[-1], index))
    return match


def _roll(graph: Graph, repetition: Repetition, depth: int) -> None:
    """Replace the nodes of all steps by one `loop` node, or one `scan` over the numbers of the steps."""
    match = match_steps(graph, repetition, depth)
    steps, history = match.steps, match.history
    first, last = steps[0], history[-1]
    hoisted = _invariant(first, match)
    carried = _carried(first, match, hoisted)
    results = _results(graph, steps, history, carried)
    lists = [_list(first[at], numbers, depth) for at, numbers in match.moving_numbers().items()]
    body = _body(first, match, hoisted, carried, depth)
    starts: list[Operand] = [[v for v, _ in carried]]
    if lists:
        attributes: dict[str, Attribute] = {"axes": [0] * len(lists), "emit_axes": [], "reverse": False, "rolled": True}
        loop = Node("scan", [*starts, [n.result for n in lists]], attributes, results)
    else:
        loop = Node("loop", starts, {"count": repetition.count}, results)
    loop.path, loop.span, loop.steps, loop.body = _path(first), first[0].span, first[0].steps[:depth], body

    gone = {id(n) for nodes in steps for n in nodes}
    kept: list[Node] = []
    for node in graph.nodes:
        if node is first[0]:
            kept += [n for n in first if id(n) in hoisted]
            kept += [*lists, loop]
        if id(node) not in gone:
            kept.append(node)
    for node in first:
        if id(node) in hoisted:
            node.steps = node.steps[:depth]
    graph.nodes = kept
    finals = {id(last[id(y)]): r for (_, y), r in zip(carried, results, strict=True)}
    _replace(graph, finals)


def _invariant(first: list[Node], match: Match) -> set[int]:
    """The nodes of a step that compute the same in each: they read nothing that changes."""
    hoisted: set[int] = set()
    moving: set[int] = set()
    numbers = match.moving_numbers()
    for at, node in enumerate(first):
        reads = enumerate(node.inputs)
        if at in numbers or any(id(v) in moving or match.uses.get((at, place)) is not None for place, v in reads):
            moving |= {id(v) for v in node.results}
        else:
            hoisted.add(id(node))
    return hoisted


def _carried(first: list[Node], match: Match, hoisted: set[int]) -> list[tuple[Value, Value]]:
    """The carried values: what step 0 starts from, and the value of step 0 that the next step starts from."""
    pairs: dict[tuple[int, int], tuple[Value, Value]] = {}
    for (at, place), source in match.uses.items():
        start = first[at].inputs[place]
        if source is None or id(first[at]) in hoisted:
            continue
        if str(start.type) != str(source.type):
            raise NotTheSame(f"shapes change from step to step ({start.type} before step 0, {source.type} after it)")
        pairs[id(start), id(source)] = (start, source)
    if not pairs:
        raise NotTheSame("no step uses what the step before it computed")
    return list(pairs.values())


def _results(
    graph: Graph, steps: list[list[Node]], history: list[dict[int, Value]], carried: list[tuple[Value, Value]]
) -> list[Value]:
    """New values for the results of the loop; what else of the steps is used behind it stands in the way."""
    inside = {id(n) for nodes in steps for n in nodes}
    outside = [n for n in graph.nodes if id(n) not in inside]
    read = {id(v) for n in outside for v in [*n.inputs, *(n.body.captured() if n.body else ())]}
    read |= {id(v) for v in graph.outputs}
    finals = {id(history[-1][id(y)]) for _, y in carried}
    for nodes in steps:
        for value in (v for n in nodes for v in n.results):
            if id(value) in read and id(value) not in finals:
                raise NotTheSame("what a step computes is used after the loop, and not only the last step's result")
    return [Value(y.type, y.name) for _, y in carried]


def _body(first: list[Node], match: Match, hoisted: set[int], carried: list[tuple[Value, Value]], depth: int) -> Graph:
    numbers = match.moving_numbers()
    body = Graph([Value(start.type, source.name) for start, source in carried])
    inputs = {(id(start), id(source)): v for (start, source), v in zip(carried, body.inputs, strict=True)}
    for at, node in enumerate(first):
        if id(node) in hoisted:
            continue
        if at in numbers:
            body.inputs.append(node.result)
            continue
        place = count()

        def read(value: Value, at: int = at, place: count[int] = place) -> Value:
            source = match.uses.get((at, next(place)))
            return value if source is None else inputs[id(value), id(source)]

        node.operands = [
            [read(v) for v in o] if isinstance(o, list) else (None if o is None else read(o)) for o in node.operands
        ]
        node.steps = node.steps[depth + 1 :]
        body.nodes.append(node)
    body.outputs = [source for _, source in carried]
    return body


def _list(first: Node, numbers: list[Attribute], depth: int) -> Node:
    """The numbers that the constant `first` has in each step, as one constant."""
    type = TensorType.of(first.result.type.dtype, [len(numbers)])
    attributes: dict[str, Attribute] = {"value": numbers, "dtype": type.dtype}
    return Node("constant", [], attributes, [Value(type)], first.path, first.span, first.steps[:depth])


def _path(nodes: list[Node]) -> str:
    """The layer in which the loop stands: what the paths of its nodes have in common."""
    common = nodes[0].path.split(".")
    for node in nodes:
        parts = node.path.split(".")
        while common != parts[: len(common)]:
            common.pop()
    return ".".join(common)
