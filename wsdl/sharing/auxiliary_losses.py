"""Auxiliary losses in a training: added to its losses, each times its `weight`, and reported by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from wsdl.diagnostics import Label, Problems
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.graph import Graph, Value
from wsdl.ir.stages import Checked, Formula, FormulaReading, Storage
from wsdl.ir.training import LOSS, SEED, STEP, TOTAL, AuxiliaryLoss, Objective, Training
from wsdl.ops.build import Build


def with_auxiliary(objective: Objective, losses: Sequence[AuxiliaryLoss], training: Training) -> Objective:
    """An objective with auxiliary losses, which its graph computes: those of one name are one result, their sum."""
    totals: dict[str, Value] = {}
    loss = objective.loss
    for one in losses:
        build = Build(objective.graph, span=one.span)
        before = totals.get(one.name)
        totals[one.name] = one.value if before is None else build("add", before, _as(one.value, before, build))
    for one in {one.name: one for one in reversed(losses)}.values():
        weight = weight_of(one.name, training)
        if weight != 0:
            build = Build(objective.graph, span=one.span)
            value = totals[one.name] if weight == 1 else build("mul", totals[one.name], weight)
            loss = build("add", loss, _as(value, loss, build))
    if not losses:
        return objective
    metrics = {**objective.metrics, **totals}
    objective.graph.outputs = [loss, *metrics.values()]
    return replace(objective, loss=loss, metrics=metrics, auxiliary=())


def _as(value: Value, like: Value, build: Build) -> Value:
    return value if value.type.dtype == like.type.dtype else build("cast", value, dtype=like.type.dtype)


def weight_of(name: str, training: Training) -> float:
    """The factor of a loss of this name."""
    return training.weights[name].value if name in training.weights else 1.0


def auxiliary_losses(objective: Objective, storage: Storage) -> Iterator[tuple[Graph, list[tuple[str, Value]]]]:
    """The auxiliary losses of an objective, and those of the formulas that it reads: each graph with its losses."""
    yield objective.graph, [(one.name, one.value) for one in objective.auxiliary]
    if any(formula.losses for formula in storage.formulas):
        for formula in _formulas_in(objective.graph, storage, set()):
            values = zip(formula.losses, formula.graph.outputs[1:], strict=True)
            yield formula.graph, [(name, value) for (name, _), value in values]


# -- checks ------------------------------------------------------------------------------------------------------------


def check_auxiliary(training: Training, storage: Storage, problems: Problems) -> None:
    """Report weights of losses that don't exist, and losses with a name that the training step already uses."""
    objective = training.objective
    losses = [(one.name, one.span) for one in objective.auxiliary]
    if any(formula.losses for formula in storage.formulas):
        losses += [loss for formula in _formulas_in(objective.graph, storage, set()) for loss in formula.losses]
    taken = {v.name: "an input" for v in objective.graph.inputs} | dict.fromkeys(storage.stored, "a stored tensor")
    taken |= dict.fromkeys(objective.metrics, "another result") | dict.fromkeys((STEP, TOTAL, SEED), "an input")
    taken[LOSS] = "the sum of all losses"
    for name, span in losses:
        if name in taken:
            own = not span.source.is_standard
            problems.error(
                "E0826",
                span if own else training.span,
                f"the loss `{name}` has the name of {taken[name]} of the training of `{training.model}`",
                "a loss" if own else f"has the loss `{name}`, of a standard block",
                labels=[Label(training.span, f"`{training.model}` is trained here")] if own else (),
                help="rename one of them",
            )
    known = {one.name for one in objective.auxiliary} | set(_of_formulas(storage.checked))
    for name, weight in training.weights.items():
        if name not in known:
            near = nearest(name, known)
            listed = f"the losses are {', '.join(f'`{n}`' for n in sorted(known))}"
            problems.error(
                "E0825",
                weight.span,
                f"no block that `{training.model}` applies has a loss `{name}`",
                help=listed if known else "`loss name = …` in a block declares one",
                near=near,
            )


def _formulas_in(graph: Graph, storage: Storage, seen: set[Formula]) -> Iterator[Formula]:
    """The formulas that a graph reads, directly or through others, each once."""
    for node in graph.walk():
        reading = storage.readings[str(node.attributes["slot"])] if node.op == "parameter" else None
        if isinstance(reading, FormulaReading) and reading.formula not in seen:
            seen.add(reading.formula)
            yield reading.formula
            yield from _formulas_in(reading.formula.graph, storage, seen)


def _of_formulas(program: Checked) -> Iterator[str]:
    """The names of the losses in formulas and in ways of sharing of all variants, to which a weight may refer."""
    variants = program.variants.values()
    for formulas in program.formulas, *(variant.formulas for variant in variants):
        yield from (name for formula in formulas for name, _ in formula.losses)
    for ways in program.ways, *(variant.ways for variant in variants):
        yield from (name for request in ways for name in request.way.losses)
