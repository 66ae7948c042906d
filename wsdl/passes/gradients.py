"""The first half of a step of training: the gradient of the loss for each tensor that is trained.

The second is `update`. What both have to say to each other is nothing but these gradients, so that they can also be
two graphs (`split_step`), and the gradients of several parts of a batch be added in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wsdl.ir.graph import Graph, Model, Node, Program, Stored, Value
from wsdl.ir.training import LOSS, SEED, Training
from wsdl.ops.build import Build
from wsdl.passes.batch_steps import batch_graph
from wsdl.passes.dedupe import dedupe
from wsdl.passes.differentiate import differentiate
from wsdl.passes.fold_views import fold_views
from wsdl.passes.hoist_invariants import hoist_graph
from wsdl.passes.roll_loops import Loops, roll_loops
from wsdl.passes.separate import shares_of_whole
from wsdl.passes.through_view import through_view

PART = "part/number"  # an input, i64: which part of a batch this is
SHARE = "part/share"  # an input, f32: how many of the rows of a batch this part has, from 0 to 1
APART = 0x2545F4914F6CDD1D  # an odd number with random bits


@dataclass(eq=False)
class Gradients:
    """A program of one model, whose outputs are the loss and the metrics; its graph also has all that the others are.

    `trained` are the stored tensors that the optimizer changes, `statistics` those that the batches do; `gradients` and
    `latest` what belongs to them, by their names. `counts` are what this part of a batch adds to each input `total/…`.
    """

    program: Program
    trained: list[Stored]
    statistics: list[Stored]
    gradients: dict[str, Value] = field(default_factory=dict)
    latest: dict[str, Value] = field(default_factory=dict)
    counts: dict[str, Value] = field(default_factory=dict)

    @property
    def model(self) -> Model:
        return self.program.only


def gradients(program: Program, training: Training, loops: Loops = "auto", *, of_parts: bool = False) -> Gradients:
    """The gradients of a training that was checked, in a graph of their own.

    `of_parts` makes loss, metrics and gradients those that one part of a batch adds to those of the whole, for which
    there are further inputs `total/…`, f32[], and `part/number`, i64[], where something is random in it.
    """
    copies: dict[int, Value] = {}
    graph = training.graph.copy(copies)
    updates = {name: [copies[id(v)] for v in values] for name, values in _updates(program, training).items()}
    results = [copies[id(v)] for v in (training.loss, *training.metrics.values())]
    counts: dict[str, Value] = {}
    if of_parts:
        results, counts = shares_of_whole(graph, results)
        _tell_parts_apart(graph)
    model = Model(training.model, graph, program.models[training.model].module, training.doc, training.span)
    model.output_names, model.fed = [LOSS, *training.metrics], [*training.trained, *updates]
    step = Program(models={model.name: model}, stored=dict(program.stored))
    graph.outputs = [*results, *counts.values(), *(v for values in updates.values() for v in values)]
    roll_loops(fold_views(step), loops)
    dedupe(step)
    others = graph.outputs[len(results) :]
    del graph.outputs[len(results) :]
    trained, statistics = ([program.stored[name] for name in names] for names in (training.trained, updates))
    latest = _means(Build(graph), others[len(counts) :], updates)
    return Gradients(
        step, trained, statistics, _gradients(graph, trained), latest, dict(zip(counts, others, strict=False))
    )


def _tell_parts_apart(graph: Graph) -> None:
    """Let what is random be so in each part: its seed follows from that of the step and the part."""
    seed = next((v for v in graph.inputs if v.name == SEED), None)
    if seed is None:
        return
    given, part = Value(seed.type, SEED), Value(seed.type, PART)
    graph.inputs[graph.inputs.index(seed)] = given
    graph.inputs.append(part)
    rest, graph.nodes = graph.nodes, []
    build = Build(graph)
    far = build("mul", part, build("constant", value=APART, dtype="i64"))
    graph.nodes.append(Node("add", [given, far], {}, [seed]))
    seed.name = ""
    graph.nodes += rest


def _updates(program: Program, training: Training) -> dict[str, list[Value]]:
    """The new running statistics by the name of the stored tensor; where layers share one, each has its say."""
    updates: dict[str, list[Value]] = {}
    for path, value in training.objective.states.items():
        stored, _ = program.stored_of(path)
        updates.setdefault(stored.name, []).append(value)
    return updates


def _means(build: Build, values: list[Value], updates: Mapping[str, list[Value]]) -> dict[str, Value]:
    means: dict[str, Value] = {}
    rest = iter(values)
    for name, several in updates.items():
        own = [next(rest) for _ in several]
        means[name] = own[0] if len(own) == 1 else build("div", build.add(own), float(len(own)))
    return means


def _gradients(graph: Graph, trained: list[Stored]) -> dict[str, Value]:
    """The gradient of each trained tensor: the sum over its uses, each through its view."""
    hoist_graph(graph)  # inside a scan a view is read in the body
    batch_graph(graph)
    names = {s.name for s in trained}
    reads = [n for n in graph.nodes if n.op == "parameter" and n.attributes["stored"] in names]
    found = differentiate(graph, graph.outputs[0], [node.result for node in reads])
    build = Build(graph)
    parts: dict[str, list[Value]] = {}
    for node, gradient in zip(reads, found, strict=True):
        if gradient is not None:
            assert node.view is not None
            parts.setdefault(str(node.attributes["stored"]), []).append(through_view(build, gradient, node.view))
    return {name: build.add(values) for name, values in parts.items()}
