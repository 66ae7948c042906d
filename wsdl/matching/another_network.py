"""Recognizes weights that are those of another network, of which no useful table can be proposed."""

from __future__ import annotations

from wsdl.diagnostics import Diagnostic
from wsdl.diagnostics.figures import count
from wsdl.matching.proposal import Proposal

FEW, NEARLY_ALL = 0.25, 0.9
LISTED = 6


def another_network(proposal: Proposal, file: str, part: str) -> Diagnostic | None:
    """The error for weights of which few fit the parameters of `part` by name; two that are likely count as one that is
    certain. If nearly all fit by their shapes, that is enough. `None` for others."""
    counts = proposal.counts()
    by_name, total = counts["certain"] + counts["likely"], sum(counts.values()) + len(proposal.left)
    matched = sum(len(line.matches) for line in proposal.lines)
    covered = sum(counts.values()) >= NEARLY_ALL * total and matched >= NEARLY_ALL * (matched + len(proposal.unused))
    if total and (counts["certain"] + counts["likely"] / 2 >= FEW * total or covered):
        return None
    if not total:
        message = f"{part} has no parameters that weights could fill"
        return Diagnostic("E0535", message, file=file, help="`wsdl inspect` lists what a program stores")
    fitting = "none fits" if not by_name else f"{by_name} fit{'s' if by_name == 1 else ''}"
    return Diagnostic(
        "E0535",
        f"these seem to be the weights of another network: of {count(total, 'parameter')} of {part}, "
        f"{fitting} a tensor by name and shape",
        file=file,
        details=(
            *_some("the program has", [str(left) for left in proposal.left]),
            *_some("the file has", [str(tensor) for tensor in proposal.unused]),
        ),
        help="compare sizes and depth with those of the network; `--into` chooses a layer of the program, "
        "`--at` a part of the file",
    )


def _some(head: str, lines: list[str]) -> list[str]:
    more = [f"  and {len(lines) - LISTED} more"] if len(lines) > LISTED else []
    return [f"{head}:", *(f"  {line}" for line in lines[:LISTED]), *more] if lines else []
