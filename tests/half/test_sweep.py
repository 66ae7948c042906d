"""A part of the sweep over operations and blocks in 16 bits; with WSDL_HALF=all, as in `make fuzz`, all of it."""

from __future__ import annotations

import os
from itertools import groupby
from operator import attrgetter

import pytest

from tests.half import sweep
from tests.half.sweep import ALL_TARGETS, OPSETS, TARGETS, BlockTrial, OperationTrial, of_blocks, of_operations
from tests.together import together
from wsdl.ops import OPERATIONS

STEP = 4 * len(OPSETS) + 1  # so that opsets and dtypes come in turn
ALL = os.environ.get("WSDL_HALF") == "all"


def operation_trials() -> list[OperationTrial]:
    """The first case of each operation for some targets; or every case, and the first one for each opset."""
    if ALL:
        return [*of_operations(TARGETS), *of_operations(ALL_TARGETS, all_cases=False)]
    each = list(of_operations(ALL_TARGETS, all_cases=False))
    return each[::STEP]


def block_trials() -> list[BlockTrial]:
    """As for operations."""
    if ALL:
        return [*of_blocks(TARGETS), *of_blocks(ALL_TARGETS, all_cases=False)]
    return list(of_blocks(ALL_TARGETS, all_cases=False))[::STEP]


BY_OPERATION = {
    name: list(trials)
    for name, trials in groupby(sorted(operation_trials(), key=lambda t: t.case.op), lambda t: t.case.op)
}


@pytest.mark.parametrize("operation", BY_OPERATION)
def test_operation(operation: str) -> None:
    failures = {trial.name: failure for trial in BY_OPERATION[operation] if (failure := trial.failure())}
    assert not failures


RANGE = {trial.case.op: trial for trial in sweep.over_the_range()}


@together("operation", RANGE, by=lambda operation: OPERATIONS[operation].family)
def test_range(operation: str) -> None:
    """Where the result fits in f16, so does all that it is computed of."""
    if failure := RANGE[operation].failure():
        pytest.fail(
            f"`{operation}` in f16 is {failure}\n`half=` in its first line says what computes in f32", pytrace=False
        )


@pytest.mark.parametrize("trial", block_trials(), ids=attrgetter("name"))
def test_block(trial: BlockTrial) -> None:
    assert trial.failure() is None


def test_every_operation_is_tried() -> None:
    tried = {trial.case.op for trial in of_operations(TARGETS[:1], all_cases=False)}
    assert tried == {o.name for o in OPERATIONS.values() if not o.expanded_by}  # before any pass looks at dtypes
