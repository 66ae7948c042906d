"""The docstring of a pass is an executed before and after."""

import re
from collections.abc import Callable
from textwrap import dedent
from types import ModuleType

import pytest

from wsdl.ir.graph import Program
from wsdl.ir.text import from_text, to_text
from wsdl.ops.verify import verify
from wsdl.passes import (
    batch_norm_to_conv,
    batch_steps,
    dedupe,
    even_steps,
    fold_batch_norm,
    fold_views,
    fuse_recurrent,
    hoist_invariants,
    lower_precision,
    prune,
    roll_loops,
    separate,
    share_products,
)


def separated(program: Program) -> Program:
    graph = program.only.graph
    graph.outputs = separate.separate(graph, graph.outputs, "n").values
    return program


def evened(program: Program) -> Program:
    """Before `lower_precision` to f16."""
    even_steps.even_steps(program.only.graph, lambda graph: lower_precision.lower_graph(graph, "f16"))
    return program


PASSES: list[tuple[ModuleType, Callable[[Program], Program]]] = [
    (fold_views, fold_views.fold_views),
    (fuse_recurrent, lambda program: prune.prune(fuse_recurrent.fuse_recurrent(program))),
    (share_products, lambda program: prune.prune(share_products.share_products(program))),
    (roll_loops, lambda program: roll_loops.roll_loops(program, "loop")),
    (fold_batch_norm, lambda program: prune.prune(fold_batch_norm.fold_batch_norm(program))),
    (batch_norm_to_conv, lambda program: prune.prune(batch_norm_to_conv.batch_norm_to_conv(program))),
    (dedupe, dedupe.dedupe),
    (hoist_invariants, hoist_invariants.hoist_invariants),
    (batch_steps, batch_steps.batch_steps),
    (even_steps, evened),
    (lower_precision, lambda program: lower_precision.lower_precision(program, "f16")),
    (prune, prune.prune),
    (separate, separated),
]


@pytest.mark.parametrize(("module", "run"), PASSES, ids=[m.__name__.rpartition(".")[2] for m, _ in PASSES])
def test_the_docstring_shows_what_the_pass_does(module: ModuleType, run: Callable[[Program], Program]) -> None:
    before, after = examples(module.__doc__ or "")
    program = from_text(before)
    verify(program)
    assert to_text(program) == before
    run(program)
    verify(program)
    assert to_text(program) == after


def examples(doc: str) -> tuple[str, str]:
    """The indented text before and behind the word `becomes`."""
    first, _, second = re.sub(r"^becomes.*$", "becomes", doc, flags=re.MULTILINE).partition("\nbecomes\n")
    return _indented(first), _indented(second)


def _indented(text: str) -> str:
    lines = [line for line in text.splitlines() if not line or line.startswith("    ")]
    return dedent("\n".join(lines)).strip() + "\n"
