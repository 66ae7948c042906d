"""`wsdl match`: propose how a file of weights fills a program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from wsdl import api
from wsdl.api import Proposal
from wsdl.cli.command import command, dims, import_root, variant
from wsdl.cli.failures import writing
from wsdl.cli.terminal import note, print_json, print_lines
from wsdl.diagnostics.figures import count, listed


@command
@click.argument("file", metavar="FILE")
@click.argument("checkpoint", nargs=-1, required=True, metavar="CHECKPOINT...")
@click.option("--into", metavar="PATH", help="Fill this layer or model of FILE alone.")
@click.option("--at", metavar="PATH", help="Use the tensors of CHECKPOINT below this path alone.")
@click.option("-w", "--write", is_flag=True, help="Put the statements at the end of FILE.")
@dims
@import_root
@variant
def match(
    file: str,
    checkpoint: tuple[str, ...],
    into: str | None,
    at: str | None,
    write: bool,
    dims: dict[str, int],
    import_root: str | None,
    variant: str | None,
    as_json: bool,
) -> None:
    """Propose `load` statements that fill a program from the weights of another framework. Lines that are not certain
    say so: check them."""
    proposal = api.match(file, checkpoint, at=at, into=into, dims=dims, import_root=import_root, variant=variant)
    if write:
        with writing(file):
            api.write_proposal(file, proposal)
    if as_json:
        print_json(proposal.as_json())
    elif write:
        note(f"added to {file}")
        print_lines(_summary(proposal))
    else:
        print_lines([*proposal.text.splitlines(), "", *(f"# {line}" for line in _summary(proposal))])


def _summary(proposal: Proposal) -> Iterator[str]:
    """How many parameters are filled how surely, and what is left, as lines."""
    sure = ", ".join(f"{number} {how}" for how, number in proposal.counts().items() if number)
    total = sum(proposal.counts().values()) + len(proposal.left)
    yield f"fills {total - len(proposal.left)} of {count(total, 'parameter')}: {sure}"
    yield from _left("not in the file", proposal.left)
    yield from _left("not used", proposal.unused)


def _left(head: str, things: Sequence[object]) -> Iterator[str]:
    if things:
        yield f"{head}:"
        yield from (f"    {line}" for line in listed([*map(str, things)]))
