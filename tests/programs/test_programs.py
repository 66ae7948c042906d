"""A fixed sample of what `make fuzz` runs, and that what it finds would be found."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.programs.compare import Configuration
from tests.programs.description import Assign, Description, Meaning, Statement
from tests.programs.draw import draw
from tests.programs.fuzz import outcome, report
from tests.programs.shrink import shrunk
from tests.programs.write import text_of

CASES = 80
PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_random_programs_give_what_their_twins_give(part: int) -> None:
    counts = Counter[str]()
    for seed in range(part, CASES, PARTS):
        kind, said = outcome(draw(seed), seed, Configuration.drawn(seed), counts)
        assert not kind, report(seed, kind, said, shrinks=False)
    assert counts["values"] > 200  # nothing passes by being left out
    assert counts["vague"] < 0.05 * counts["values"]


def test_a_seed_is_a_program() -> None:
    assert [text_of(draw(seed)) for seed in range(5)] == [text_of(draw(seed)) for seed in range(5)]


def _wrong(program: Description) -> Description:
    """The same text, with a twin that takes cosines where sines are written."""

    def changed(statement: Statement) -> Statement:
        if isinstance(statement, Assign) and statement.value.text == "sin({0})":
            cosine: Meaning = lambda _, x: x.cos()  # noqa: E731  # in the place of another one
            return replace(statement, value=replace(statement.value, torch=cosine))
        return statement

    return replace(program, models=tuple(replace(m, body=tuple(map(changed, m.body))) for m in program.models))


def test_a_wrong_value_is_found_and_the_program_shrunk() -> None:
    configuration = Configuration()

    def fails(program: Description) -> bool:
        return "off by" in outcome(_wrong(program), 0, configuration, Counter())[1]

    program = next(
        program for program in map(draw, range(10 * CASES)) if "= sin(" in text_of(program) and fails(program)
    )
    assert len(text_of(shrunk(program, fails)).splitlines()) < 8
