"""What is said of a loss or metric in which rows meet in a way that can't be merged (`separate`)."""

from __future__ import annotations

from collections.abc import Mapping

from wsdl.diagnostics import Diagnostic
from wsdl.ir.graph import Node
from wsdl.ir.stages import ResolvedTraining


def refused(training: ResolvedTraining, node: Node) -> Diagnostic:
    """The error for a loss that is to be computed in parts."""
    return Diagnostic(
        "E0823",
        "this loss compares the rows of a batch with each other, so it can't be computed in parts",
        node.span or training.written.span,
        _seen(node),
        help="leave `accumulate` out; what needs less memory is a smaller batch, of which the loss then is",
    )


def warned(mixed: Mapping[str, Node]) -> list[Diagnostic]:
    """A warning for each loss or metric of a whole set of data, by its name, that depends on how the set is cut."""
    return [
        Diagnostic(
            "W0801",
            f"`{name}` compares the rows of a batch with each other, so it depends on the size of the batches",
            node.span,
            _seen(node),
            help="it is that of each batch, averaged over the rows; compare it at one `--batch` only",
            severity="warning",
        )
        for name, node in mixed.items()
    ]


def _seen(node: Node) -> str:
    return f"what `{node.op}` gives for a row depends on the others" if node.op != "scan" else "goes from row to row"
