"""The figures on the page of the examples are those of the compiler."""

import re
from pathlib import Path

import pytest

import wsdl
from references.examples.catalogue import EXAMPLES, FOLDER, Example
from tests.golden import Golden

README = FOLDER / "README.md"


def figures(example: Example) -> str:
    """The last three cells of an example's row."""
    sizes = wsdl.compile(example.path).inventory.sizes()
    stored, unshared = sizes.parameters, sizes.parameters_without_sharing
    return f"{stored:,} | {unshared:,} | {1 - stored / unshared:.0%}"


def test_figures(golden: Golden) -> None:
    page = README.read_text("utf-8")
    for example in EXAMPLES:
        row = re.compile(rf"^(\| \[`{example.name}\.wsd`\].*?\|.*?\|)(?:[^|]*\|){{3}}$", re.MULTILINE)
        assert row.search(page), f"{example.name} is not on the page"
        page = row.sub(rf"\g<1> {figures(example)} |", page)
    golden(README, page)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.wsd")), ids=lambda path: path.stem)
def test_every_example_is_on_the_page(path: Path) -> None:
    assert f"({path.name})" in README.read_text("utf-8")
