"""The pipelines of a training.

A training step is one phase (`STEP`, which is what `<model>.train.onnx` holds) or two: the gradients of a whole
`BATCH`, then the `UPDATE`, in which large tensors may be cut (`PIECEWISE_UPDATE`). Where a batch is computed in parts,
`SUMS` measures between the two what all have added up to: the only `PART` of this process, which other workers add
theirs to, or one of several (`NEXT_PART`), which is added to those before. `EVALUATION` is a pipeline of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TypeAlias

from wsdl.differentiation.expand_gradients import expand_gradients
from wsdl.ir.binding import rows_dimension
from wsdl.ir.graph import Lowered
from wsdl.ir.stages import ResolvedTraining, Storage
from wsdl.ir.step import Result
from wsdl.ir.target import DEFAULT, Target
from wsdl.ir.training import SEED
from wsdl.ir.training_graphs import Evaluation, Parts, SplitStep, TrainStep
from wsdl.rewrite.batch_steps import batch_steps
from wsdl.rewrite.contract_sums import contract_sums
from wsdl.rewrite.dedupe import dedupe
from wsdl.rewrite.drop_stop_gradients import drop_stop_gradients
from wsdl.rewrite.hoist_invariants import hoist_invariants
from wsdl.rewrite.prune import prune
from wsdl.rewrite.push_products import push_products
from wsdl.rewrite.roll_loops import roll_loops
from wsdl.sharing.fold_views import fold_views
from wsdl.training.draft import Draft, variables_of
from wsdl.training.evaluation import results_of
from wsdl.training.gradients import (
    add_up_parts,
    average_statistics,
    check_part,
    differentiate_loss,
    hand_on_seed,
    hand_on_statistics,
    measure_gradients,
    measure_sums,
    objective_of,
    separate_rows,
    share_statistics,
)
from wsdl.training.in_place import find_in_place
from wsdl.training.merged_results import separate_results
from wsdl.training.mixed_rows import refuse_gradients_through_batches, warned
from wsdl.training.pieces import take_pieces
from wsdl.training.random_parts import tell_parts_apart
from wsdl.training.rounds import plan_rounds, plan_rounds_before
from wsdl.training.unread_inputs import drop_unread_inputs
from wsdl.training.update import average_parameters, sums_of, update_of, update_parameters, write_rate
from wsdl.training.updates import give_to_updates, write_updates

Pass: TypeAlias = "Callable[[Lowered], object]"
TrainingPass: TypeAlias = "Callable[[Draft], object]"


def _on_phase(*passes: Pass) -> tuple[TrainingPass, ...]:
    """Passes over programs, each run on that of a phase."""

    def on_phase(run: Pass) -> TrainingPass:
        return wraps(run)(lambda draft: run(draft.phase.program))

    return tuple(map(on_phase, passes))


@wraps(roll_loops)
def _roll_equal_steps(program: Lowered) -> Lowered:
    """Gradients of stacks would make a step slower: by 17 % for twelve layers under `Delta(rank=8)`."""
    return roll_loops(program, stacks=False)


LOWERING = _on_phase(contract_sums, push_products, fold_views, _roll_equal_steps, dedupe)
CLEANING = (*_on_phase(dedupe, prune), drop_unread_inputs)

EXPANDING = _on_phase(expand_gradients)

GRADIENT: tuple[TrainingPass, ...] = (
    *LOWERING,
    *_on_phase(hoist_invariants, batch_steps),  # `hoist_invariants`: views read inside a scan move out of its body
    differentiate_loss,
    average_statistics,
)
STEP: tuple[TrainingPass, ...] = (
    *EXPANDING,
    *GRADIENT,
    measure_gradients,
    update_parameters,
    write_updates,
    average_parameters,
    hand_on_statistics,
    *CLEANING,
    hand_on_seed,
)
BATCH: tuple[TrainingPass, ...] = (
    *EXPANDING,
    *GRADIENT,
    measure_gradients,
    give_to_updates,
    hand_on_statistics,
    *CLEANING,
)
_CONTRIBUTION: tuple[TrainingPass, ...] = (
    refuse_gradients_through_batches,
    *EXPANDING,
    separate_rows,
    tell_parts_apart,
    *GRADIENT,
    share_statistics,
    check_part,
)
_OF_PART: tuple[TrainingPass, ...] = (give_to_updates, hand_on_statistics, plan_rounds_before, *CLEANING)
PART: tuple[TrainingPass, ...] = (*_CONTRIBUTION, *_OF_PART)
NEXT_PART: tuple[TrainingPass, ...] = (*_CONTRIBUTION, add_up_parts, *_OF_PART)
SUMS: tuple[TrainingPass, ...] = (measure_sums,)
UPDATE: tuple[TrainingPass, ...] = (
    update_parameters,
    write_updates,
    average_parameters,
    write_rate,
    *CLEANING,
    find_in_place,
)
PIECEWISE_UPDATE: tuple[TrainingPass, ...] = (*UPDATE, take_pieces)
EVALUATION: tuple[TrainingPass, ...] = (
    *EXPANDING,
    *_on_phase(drop_stop_gradients),
    separate_results,
    tell_parts_apart,
    *LOWERING,
    plan_rounds,
)


GRADIENTS: Mapping[Parts, tuple[TrainingPass, ...]] = {"none": BATCH, "one": PART, "several": NEXT_PART}


def run(pipeline: Sequence[TrainingPass], draft: Draft) -> Draft:
    """Run all passes of a pipeline, in order."""
    for each in pipeline:
        each(draft)
    return draft


def train_step(storage: Storage, training: ResolvedTraining, target: Target = DEFAULT) -> TrainStep:
    """The training step as one graph."""
    draft = run(STEP, objective_of(storage, training, target))
    return TrainStep(variables_of(draft, draft.phase), draft.phase)


def split_step(
    storage: Storage,
    training: ResolvedTraining,
    target: Target = DEFAULT,
    *,
    parts: Parts = "none",
    piecewise: bool = False,
) -> SplitStep:
    """The training step as two graphs, gradients and update; `piecewise` updates large tensors by graphs of their own.
    `CompileError` where the loss can't be computed in `parts`."""
    gradients = run(GRADIENTS[parts], objective_of(storage, training, target))
    sums = None if parts == "none" else run(SUMS, sums_of(storage, training, target)).phase
    update = run(PIECEWISE_UPDATE if piecewise else UPDATE, update_of(storage, training, target))
    return SplitStep(
        variables_of(update, gradients.phase),
        gradients.phase,
        sums,
        update.phase,
        update.in_place,
        update.pieces,
        gradients.normalized,
        gradients.merges,
        gradients.rounds,
        gradients.last,
        gradients.rest,
        gradients.merged_forward,
        warned(gradients.mixed),
    )


def evaluation(storage: Storage, training: ResolvedTraining, target: Target = DEFAULT) -> Evaluation:
    """The evaluation of a training as graphs of its own. The state of the training is an input."""
    draft = results_of(storage, training, target)
    names = [port.name for port in draft.phase.outputs if isinstance(port, Result)]
    run(EVALUATION, draft)
    assert draft.rest is not None
    batch = {v.name: v.type for v in training.written.evaluation.graph.inputs if v.name != SEED}
    rows = rows_dimension(batch.values())
    warnings = warned(draft.mixed)
    return Evaluation(training.name, batch, names, draft.rounds, draft.rest, draft.merges, rows, warnings)
