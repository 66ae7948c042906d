"""One step of training as two graphs with the gradients in between.

Several parts of a batch can so add up to one step, and the update may write every new value over the old one: there is
nothing left that would still read it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wsdl.ir.graph import Graph, Model, Node, Program, Stored, Value
from wsdl.ir.stages import ResolvedTraining, Storage
from wsdl.ir.training import SEED, STEP, TOTAL
from wsdl.ir.types import TensorType
from wsdl.ops.build import Build
from wsdl.passes.dedupe import dedupe
from wsdl.passes.frozen import Normalised
from wsdl.passes.gradient_norm import NORM, as_dtype, gradient_norm, norm_type
from wsdl.passes.gradients import PART, SHARE, Gradients, gradients
from wsdl.passes.pieces import Pieces, take_pieces
from wsdl.passes.prune import drop_unread, prune
from wsdl.passes.roll_loops import Loops
from wsdl.passes.rounds import Round, part_name, read_by, round_of, rounds_before
from wsdl.passes.separate import WHOLE, Merge
from wsdl.passes.update import GRADIENT, NEXT, give, input_of, is_random, update

SUM = "sum/"  # before the name of a stored tensor
RATE = "lr"


@dataclass(eq=False)
class SplitStep:
    """A step in two halves, each a program of one model.

    `first` gives the loss, the metrics, `gradient/NAME` for each trained tensor, the norm of all gradients, and
    `next/NAME` for running statistics. If it is of parts, it adds to inputs `sum/NAME`, to those of the running
    statistics by `part/share`, and wants `whole/…`, which comes of going through all parts before, once for each of
    `rounds`; in place of loss and metrics it gives the parts of `last`, and `rest` has them from what these, and all
    others, are of the whole. `second` gives `next/…` for all that it changes, and `lr`, the learning rate; `in_place`
    names what it may write over its own input. What `pieces` do is taken out of it. Where something is random, `first`
    also wants `seed`, `step` and, of parts, `part/number`, which tells them apart.

    `normalised` says which layers normalise by the batch, and over how many values of each channel.
    """

    first: Program
    second: Program
    trained: list[Stored]
    statistics: list[Stored]
    states: dict[str, TensorType] = field(default_factory=dict)
    averages: dict[str, Stored] = field(default_factory=dict)
    in_place: set[str] = field(default_factory=set)
    pieces: list[Pieces] = field(default_factory=list)
    normalised: list[Normalised] = field(default_factory=list)
    merges: list[Merge] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    last: list[Merge] = field(default_factory=list)
    rest: Graph | None = None
    mixed: dict[str, Node] = field(default_factory=dict)  # the metrics that depend on the parts, and why

    @property
    def is_random(self) -> bool:
        return is_random(self.first.only)


def split_step(
    storage: Storage,
    training: ResolvedTraining,
    loops: Loops = "auto",
    *,
    of_parts: bool = False,
    piecewise: bool = False,
) -> SplitStep:
    """The step of a training, in graphs of its own; `piecewise` takes large tensors out of it."""
    first = gradients(storage, training, loops, of_parts=of_parts)
    _give_gradients(first, of_parts)
    rounds, last = _rounds(first) if of_parts else ([], [])
    second = Model(training.model, Graph(), first.model.module)
    given = {s.name: Value(s.type, GRADIENT + s.name) for s in first.trained}
    second.graph.inputs = list(given.values())
    second.fed = [s.name for s in first.trained]
    norm = Value(norm_type(v.type for v in given.values()), NORM)
    second.graph.inputs.append(norm)
    changes = update(second, training, first.trained, given, norm)
    second.graph.outputs.append(changes.rate)
    second.output_names.append(RATE)
    updating = Program(models={second.name: second}, stored={s.name: s for s in first.trained})
    for half in (first.program, updating):
        dedupe(half)
        prune(half)
    wholes = [v.name for v in first.model.graph.inputs if v.name.startswith(WHOLE)]
    drop_unread(first.model.graph, SEED, STEP, PART, SHARE, *wholes)
    drop_unread(second.graph, TOTAL, NORM)
    in_place = _in_place(second)
    pieces = take_pieces(second, first.trained) if piecewise else []
    return SplitStep(
        first.program, updating, first.trained, first.statistics, changes.states, changes.averages,
        in_place, pieces, first.normalised, first.merges, rounds, last, first.rest, first.mixed,
    )  # fmt: skip


def _rounds(first: Gradients) -> tuple[list[Round], list[Merge]]:
    """What has to be merged before the gradients of a part can be computed; and what is left for loss and metrics,
    which is given beside them."""
    model, merges = first.model, first.merges
    graph, results = model.graph, read_by(first.rest or Graph(), first.merges)
    rounds = rounds_before(graph, merges, graph.outputs)
    while True:
        known = [merge for r in rounds for merge in r]
        last = [merge for merge in results if merge not in known and merge.how != "size"]
        rounds, before = rounds_before(graph, merges, [*graph.outputs, *(p for m in last for p in m.parts)]), rounds
        if len(before) == len(rounds) and sum(map(len, before)) == sum(map(len, rounds)):
            break
    done = [round_of(model, first.program, r) for r in rounds]
    model.output_names += [part_name(whole) for merge in last for whole in merge.wholes]
    graph.outputs += [part for merge in last for part in merge.parts]
    return done, last


def _give_gradients(first: Gradients, of_parts: bool) -> None:
    """Add the outputs of a first half, behind the loss and the metrics."""
    model, build = first.model, Build(first.model.graph)
    gradients, latest = first.gradients, first.latest
    if of_parts:
        gradients = {name: _added(build, gradient, name) for name, gradient in gradients.items()}
        share = input_of(model.graph, SHARE, TensorType.of("f32"))
        shares = {name: build("mul", value, as_dtype(build, share, value.type)) for name, value in latest.items()}
        latest = {name: _added(build, value, name) for name, value in shares.items()}
    for name, gradient in gradients.items():
        model.graph.outputs.append(gradient)
        model.output_names.append(GRADIENT + name)
    model.graph.outputs.append(gradient_norm(build, gradients.values(), latest.values()))
    model.output_names.append(NORM)
    for name, value in latest.items():
        give(model, value, name)


def _added(build: Build, value: Value, name: str) -> Value:
    """What this part of a batch has, added to that of the parts before it."""
    return build("add", input_of(build.graph, SUM + name, value.type), value)


def _in_place(model: Model) -> set[str]:
    """The inputs that may share their memory with the output that feeds them: those that are read by nothing but what
    this output is computed from, so that no order of the nodes reads them too late."""
    graph = model.graph
    inputs: dict[str, set[int]] = {v.name: {id(v)} for v in graph.inputs}
    for node in graph.nodes:
        if node.op == "parameter":
            inputs.setdefault(str(node.attributes["stored"]), set()).add(id(node.result))
    outputs = {n.removeprefix(NEXT): v for n, v in zip(model.output_names, graph.outputs, strict=True)}
    return {name for name, values in inputs.items() if name in outputs and _is_last(graph, values, outputs[name])}


def _is_last(graph: Graph, values: set[int], output: Value) -> bool:
    """Is every node that reads one of the values needed for the output, and none of them something else's?"""
    needed = _ancestors(graph, output)
    return all(id(node) in needed for node in graph.nodes if any(id(v) in values for v in node.inputs))


def _ancestors(graph: Graph, output: Value) -> set[int]:
    wanted, found = {id(output)}, set[int]()
    for node in reversed(graph.nodes):
        if any(id(v) in wanted for v in node.results):
            wanted |= {id(v) for v in node.inputs}
            found.add(id(node))
    return found
