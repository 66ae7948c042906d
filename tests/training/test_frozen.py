"""What is frozen is computed forward only: the gradient ends at the new layer."""

from collections import Counter

import numpy as np

from tests.training.catalogue import EXAMPLES
from wsdl.compiler import check
from wsdl.diagnostics import Problems
from wsdl.ir.graph import Graph, Program
from wsdl.passes.evaluation import evaluation
from wsdl.passes.train_step import TrainStep, train_step
from wsdl.span import Source

REVIEWS = EXAMPLES / "training" / "reviews.wsd"


def checked(text: str) -> Program:
    problems = Problems()
    program = check(Source(str(REVIEWS), text), problems)
    assert not problems.errors, [d.message for d in problems]
    return program


def step_of(program: Program) -> TrainStep:
    return train_step(program, program.trainings["transfer"])


def operations(graph: Graph) -> Counter[str]:
    """How often each operation is computed in the encoder."""
    return Counter(node.op for node in graph.walk() if node.path.startswith("transfer.encoder"))


def test_the_step_has_nothing_backward_in_the_encoder() -> None:
    program = checked(REVIEWS.read_text("utf-8"))
    forward = operations(evaluation(program, program.trainings["transfer"]).program.models["transfer"].graph)
    step = step_of(program)
    assert forward["layer_norm"] == 13
    assert operations(step.model.graph) == forward
    assert [stored.name for stored in step.trained] == ["transfer.head.weight", "transfer.head.bias"]
    changed = sum(int(np.prod(program.stored[name].sizes)) for name in step.feeds.values() if name in program.stored)
    assert changed == 384 + 1


def test_without_the_freeze_it_has() -> None:
    """So the test above can fail."""
    program = checked(REVIEWS.read_text("utf-8").replace("    freeze encoder\n", ""))
    forward = operations(evaluation(program, program.trainings["transfer"]).program.models["transfer"].graph)
    step = step_of(program)
    assert operations(step.model.graph).total() > 2 * forward.total()
    assert len(step.trained) == 2 + 5 + 6 * 16
