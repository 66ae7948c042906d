"""Checks what the `update` lines of a training write."""

from __future__ import annotations

from collections.abc import Collection

from wsdl.diagnostics import Label, Problems
from wsdl.ir.stages import FormulaReading, Storage
from wsdl.ir.training import Training, Update
from wsdl.sharing.frozen import is_frozen


def resolved_updates(
    training: Training, storage: Storage, frozen: Collection[str], problems: Problems
) -> tuple[list[Update], tuple[str, ...]]:
    """The updates that a training makes, and the stored tensors that they write, in the order of storage. Reports
    slots that a formula computes, and tensors that two lines write. `frozen` are the tensors that the training freezes:
    blocks don't update them."""
    first: dict[str, Update] = {}
    updates = [u for u in training.objective.updates if not (u.in_block and is_frozen(u.slot, storage, frozen))]
    for update in updates:
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
        _check_sizes(update, problems)
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
    return updates, tuple(name for name in storage.stored if name in first)


def _check_sizes(update: Update, problems: Problems) -> None:
    """Report a size of the batch that is needed behind the optimizer's step, where nothing that comes from the forward
    pass has it."""
    behind = set(update.graph.inputs)
    known = set[str]()
    for node in update.graph.nodes:
        reads = node.reads()
        if node.op != "parameter" and behind.isdisjoint(reads):
            continue
        known |= {name for value in reads if value not in behind for dim in value.type.shape for name in dim.names()}
        behind.update(node.results)
        needed = {name for value in node.results for dim in value.type.shape for name in dim.names()}
        if missing := sorted(needed - known):
            problems.error(
                "E0850",
                node.span or update.value_span,
                f"`{missing[0]}` is not known where `{update.slot}` is updated",
                f"has a size of the batch, {node.results[0].type}",
                help="sizes are those of tensors of the forward pass that are read there: compute from these "
                "what needs the size",
            )
            return
