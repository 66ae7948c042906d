"""The pipelines of training: every order in which passes run, at once.

A pass takes the `Draft` of a phase and changes it in place. A step is one phase (`STEP`, which is what
`<model>.train.onnx` holds) or two: the gradients of a whole `BATCH`, or of a `PART` of one, then the `UPDATE`, in which
large tensors may be cut (`PIECEWISE_UPDATE`). Workers on other machines would stand between the two. `EVALUATION` is a
pipeline of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TypeAlias

from wsdl.ir.graph import Program
from wsdl.passes.batch_steps import batch_steps
from wsdl.passes.dedupe import dedupe
from wsdl.passes.draft import Draft
from wsdl.passes.fold_views import fold_views
from wsdl.passes.gradients import (
    add_up_parts,
    average_statistics,
    differentiate_loss,
    hand_on_seed,
    hand_on_statistics,
    measure_gradients,
    separate_rows,
    tell_parts_apart,
)
from wsdl.passes.hoist_invariants import hoist_invariants
from wsdl.passes.in_place import find_in_place
from wsdl.passes.merged_results import separate_results
from wsdl.passes.pieces import take_pieces
from wsdl.passes.prune import prune
from wsdl.passes.roll_loops import roll_loops
from wsdl.passes.rounds import plan_rounds, plan_rounds_before
from wsdl.passes.unread_inputs import drop_unread_inputs
from wsdl.passes.update import update_parameters, write_rate

Pass: TypeAlias = "Callable[[Draft], object]"


def _on_program(run: Callable[[Program], Program]) -> Pass:
    """A pass over programs, run on that of a phase."""

    @wraps(run)
    def on_phase(draft: Draft) -> None:
        run(draft.phase.program)

    return on_phase


@wraps(roll_loops)
def _roll_loops(draft: Draft) -> None:
    roll_loops(draft.phase.program, draft.loops)


LOWERING: tuple[Pass, ...] = (_on_program(fold_views), _roll_loops, _on_program(dedupe))
CLEANING: tuple[Pass, ...] = (_on_program(dedupe), _on_program(prune), drop_unread_inputs)

GRADIENT: tuple[Pass, ...] = (
    *LOWERING,
    _on_program(hoist_invariants),  # inside a scan a view is read in the body
    _on_program(batch_steps),
    differentiate_loss,
    average_statistics,
)
STEP: tuple[Pass, ...] = (
    *GRADIENT,
    measure_gradients,
    update_parameters,
    hand_on_statistics,
    *CLEANING,
    hand_on_seed,
)
BATCH: tuple[Pass, ...] = (
    *GRADIENT,
    measure_gradients,
    hand_on_statistics,
    *CLEANING,
)
PART: tuple[Pass, ...] = (
    separate_rows,
    tell_parts_apart,
    *GRADIENT,
    add_up_parts,
    measure_gradients,
    hand_on_statistics,
    plan_rounds_before,
    *CLEANING,
)
UPDATE: tuple[Pass, ...] = (
    update_parameters,
    write_rate,
    *CLEANING,
    find_in_place,
)
PIECEWISE_UPDATE: tuple[Pass, ...] = (*UPDATE, take_pieces)
EVALUATION: tuple[Pass, ...] = (
    separate_results,
    *LOWERING,
    plan_rounds,
)


def run(pipeline: Sequence[Pass], draft: Draft) -> Draft:
    """Run all passes of a pipeline, in order."""
    for each in pipeline:
        each(draft)
    return draft
