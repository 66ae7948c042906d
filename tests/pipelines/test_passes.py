"""What each pass does: the example in its docstring, and the cases in `fixtures/<pass>.txt`, text in and text out.

    // a title
    a program, as text of the IR or in the language
    // becomes
    what the pass makes of it
    // -----

A program in the language comes to the pass by those before it in the pipeline, and `// stays` where the pass does
nothing to it. `make golden` writes all that stands behind `becomes`. Programs are well-formed before and after, and
compute the same numbers.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

import wsdl
from tests.golden import Golden
from tests.stages import storage_of
from wsdl.differentiation.expand_gradients import expand_gradients
from wsdl.ir.dtypes import numpy_dtype
from wsdl.ir.graph import Lowered
from wsdl.ir.target import Target
from wsdl.ir.text import from_text, to_text
from wsdl.ops.interpreter import evaluate
from wsdl.ops.verify import verify
from wsdl.pipelines.inference import INFERENCE
from wsdl.pipelines.training import BATCH, EVALUATION, PART, PIECEWISE_UPDATE, STEP
from wsdl.rewrite.batch_norm_to_conv import batch_norm_to_conv
from wsdl.rewrite.batch_steps import batch_steps
from wsdl.rewrite.contract_sums import contract_sums
from wsdl.rewrite.dedupe import dedupe
from wsdl.rewrite.drop_stop_gradients import drop_stop_gradients
from wsdl.rewrite.even_steps import even_steps
from wsdl.rewrite.fold_batch_norm import fold_batch_norm
from wsdl.rewrite.fuse_recurrent import fuse_recurrent
from wsdl.rewrite.hoist_invariants import hoist_invariants
from wsdl.rewrite.lower_precision import lower_graph, lower_precision
from wsdl.rewrite.prune import prune
from wsdl.rewrite.push_products import push_products
from wsdl.rewrite.roll_loops import roll_loops
from wsdl.rewrite.share_products import share_products
from wsdl.sharing.fold_views import fold_views
from wsdl.sharing.read_stored import read_stored
from wsdl.training.separate import separate
from wsdl.weights.initial_values import WithDerived, initial_values

FIXTURES = Path(__file__).parent / "fixtures"
ROLLED = Target("loop")
SIZES = {"n": 3, "t": 4, "h": 16, "w": 16}


@dataclass(frozen=True)
class Tried:
    """How a pass is run here: for which `target`; `prunes` where what nothing reads any more would hide what it does;
    `keeps` the numbers of a program unless it computes in fewer bits, or what isn't expanded yet."""

    run: Callable[[Lowered], object]
    target: Target = ROLLED
    prunes: bool = False
    keeps: bool = True

    def __call__(self, program: Lowered) -> None:
        program.target = self.target
        self.run(program)
        if self.prunes:
            prune(program)


def separate_rows(program: Lowered) -> None:
    graph = program.only.graph
    graph.outputs = separate(graph, graph.outputs, "n").values


def even_for_f16(program: Lowered) -> None:
    even_steps(program.only.graph, lambda graph: lower_graph(graph, "f16"))


PASSES: dict[str, Tried] = {
    "expand_gradients": Tried(expand_gradients, prunes=True, keeps=False),
    "drop_stop_gradients": Tried(drop_stop_gradients),
    "fold_views": Tried(fold_views),
    "fuse_recurrent": Tried(fuse_recurrent, prunes=True),
    "share_products": Tried(share_products, prunes=True),
    "contract_sums": Tried(contract_sums, prunes=True),
    "push_products": Tried(push_products, prunes=True),
    "roll_loops": Tried(roll_loops),
    "fold_batch_norm": Tried(fold_batch_norm, prunes=True),
    "batch_norm_to_conv": Tried(batch_norm_to_conv, prunes=True),
    "dedupe": Tried(dedupe),
    "prune": Tried(prune),
    "hoist_invariants": Tried(hoist_invariants),
    "batch_steps": Tried(batch_steps),
    "even_steps": Tried(even_for_f16),
    "lower_precision": Tried(lower_precision, Target(dtype="f16"), keeps=False),
    "separate": Tried(separate_rows, keeps=False),
}


@dataclass
class Case:
    title: str
    before: str

    def program(self, name: str) -> Lowered:
        """The program as the pass of this name gets it."""
        if self.before.startswith(("stored ", "model m(%")):
            program = from_text(self.before)
            self.before = to_text(program)
            return program
        program = read_stored(storage_of(self.before), ROLLED)
        for run in INFERENCE:
            if run.__name__ == name:
                break
            run(program)
        if PASSES[name].prunes:
            prune(program)
        return program

    def text(self, name: str) -> str:
        """The whole case, with what the pass makes of the program."""
        tried, program = PASSES[name], self.program(name)
        verify(program)
        before, expected = to_text(program), computed(program) if tried.keeps else []
        tried(program)
        verify(program)
        for got, wanted in zip(computed(program) if tried.keeps else [], expected, strict=True):
            largest = np.abs(wanted).max(initial=1.0, where=np.isfinite(wanted))
            np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=1e-6 * largest, err_msg=self.title)
        after = to_text(program)
        result = "// stays\n" if after == before else f"// becomes\n{after}"
        whys = "".join(f"// {'rolled' if c.rolled else 'unrolled'}: {c.why}\n" for c in program.loops)
        return f"// {self.title}\n{self.before}{result}{whys}"


def cases(text: str) -> Iterator[Case]:
    for part in text.split("// -----\n"):
        head, *body = part.splitlines(keepends=True)
        ends = (i for i, line in enumerate(body) if line in ("// becomes\n", "// stays\n"))
        yield Case(head.removeprefix("// ").strip(), "".join(body[: next(ends, len(body))]))


def computed(program: Lowered) -> list[Any]:
    """The outputs of all models for drawn inputs and stored tensors; none that a pass could take for another."""
    stored = {
        name: np.random.default_rng(len(name)).uniform(0.2, 1.0, a.shape).astype(a.dtype)
        for name, a in initial_values(program, 0).items()
    }
    results: list[Any] = []
    for model in program.models.values():
        rng = np.random.default_rng(0)
        inputs = [
            rng.normal(size=[d.evaluate(SIZES) for d in v.type.shape]).astype(numpy_dtype(v.type.dtype))
            for v in model.graph.inputs
        ]
        results += evaluate(model.graph, inputs, WithDerived(program, stored), SIZES)
    return results


@pytest.mark.parametrize("name", [name for name in PASSES if name != "separate"])
def test_cases(name: str, golden: Golden) -> None:
    path = FIXTURES / f"{name}.txt"
    text = path.read_text(encoding="utf-8")
    golden(path, "// -----\n".join(case.text(name) for case in cases(text)))


@pytest.mark.parametrize("name", PASSES)
def test_docstring(name: str) -> None:
    """It shows, executed, a program before and after."""
    [path] = Path(wsdl.__file__).parent.rglob(f"{name}.py")
    before, after = examples(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
    program = from_text(before)
    verify(program)
    assert to_text(program) == before
    PASSES[name](program)
    verify(program)
    assert to_text(program) == after


def examples(doc: str) -> tuple[str, str]:
    """The indented text before and behind the word `becomes`."""
    first, _, second = re.sub(r"^becomes.*$", "becomes", doc, flags=re.MULTILINE).partition("\nbecomes\n")
    return indented(first), indented(second)


def indented(text: str) -> str:
    lines = [line for line in text.splitlines() if not line or line.startswith("    ")]
    return dedent("\n".join(lines)).strip() + "\n"


def test_every_pass_over_programs_is_tried() -> None:
    training = {*STEP, *BATCH, *PART, *PIECEWISE_UPDATE, *EVALUATION}
    of_programs = {run.__name__ for run in training if not run.__module__.startswith("wsdl.training.")}
    assert {"hoist_invariants", "prune"} <= of_programs
    assert {run.__name__ for run in INFERENCE} | of_programs <= PASSES.keys()
