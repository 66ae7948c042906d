"""The first half of a step of training: the gradient of the loss for each tensor that is trained.

The second is `update`. What both have to say to each other is nothing but these gradients, so that they can also be
two graphs (`split_step`), and the gradients of several parts of a batch be added in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from wsdl.diagnostics import CompileError
from wsdl.ir.binding import rows_dimension
from wsdl.ir.graph import Graph, Model, Node, Program, Stored, Value
from wsdl.ir.stages import ResolvedTraining, Storage
from wsdl.ir.training import LOSS, SEED, Objective
from wsdl.ops.build import Build
from wsdl.passes.batch_steps import batch_graph
from wsdl.passes.dedupe import dedupe
from wsdl.passes.differentiate import dependents, differentiate
from wsdl.passes.fold_views import fold_views
from wsdl.passes.frozen import Normalised, normalised
from wsdl.passes.hoist_invariants import hoist_graph
from wsdl.passes.mixed_rows import refused
from wsdl.passes.read_stored import objective_over_stored
from wsdl.passes.roll_loops import Loops, roll_loops
from wsdl.passes.rounds import moved, rest_of
from wsdl.passes.separate import WHOLE, Entry, Merge, separate
from wsdl.passes.through_view import through_view

PART = "part/number"  # an input, i64: which part of a batch this is
SHARE = "part/share"  # an input, f32: how many of the rows of a batch this part has, from 0 to 1
APART = 0x2545F4914F6CDD1D  # an odd number with random bits


@dataclass(eq=False)
class Gradients:
    """A program of one model, whose outputs are the loss and the metrics; its graph also has all that the others are.

    `trained` are the stored tensors that the optimizer changes, `statistics` those that the batches do; `gradients` and
    `latest` what belongs to them, by their names. Of parts, `rest` gives loss and metrics in their place, from what
    comes of `merges`.
    """

    program: Program
    trained: list[Stored]
    statistics: list[Stored]
    gradients: dict[str, Value] = field(default_factory=dict)
    latest: dict[str, Value] = field(default_factory=dict)
    merges: list[Merge] = field(default_factory=list)
    rest: Graph | None = None
    mixed: dict[str, Node] = field(default_factory=dict)  # the metrics that depend on the parts, and why
    normalised: list[Normalised] = field(default_factory=list)

    @property
    def model(self) -> Model:
        return self.program.only


def gradients(
    storage: Storage, training: ResolvedTraining, loops: Loops = "auto", *, of_parts: bool = False
) -> Gradients:
    """The gradients of a training, in a graph of their own.

    `of_parts` makes the gradients those that one part of a batch adds to those of the whole, for which there are
    further inputs `whole/…`, of `merges`, and `part/number`, i64[], where something is random in it.
    """
    objective, written = objective_over_stored(storage, training), training.written
    graph = objective.graph
    updates = _updates(storage, objective)
    results = [objective.loss, *objective.metrics.values()]
    trained = storage.models[training.model]
    model = Model(training.model, graph, trained.module, written.doc, written.span, reads=trained.reads)
    model.fed = [*training.trained, *updates]
    step = Program(models={model.name: model}, stored=dict(storage.stored))
    by_batch = normalised(graph)
    if of_parts:
        return replace(_of_parts(training, step, results, updates, loops), normalised=by_batch)
    model.output_names = [LOSS, *objective.metrics]
    graph.outputs = [*results, *(v for values in updates.values() for v in values)]
    roll_loops(fold_views(step), loops)
    dedupe(step)
    latest = graph.outputs[len(results) :]
    del graph.outputs[len(results) :]
    found, _ = _gradients(graph, training.trained, graph.outputs[0], [])
    return replace(_found(step, training, updates, latest, found), normalised=by_batch)


def _of_parts(
    training: ResolvedTraining, step: Program, results: list[Value], updates: Mapping[str, list[Value]], loops: Loops
) -> Gradients:
    graph = step.only.graph
    apart = separate(graph, results, rows_dimension(v.type for v in graph.inputs), of_gradients=True)
    if apart.mixed[0] is not None:
        raise CompileError([refused(training, apart.mixed[0])])
    rest, same = rest_of(graph, apart.values, apart.merges)
    _tell_parts_apart(graph)
    merges = [*apart.merges, *same]
    parts = [part for merge in merges for part in merge.parts]
    entries = [value for entry in apart.entries for value in (entry.value, entry.number)]
    graph.outputs = [apart.values[0], *parts, *entries, *(v for values in updates.values() for v in values)]
    roll_loops(fold_views(step), loops)
    dedupe(step)
    outputs = iter(graph.outputs)
    loss, parts, entries = next(outputs), [next(outputs) for _ in parts], [next(outputs) for _ in entries]
    graph.outputs = []
    pairs = {id(number): Entry(value, number) for value, number in zip(entries[::2], entries[1::2], strict=True)}
    found, adjoints = _gradients(graph, training.trained, loss, list(pairs.values()))
    result = _found(step, training, updates, list(outputs), found)
    result.merges, result.rest = [*moved(merges, parts), *adjoints], rest
    names = [LOSS, *training.written.objective.metrics]
    result.mixed = {name: node for name, node in zip(names, apart.mixed, strict=True) if node is not None}
    return result


def _found(
    step: Program,
    training: ResolvedTraining,
    updates: Mapping[str, list[Value]],
    latest: list[Value],
    found: dict[str, Value],
) -> Gradients:
    trained, statistics = ([step.stored[name] for name in names] for names in (training.trained, updates))
    return Gradients(step, trained, statistics, found, _means(Build(step.only.graph), latest, updates))


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


def _updates(storage: Storage, objective: Objective) -> dict[str, list[Value]]:
    """The new running statistics by the name of the stored tensor; where layers share one, each has its say."""
    updates: dict[str, list[Value]] = {}
    for path, value in objective.states.items():
        stored, _ = storage.home(path)
        updates.setdefault(stored.name, []).append(value)
    return updates


def _means(build: Build, values: list[Value], updates: Mapping[str, list[Value]]) -> dict[str, Value]:
    means: dict[str, Value] = {}
    rest = iter(values)
    for name, several in updates.items():
        own = [next(rest) for _ in several]
        means[name] = own[0] if len(own) == 1 else build("div", build.add(own), float(len(own)))
    return means


def _gradients(
    graph: Graph, trained: Sequence[str], loss: Value, entries: Sequence[Entry]
) -> tuple[dict[str, Value], list[Merge]]:
    """The gradient of each trained tensor: the sum over its uses, each through its view.

    And for each entry of something of the whole into the rows, through which the loss changes with what is trained, the
    sum over the rows of its gradient, which comes in as `whole/…`, too.
    """
    hoist_graph(graph)  # inside a scan a view is read in the body
    batch_graph(graph)
    reads = [n for n in graph.nodes if n.op == "parameter" and n.attributes["stored"] in trained]
    build = Build(graph)
    gradients = [(entry, _input(graph, entry)) for entry in _active(graph, reads, loss, entries)]
    for entry, gradient in gradients:
        product = build.mul(gradient, entry.value)
        added = build("sum", product) if product.type.rank else product
        loss = build(
            "add", loss, added if added.type.dtype == loss.type.dtype else build("cast", added, dtype=loss.type.dtype)
        )
    wanted = [*(node.result for node in reads), *(entry.number for entry, _ in gradients)]
    found = differentiate(graph, loss, wanted)
    parts: dict[str, list[Value]] = {}
    for node, own in zip(reads, found, strict=False):
        if own is not None:
            assert node.view is not None
            parts.setdefault(str(node.attributes["stored"]), []).append(through_view(build, own, node.view))
    merges = [
        Merge("sum", [own if own is not None else build.expand(build.zeros(gradient.type), gradient.type)], [gradient])
        for (_, gradient), own in zip(gradients, found[len(reads) :], strict=True)
    ]
    return {name: build.add(values) for name, values in parts.items()}, merges


def _active(graph: Graph, reads: Sequence[Node], loss: Value, entries: Sequence[Entry]) -> list[Entry]:
    """The entries through which the loss changes with what is trained, the last ones first."""
    changing = dependents(graph.nodes, {id(node.result) for node in reads})
    for entry in entries:
        if id(entry.value) in changing:  # and so is what the rows compute with it, up to the next entry
            changing |= dependents(graph.nodes, {id(entry.number)})
    aims, active = {id(loss)}, list[Entry]()
    for entry in reversed(entries):
        if id(entry.value) in changing and aims & dependents(graph.nodes, {id(entry.number)}):
            aims.add(id(entry.value))
            active.append(entry)
    return active


def _input(graph: Graph, entry: Entry) -> Value:
    number = sum(v.name.startswith(WHOLE) for v in graph.inputs)
    graph.inputs.append(Value(entry.value.type, f"{WHOLE}gradient/{number}"))
    return graph.inputs[-1]
