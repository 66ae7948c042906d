"""Diagnostics for a loss or metric that combines rows in a way that can't be merged (`separate`)."""

from __future__ import annotations

from collections.abc import Mapping

from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.ir.graph import Node
from wsdl.ir.stages import ResolvedTraining
from wsdl.ir.step import Forward
from wsdl.training.draft import Draft


def refused(training: ResolvedTraining, node: Node) -> Diagnostic:
    """The error for a loss that should be computed in parts."""
    return Diagnostic(
        "E0823",
        "this loss compares the rows of a batch with each other, so it can't be computed in parts",
        node.span or training.written.span,
        _seen(node),
        help="leave `accumulate` and `workers` out; a smaller batch needs less memory, but changes the loss",
    )


def refuse_gradients_through_batches(draft: Draft) -> None:
    """Raise `CompileError` where a program asks for a gradient through a norm that, in parts, would use the statistics
    of each: the gradient would use those of the whole batch."""
    graph = draft.phase.graph
    for node in graph.nodes:
        if node.op != "gradient":
            continue
        norm = next((n for n in graph.needed(node.inputs[:1]) if n.op == "batch_norm_training"), None)
        if norm is not None:
            raise CompileError([_refused_gradient(draft.training, node, norm)])


def _refused_gradient(training: ResolvedTraining, node: Node, norm: Node) -> Diagnostic:
    return Diagnostic(
        "E0823",
        f"this gradient goes through `{norm.path}`, which normalizes by the batch, so it can't be computed in parts",
        node.span or training.written.span,
        "its rows depend on each other",
        help="leave `accumulate` and `workers` out, or use a norm of single rows, such as LayerNorm",
    )


def refused_update(draft: Draft, port: Forward) -> Diagnostic:
    """The error for an update that can't be computed from parts of a batch."""
    write = next(write for write in draft.writes if any(v.name == port.name for v in write.graph.inputs))
    node = draft.mixed.get(port.name)
    return Diagnostic(
        "E0845",
        f"the update of `{write.of.of}` reads single rows of the batch, so it can't be computed in parts",
        write.span,
        "not a sum or mean over the rows" if node is None else _seen(node),
        help="leave `accumulate` and `workers` out; sums, means and extremes over all rows can be merged",
    )


def warned(mixed: Mapping[str, Node]) -> list[Diagnostic]:
    """A warning for each loss or metric, by name, that depends on how the data set is cut into batches."""
    return [
        Diagnostic(
            "W0801",
            f"`{name}` compares the rows of a batch with each other, so it depends on the size of the batches",
            node.span,
            _seen(node),
            help="it is computed for each batch and averaged over the rows; compare it at the same `--batch` only",
            severity="warning",
        )
        for name, node in mixed.items()
    ]


def _seen(node: Node) -> str:
    return f"the result of `{node.op}` depends on several rows" if node.op != "scan" else "steps from row to row"
