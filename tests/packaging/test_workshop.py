"""What CONTRIBUTING.md, `make quick` and the hooks name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import quick
from tests.together import together

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`((?:wsdl|tests|docs|examples|grammar|references|benchmarks|website)/[\w./-]*)`")


def test_what_quick_runs() -> None:
    named = [
        *quick.REGISTRIES,
        *quick.ALWAYS,
        *quick.TABLES,
        *quick.ROOMS,
        *(test for tests in quick.ROOMS.values() for test in tests),
    ]
    for path, _, test in (name.partition("::") for name in named):
        assert (ROOT / path).exists(), path
        assert not test or f"def {test}(" in (ROOT / path).read_text("utf-8"), test


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", ".pre-commit-config.yaml"])
def test_files_that_a_page_names(page: str) -> None:
    named = NAMED.findall((ROOT / page).read_text("utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_nothing_but_tests_imports_tests() -> None:
    files = [
        path
        for folder in ("wsdl", "examples", "references", "benchmarks", "website")
        for path in ROOT.glob(f"{folder}/**/*.py")
    ]
    wrong = [path for path in files if re.search(r"^ *(from|import) tests\b", path.read_text("utf-8"), re.MULTILINE)]
    assert files
    assert wrong == []


def test_what_changed_lines_define() -> None:
    lines = (
        '+class Gelu(Elementwise, name="gelu"):',
        '-activation("relu", floating)',
        "+block Dense(size: int)",
        "+    erf(x)",
    )
    assert quick.DEFINITION.findall("\n".join(lines)) == ["gelu", "relu", "Dense"]


def test_what_is_nearest_to_a_change() -> None:
    """An operation: its file's tests, its rows, the tables; a page: itself."""
    change = quick.Change(["wsdl/ops/activations.py", "docs/sharing.md"], {"gelu"}, {"erf", "gelu", "x"})
    chosen = quick.selection(change)
    assert (chosen.defined, chosen.names) == (["gelu"], ["erf"])
    assert chosen.rank("tests/docs/test_pages.py::test_page[docs/sharing.md]") == 2
    assert chosen.rank("tests/half/test_sweep.py::test_operation[gelu]") == 3
    assert chosen.rank("tests/ops/test_complete.py::test_is_documented[relu]") == 4
    assert chosen.rank("tests/half/test_sweep.py::test_operation[erf]") == 5
    assert chosen.rank("tests/ops/test_errors.py::test_any") == 6
    assert chosen.rank("tests/runtime/test_trainer.py::test_any") is None


def test_all_cases_of_a_group_are_tried_and_those_that_fail_named() -> None:
    tried = []

    @together("n", range(6), by=lambda n: "all")
    def small(n: int) -> None:
        tried.append(n)
        assert n < 4

    with pytest.raises(ExceptionGroup, match="2 of 6 cases") as raised:
        small(cases=range(6))
    assert tried == [0, 1, 2, 3, 4, 5]
    assert [failure.__notes__ for failure in raised.value.exceptions] == [["with n = 4"], ["with n = 5"]]
