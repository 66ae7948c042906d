"""Leaves out inputs of a phase that nothing reads, but those of a batch."""

from __future__ import annotations

from wsdl.ir.step import Batch
from wsdl.rewrite.prune import drop_unread
from wsdl.training.draft import Draft


def drop_unread_inputs(draft: Draft) -> None:
    """Let a phase ask for nothing that it doesn't need; a batch has the same inputs whatever becomes of them."""
    phase = draft.phase
    drop_unread(phase.graph, *(name for name, port in phase.inputs.items() if not isinstance(port, Batch)))
