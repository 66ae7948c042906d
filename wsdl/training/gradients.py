"""From the objective of a training to the gradient of the loss with respect to each trained tensor.

The update needs nothing else, so it can be a phase of its own, and gradients of several parts of a batch can be added
in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from wsdl.diagnostics import CompileError
from wsdl.differentiation.differentiate import differentiate
from wsdl.differentiation.pull_back import dependents
from wsdl.ir.graph import Graph, Model, Node, Value
from wsdl.ir.phase import Phase
from wsdl.ir.stages import ResolvedTraining, Storage
from wsdl.ir.step import (
    COUNT,
    FINITE,
    FIRST,
    NORM,
    PART_SHARE,
    Carried,
    Forward,
    Gradient,
    Merge,
    Next,
    NextCarried,
    Result,
    Sum,
    Whole,
    norm_type,
    seed_variable,
    step_variable,
)
from wsdl.ir.target import Target
from wsdl.ir.training import LOSS, SEED, STEP
from wsdl.ir.types import TensorType
from wsdl.ops.build import Build
from wsdl.sharing.frozen import normalized
from wsdl.sharing.read_stored import objective_over_stored
from wsdl.sharing.through_view import through_view
from wsdl.training.draft import Changing, Draft, NewStatistic
from wsdl.training.gradient_norm import as_dtype, gradient_norm, zeros_if_finite
from wsdl.training.merged_results import separate_results
from wsdl.training.mixed_rows import refused
from wsdl.training.separate import Entry
from wsdl.training.updates import plan_updates


@dataclass(frozen=True)
class EntrySide:
    """An intermediate output: one side of the `Entry` of this number."""

    number: int
    side: Literal["value", "number"]

    @property
    def name(self) -> str:
        return f"entry/{self.number}/{self.side}"


def objective_of(storage: Storage, training: ResolvedTraining, target: Target) -> Draft:
    """Loss, metrics and new running statistics, in a graph of their own."""
    objective, written = objective_over_stored(storage, training), training.written
    own = storage.models[training.model]
    model = Model(training.name, objective.graph, own.module, written.doc, written.span, reads=own.reads)
    steps, seed = step_variable(training.scope), seed_variable(training.scope)
    for value in objective.graph.inputs:
        value.name = {STEP: steps.name, SEED: seed.name}.get(value.name, value.name)
    phase = Phase.of(model, storage.stored, target)
    changing = Changing.by(training, storage)
    writes, forward = plan_updates(objective, storage, changing)
    phase.label(steps, seed, FIRST, *map(Carried, objective.carried))
    phase.feed(*changing.inputs)
    for name, value in {LOSS: objective.loss, **objective.metrics}.items():
        phase.write(Result(name), value)
    latest = [(storage.home(path)[0].name, value) for path, value in objective.states.items()]
    for variable in changing.statistics:
        uses = [value for name, value in latest if name == variable.of]
        for number, value in enumerate(uses):
            phase.write(NewStatistic(variable, number), value)
    for port, value in forward.items():
        phase.write(port, value)
    for name, value in objective.carried.items():
        phase.write(NextCarried(Carried(name)), value)
    return Draft(training, phase, changing, writes, normalized=normalized(objective.graph))


# -- for one part of a batch -------------------------------------------------------------------------------------------


def separate_rows(draft: Draft) -> None:
    """Replace the loss by the contribution of one part of a batch, and output the values that loss and metrics are
    merged from. Raises `CompileError` where the loss depends on how the batch is cut."""
    phase = draft.phase
    entries = separate_results(draft, of_gradients=True)
    if LOSS in draft.mixed:
        raise CompileError([refused(draft.training, draft.mixed[LOSS])])
    for number, entry in enumerate(entries):
        phase.write(EntrySide(number, "value"), entry.value)
        phase.write(EntrySide(number, "number"), entry.number)


def share_statistics(draft: Draft) -> None:
    """Multiply the new running statistics by this part's share of the rows, so that those of all parts add up."""
    phase, build = draft.phase, Build(draft.phase.graph)
    phase.take(Result)
    share = phase.read(PART_SHARE, TensorType.of("f32"))
    for port, value in phase.take(NewStatistic).items():
        phase.write(port, build("mul", value, as_dtype(build, share, value.type)))


def add_up_parts(draft: Draft) -> None:
    """Add the gradients and the new running statistics to those of the previous parts."""
    phase, build = draft.phase, Build(draft.phase.graph)
    for gradient, value in phase.take(Gradient).items():
        phase.write(gradient, build("add", phase.read(Sum(gradient), value.type), value))
    for port, value in phase.take(NewStatistic).items():
        phase.write(port, build("add", phase.read(Sum(port.of), value.type), value))


def check_part(draft: Draft) -> None:
    """Output whether all that changes the state beside the gradients is finite, in this part."""
    phase, build = draft.phase, Build(draft.phase.graph)
    type = norm_type(v.type for v in draft.changing.trained)
    zeros = zeros_if_finite(build, _beside_gradients(phase), type)
    phase.write(FINITE, build.add(zeros) if zeros else build.zeros(type))


# -- for any batch -----------------------------------------------------------------------------------------------------


def differentiate_loss(draft: Draft) -> None:
    """Output the gradient of each trained tensor: the sum over its uses, each through its view.

    Where a value of the whole batch enters the rows (`Entry`) and the loss depends on trained tensors through it, the
    sum of its gradient over the rows is merged, and becomes an input (`Whole`) too.
    """
    phase, graph = draft.phase, draft.phase.graph
    loss = phase.values(Result)[Result(LOSS)]
    trained = {variable.of for variable in draft.changing.trained}
    reads = [n for n in graph.nodes if n.op == "parameter" and n.attributes["stored"] in trained]
    build = Build(graph)
    adjoints = {entry: _adjoint(draft, entry) for entry in _active(graph, reads, loss, _entries(phase))}
    for entry, (_, gradient) in adjoints.items():
        product = build.mul(gradient, entry.value)
        added = build("sum", product) if product.type.rank else product
        loss = build("add", loss, as_dtype(build, added, loss.type))
    sources = [*(node.result for node in reads), *(entry.number for entry in adjoints)]
    gradients = differentiate(graph, loss, sources)
    uses: dict[str, list[Value]] = {}
    for node, own in zip(reads, gradients, strict=False):
        if own is not None:
            assert node.view is not None
            uses.setdefault(str(node.attributes["stored"]), []).append(through_view(build, own, node.view))
    for (whole, gradient), own in zip(adjoints.values(), gradients[len(reads) :], strict=True):
        draft.merges.append(Merge("sum", (whole,)))
        phase.write(whole.part, own if own is not None else build.expand(build.zeros(gradient.type), gradient.type))
    for name, values in uses.items():
        phase.write(Gradient(name), build.add(values))


def average_statistics(draft: Draft) -> None:
    """Where layers share a running statistic, its new value is the mean of theirs."""
    phase, build = draft.phase, Build(draft.phase.graph)
    uses = phase.take(NewStatistic)
    for variable in draft.changing.statistics:
        own = [value for port, value in uses.items() if port.of == variable]
        mean = own[0] if len(own) == 1 else build("div", build.add(own), float(len(own)))
        phase.write(NewStatistic(variable), mean)


def measure_gradients(draft: Draft) -> None:
    """Output the norm of all gradients, which is NaN where anything else that changes the state is not finite."""
    phase, build = draft.phase, Build(draft.phase.graph)
    norm = gradient_norm(build, phase.values(Gradient).values())
    phase.write(NORM, build.add([norm, *zeros_if_finite(build, _beside_gradients(phase), norm.type)]))


def measure_sums(draft: Draft) -> None:
    """Output the norm of gradients that are inputs: the sums over all parts of a batch."""
    phase = draft.phase
    gradients = [phase.read(Gradient(v.of), v.type) for v in draft.changing.trained]
    phase.write(NORM, gradient_norm(Build(phase.graph), gradients))


def hand_on_statistics(draft: Draft) -> None:
    """Output the running statistics for the next step."""
    for port, value in draft.phase.take(NewStatistic).items():
        draft.phase.write(Next(port.of), value)


def hand_on_seed(draft: Draft) -> None:
    """Output the seed unchanged for the next step, if a node reads it."""
    if draft.seed in draft.phase.inputs.values():
        draft.phase.write(Next(draft.seed), draft.phase.read(draft.seed, COUNT))


def _beside_gradients(phase: Phase) -> list[Value]:
    """The floats that change the state and have no gradient."""
    others = [value for kind in (NewStatistic, Forward, NextCarried) for value in phase.values(kind).values()]
    return [value for value in others if value.type.is_float]


def _entries(phase: Phase) -> list[Entry]:
    """The entries that are not connected yet."""
    sides = phase.take(EntrySide)
    values_of = {p.number: v for p, v in sides.items() if p.side == "number"}
    values = {values_of[p.number]: v for p, v in sides.items() if p.side == "value"}
    return [Entry(value, number) for number, value in values.items()]


def _active(graph: Graph, reads: Sequence[Node], loss: Value, entries: Sequence[Entry]) -> list[Entry]:
    """The entries through which the loss depends on trained tensors, the last ones first."""
    changing = dependents(graph.nodes, {node.result for node in reads})
    for entry in entries:
        if entry.value in changing:  # and so is what the rows compute with it, up to the next entry
            changing |= dependents(graph.nodes, {entry.number})
    aims, active = {loss}, list[Entry]()
    for entry in reversed(entries):
        if entry.value in changing and aims & dependents(graph.nodes, {entry.number}):
            aims.add(entry.value)
            active.append(entry)
    return active


def _adjoint(draft: Draft, entry: Entry) -> tuple[Whole, Value]:
    """The gradient of an entry over all rows, an input."""
    number = sum(isinstance(port, Whole) for port in draft.phase.inputs.values())
    whole = Whole(f"gradient/{number}", entry.value.type)
    return whole, draft.phase.read(whole, whole.type)
