"""Removes inputs of a phase that nothing reads, except those of a batch."""

from __future__ import annotations

from wsdl.ir.step import Batch
from wsdl.rewrite.prune import drop_unread
from wsdl.training.draft import Draft


def drop_unread_inputs(draft: Draft) -> None:
    """Remove the inputs that a phase doesn't need; a batch always has the same inputs."""
    phase = draft.phase
    drop_unread(phase.graph, *(name for name, port in phase.inputs.items() if not isinstance(port, Batch)))
