"""Checks what the `update` lines of a training write."""

from __future__ import annotations

from wsdl.diagnostics import Label, Problems
from wsdl.ir.stages import FormulaReading, Storage
from wsdl.ir.training import Training, Update


def updated_tensors(training: Training, storage: Storage, problems: Problems) -> tuple[str, ...]:
    """The stored tensors that the `update` lines of a training write, in the order of storage. Reports slots that a
    formula computes, and tensors that two lines write."""
    first: dict[str, Update] = {}
    for update in training.objective.updates:
        reading = storage.readings[update.slot]
        if isinstance(reading, FormulaReading):
            problems.error(
                "E0843",
                update.span,
                f"`{update.slot}` is computed by a formula, so it can't be written",
                "computed",
                labels=[Label(reading.formula.span, "by this")],
                help="write what the formula reads, each by its own path",
            )
            continue
        before = first.setdefault(reading.stored, update)
        if before.span != update.span and not problems.has("E0844", update.span):
            tied = f", which is stored as `{reading.stored}`" if before.slot != update.slot else ""
            problems.error(
                "E0844",
                update.span,
                f"two updates write `{update.slot}`{tied}",
                "written again",
                labels=[Label(before.span, f"`{before.slot}` is written here")],
                help="all updates of a step are computed from the values before them; write one expression",
            )
    return tuple(name for name in storage.stored if name in first)
