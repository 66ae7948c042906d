"""Every standard block has a row for each edge that it has: small sizes, and each configuration set to something."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import pytest

from tests.std.case import Case
from tests.std.cases import CASES
from wsdl.elaborate.scopes import standard_block, standard_blocks, standard_ways
from wsdl.syntax import tree

IN_A_WORD = {"true": True, "false": False, "none": None}


def block_of(name: str) -> tree.Block:
    definition = standard_block(name)
    assert definition is not None
    assert isinstance(definition.node, tree.Block)
    return definition.node


def rows_of(name: str) -> list[Case]:
    """The rows whose layer the block is, or where there are none, those in whose layer it is a part."""
    return [c for c in CASES if c.block == name] or [c for c in CASES if f"{name}(" in c.layer]


def configured(case: Case) -> dict[str, Any]:
    """What is given to the layer of a row, by name; what is no number, word or list of them as text."""
    call = ast.parse(case.layer, mode="eval").body
    assert isinstance(call, ast.Call)
    names = [c.name.text for c in block_of(case.block).configuration]
    given = dict(zip(names, call.args, strict=False)) | {str(k.arg): k.value for k in call.keywords}
    return {name: value_of(node) for name, node in given.items()}


def value_of(node: ast.expr) -> Any:
    text = ast.unparse(node)
    try:
        return IN_A_WORD[text] if text in IN_A_WORD else ast.literal_eval(node)
    except ValueError:
        return text


def axes(case: Case) -> list[list[str]]:
    """The names of the sizes of each input."""
    return [type_.partition("[")[2].rstrip("]").split(", ") for type_ in case.types]


def sized(case: Case, fits: Callable[[str], bool], size: int) -> bool:
    """Is there a run in which every size with a name that fits is this one?"""
    for run in case.every_run:
        found = [n == size for names, shape in zip(axes(case), run, strict=True)
                 for a, n in zip(names, shape, strict=True) if a.isidentifier() and fits(a)]  # fmt: skip
        if found and all(found):
            return True
    return False


def has_batch(case: Case) -> bool:
    return axes(case)[0][:1] == ["n"]


def is_length(name: str) -> bool:
    return name != "n"


def has_length(case: Case) -> bool:
    return any(a.isidentifier() and is_length(a) for names in axes(case) for a in names)


def most(value: Any) -> float:
    """The largest number; 0 for a word."""
    return max(map(most, value)) if isinstance(value, list) else 0.0 if isinstance(value, str) else float(value)


def edges(name: str) -> dict[str, Callable[[Case], bool]]:
    """What says of a row that it is on an edge, for each edge that the block has."""
    rows, options = rows_of(name), {c.name.text: c for c in block_of(name).configuration}
    found: dict[str, Callable[[Case], bool]] = {}
    if any(map(has_batch, rows)):
        found["a batch of one"] = lambda row: sized(row, lambda a: a == "n", 1)
        found["an empty batch"] = lambda row: sized(row, lambda a: a == "n", 0)
    if any(map(has_length, rows)):
        found["length one"] = lambda row: sized(row, is_length, 1)
    if {"stride", "pad"} <= options.keys():
        found["stride with padding"] = lambda row: (
            most(configured(row).get("stride", 1)) > 1 and most(configured(row).get("pad", 0)) > 0
        )
        if "list" in [t.text for t in options["pad"].types]:
            found["uneven padding"] = lambda row: len(set(flattened(listed(configured(row).get("pad"))))) > 1
            found["padding to the same size"] = lambda row: configured(row).get("pad") == "same"
    if rows[0].block == name:
        for option in options:
            found[f"`{option}`"] = lambda row, option=option: option in configured(row)  # type: ignore[misc] # of option
    return found


def flattened(values: list[Any]) -> list[Any]:
    return [item for value in values for item in (value if isinstance(value, list) else [value])]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


@pytest.mark.parametrize("name", [name for name in standard_blocks() if name not in standard_ways()])
def test_has_a_row_on_every_edge(name: str) -> None:
    rows = rows_of(name)
    assert rows, f"no case in tests/std/cases/ applies {name}"
    missing = [edge for edge, is_there in edges(name).items() if not any(map(is_there, rows))]
    assert not missing, f"{name} has no row with {', '.join(missing)}"
