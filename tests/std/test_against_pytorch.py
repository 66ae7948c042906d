"""Every block of the standard library computes what its counterpart in PyTorch computes with the same weights."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import wsdl
from references.weights import module_weights
from tests.compiling import compiled
from tests.std.case import Case, draw, program_of, results_of, twin_of
from tests.std.cases import CASES
from tests.std.names import separated
from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Source
from wsdl.elaborate.resolve import resolve
from wsdl.elaborate.scopes import standard_blocks, standard_ways


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.layer)
def test_equal_to_pytorch(case: Case) -> None:
    """In every run; with the same weights."""
    twin = twin_of(case)
    weights = {case.rename(n): torch.from_numpy(a) for n, a in module_weights(twin).items()}
    values = {f"f.{n}": a.contiguous().numpy() for n, a in separated(weights).items()}
    session = compiled(program_of(case), values).session()
    for shapes in case.every_run:
        arrays = draw(case, shapes)
        with torch.no_grad():
            expected = results_of(case, twin, [torch.from_numpy(a) for a in arrays])
        got = session.run({f"input{i}": a for i, a in enumerate(arrays)})
        for ours, theirs in zip(got.values(), expected, strict=True):
            assert ours.shape == tuple(theirs.shape), shapes
            top = np.abs(theirs.numpy()).max(initial=1.0)
            assert np.abs(ours - theirs.numpy()).max(initial=0.0) <= 1e-5 * top, shapes


def test_every_block_is_here() -> None:
    missing = (
        set(standard_blocks()) - set(standard_ways()) - set(re.findall(r"\w+", str([case.layer for case in CASES])))
    )
    assert not missing, f"no case in tests/std/cases/ applies {sorted(missing)}"


@pytest.mark.parametrize("path", sorted((Path(wsdl.__file__).parent / "std").glob("*.wsd")), ids=lambda p: p.stem)
def test_the_library_checks_itself(path: Path) -> None:
    """Its names are not checked when it is used."""
    problems = Problems()
    resolve(Source(str(path), path.read_text(encoding="utf-8")), problems, lambda _: None)
    assert not list(problems)
