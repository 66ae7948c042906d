"""Removes inputs of a phase that nothing reads, except those of a batch and those that are carried."""

from __future__ import annotations

from wsdl.ir.step import FIRST, Batch, Carried
from wsdl.rewrite.prune import drop_unread
from wsdl.training.draft import Draft


def drop_unread_inputs(draft: Draft) -> None:
    """Remove the inputs that a phase doesn't need; those of a batch and those that are carried are always the same."""
    phase = draft.phase
    unread = (name for name, port in phase.inputs.items() if not isinstance(port, Batch | Carried) and port != FIRST)
    drop_unread(phase.graph, *unread)
