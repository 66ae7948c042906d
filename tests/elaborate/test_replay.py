"""An application that is repeated comes to the same program as one whose body runs, to the last name and location."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

import wsdl.elaborate.replay as replay
from tests.elaborate.same_program import lines_of
from tests.lsp.documents import of_examples
from tests.programs.draw import draw
from tests.programs.write import text_of
from wsdl.api.checking import examine
from wsdl.diagnostics.span import Source
from wsdl.elaborate.move import Move
from wsdl.elaborate.records import Memory, Outcome

TEXTS = Path(__file__).with_name("repeated")
FEW = ["efficientdet", "lm", "training/digits_variants", "training/sudoku", "transformers/albert", "updates/byol"]


class Seen(NamedTuple):
    program: list[str]
    diagnostics: list[str]
    repeated: int


class Checks:
    """Checks texts, and counts the applications that are repeated. With `runs` none is."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch, self._run, self._count = patch, Move.run, 0
        patch.setattr(Move, "run", lambda move: self._repeat(move))

    def _repeat(self, move: Move) -> Outcome:
        self._count += 1
        return self._run(move)

    def __call__(self, path: Path, text: str, memory: Memory | None = None, *, runs: bool = False) -> Seen:
        self._count = 0
        with self._patch.context() as patch:
            if runs:
                patch.setattr(replay, "key_of", lambda *_: None)
            examined = examine(Source(str(path), text), memory=memory)
        return Seen(lines_of(examined.program), [str(d) for d in examined.problems], self._count)


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Checks:
    return Checks(monkeypatch)


def compare(path: Path, text: str, check: Checks) -> tuple[int, int]:
    """How many applications are repeated in a text alone, and after an earlier version of it."""
    memory = Memory()
    runs, alone = check(path, text, runs=True), check(path, text)
    assert alone[:2] == runs[:2]
    check(path, f"\n# An earlier version\n\n{text}", memory)
    later = check(path, text, memory)
    assert later[:2] == runs[:2]
    return alone.repeated, later.repeated


# By name; what the comment of a text tells is where its name alone doesn't.
REPEATED = {
    "aliases": (10, 12),
    "an_error_behind": (3, 6),
    "array_of_blocks": (3, 5),
    "carried": (3, 4),
    "checks_at_run_time": (6, 7),
    "divisions": (1, 1),
    "drawn_in_training": (7, 11),
    "grows_later": (4, 10),
    "handed_to_the_library": (10, 14),
    "in_scans": (4, 9),
    "one_layer_often": (6, 8),
    "other_places": (4, 5),
    "parts_of_layers": (2, 3),
    "passed_on": (3, 3),
    "random": (2, 4),
    "recursive": (12, 13),
    "same_value_unchanged": (4, 5),
    "shares_inside": (10, 12),
    "standard_trained": (12, 8),
    "trained": (10, 23),
    "two_models": (16, 8),
}


@pytest.mark.parametrize("name", REPEATED)
def test_repeating_is_running(name: str, check: Checks) -> None:
    path = TEXTS / f"{name}.wsd"
    assert compare(path, path.read_text("utf-8"), check) == REPEATED[name]


def test_each_text_is_in_the_table() -> None:
    assert REPEATED.keys() == {path.stem for path in TEXTS.glob("*.wsd")}


@of_examples("EVERY_REPETITION", FEW)
def test_examples(path: Path, check: Checks) -> None:
    _, later = compare(path, path.read_text("utf-8"), check)
    assert later > 0


def test_random_programs(check: Checks) -> None:
    assert sum(compare(Path(f"{seed}.wsd"), text_of(draw(seed)), check)[0] for seed in range(30)) > 30
