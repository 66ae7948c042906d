"""The tables of docs/language.md are those of the registries, and nothing of the language is missing in it."""

from __future__ import annotations

import re

import pytest

from tests.docs.page import ROOT
from tests.golden import Golden
from wsdl.diagnostics import limits
from wsdl.elaborate.bound_names import BUILTINS, NUMBERS, VIEWS
from wsdl.elaborate.path_patterns import LIMITS
from wsdl.ir.initializers import INITIALIZERS
from wsdl.ir.training import COMMON, OPTIMIZERS, SCHEDULES, Option
from wsdl.ir.types import DTYPES
from wsdl.syntax.grammar import grammar_path

PAGE = ROOT / "docs" / "language.md"


def table(headers: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in [headers, *rows]]
    return "".join([lines[0], "|---" * len(headers) + "|\n", *lines[1:]])


def initializers() -> str:
    rows = []
    for name, kind in INITIALIZERS.items():
        forms = [f"`{name}`" if not form else f"`{name}({', '.join(form)})`" for form in kind.forms]
        rows.append([", ".join(forms), kind.doc])
    return table(["initializer", "values"], rows)


def optimizers() -> str:
    """Two tables: the optimizers, and the courses of a learning rate, with their options."""
    kinds = table(["optimizer", "options"], [[f"`{kind}`", shown(options)] for kind, options in OPTIMIZERS.items()])
    courses = table(
        ["learning rate", "options"], [[f"`{kind}`", shown(options)] for kind, options in SCHEDULES.items()]
    )
    return f"{kinds}\nEvery optimizer also takes {shown(COMMON)}.\n\n{courses}"


def shown(options: tuple[Option, ...]) -> str:
    return ", ".join(f"`{written(option)}`" for option in options)


def written(option: Option) -> str:
    """With its default, as it is written in programs."""
    words = {"None": "none", "True": "true", "False": "false"}
    return option.name if option.required else f"{option.name}={words.get(str(option.default), option.default)}"


def test_tables(golden: Golden) -> None:
    page = PAGE.read_text("utf-8")
    for name, text in {
        "initializers": initializers(),
        "optimizers": optimizers(),
    }.items():
        region = re.compile(rf"^(<!-- {name}: .*? -->\n).*?^(<!-- end -->)$", re.MULTILINE | re.DOTALL)
        match = region.search(page)
        assert match, f"the page has no place for the {name}"
        page = f"{page[: match.end(1)]}\n{text.strip()}\n\n{page[match.start(2) :]}"
    golden(PAGE, page)


# -- nothing is missing ------------------------------------------------------------------------------------------------

KEYWORDS = sorted(set(re.findall(r'"([a-z]+)"', grammar_path().read_text("utf-8"))))
OPTIONS = {o.name for table in (OPTIMIZERS, SCHEDULES) for options in table.values() for o in options} | {
    o.name for o in COMMON
}
WORDS = {
    "keyword": KEYWORDS,
    "dtype": DTYPES,
    "view": VIEWS,
    "function of constants": BUILTINS,
    "number": NUMBERS,
    "limit": LIMITS,
    "initializer": INITIALIZERS,
    "optimizer": OPTIMIZERS,
    "learning rate": SCHEDULES,
    "option of an optimizer or a learning rate": sorted(OPTIONS),
    "operator": ("+", "-", "*", "/", "//", "%", "**", "@", "|>", "==", "!=", "<", "<=", ">", ">="),
}


@pytest.mark.parametrize("kind", WORDS)
def test_are_in_the_reference(kind: str) -> None:
    """In code: in a block, or between backticks."""
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", PAGE.read_text("utf-8"), re.DOTALL))
    missing = [word for word in WORDS[kind] if not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", code)]
    assert not missing, f"not in {PAGE.name}"


def test_limits() -> None:
    """The table has the number of each limit, and no other."""
    section = PAGE.read_text("utf-8").split("### Compiler limits\n")[1].split("\n## ")[0]
    cells = re.findall(r"\| (?:below )?([\d,^]+) \|$", section, re.MULTILINE)
    told = [int(base.replace(",", "")) ** int(power or 1) for base, _, power in (cell.partition("^") for cell in cells)]
    assert sorted(told) == sorted(value for name, value in vars(limits).items() if name.isupper())
