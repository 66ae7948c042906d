"""The tables of docs/language.md are those of the registries, and nothing of the language is missing in it."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from tests.docs.page import ROOT
from tests.golden import Golden
from wsdl.diagnostics import Problems
from wsdl.ir.initializers import INITIALIZERS
from wsdl.ir.training import COMMON, OPTIMIZERS, SCHEDULES, Option
from wsdl.ir.types import DTYPES
from wsdl.ops import FAMILIES, NAMED
from wsdl.passes.elaborate.operations import signature
from wsdl.passes.elaborate.paths import LIMITS
from wsdl.passes.names import BUILTINS, VIEWS
from wsdl.span import Source
from wsdl.syntax import tree
from wsdl.syntax.grammar import grammar_path
from wsdl.syntax.parser import parse

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


def operations() -> str:
    """A table for each family; the first line of each docstring, without the ONNX operator."""
    text = ""
    for family in FAMILIES:
        own = [o for o in NAMED.values() if o.infer.__module__ == family.__name__]
        if not own:
            continue  # all of it is internal
        rows = [[f"`{signature(o)}`", re.sub(r" (An )?ONNX [\w, .]+$", "", o.doc.splitlines()[0])] for o in own]
        text += f"\n**{family.__name__.rpartition('.')[2].capitalize()}**\n\n" + table(["operation", "result"], rows)
    return text


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


def standard_blocks() -> str:
    """A table for each file, in the order of the files."""
    text = ""
    for file in sorted(resources.files("wsdl").joinpath("std").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".wsd"):
            source = Source(file.name, file.read_text("utf-8"), is_standard=True)
            declared = parse(source, Problems()).declarations
            rows = [block_row(block) for block in declared if isinstance(block, tree.Block)]
            text += f"\n**`std/{file.name}`**\n\n" + table(["block", "from → to", "owns", "what it does"], rows)
    return text


def block_row(block: tree.Block) -> list[str]:
    given = [c.name.text + (f"={c.default.span.text}" if c.default else "") for c in block.configuration]
    sent = ", ".join(i.span.text for i in block.inputs) if block.inputs[1:] else block.inputs[0].type.span.text
    back = f"`{', '.join(o.type.span.text for o in block.outputs)}`" if block.outputs else "what comes of it"
    owned = ", ".join(dict.fromkeys(f"`{name}`" for name in owns(block.body)))
    summary = re.split(r"(?<=\.)(?<!al\.) ", (block.doc or "").split("\n\n")[0].replace("\n", " "))[0]
    return [f"`{block.name.text}({', '.join(given)})`", f"`{sent}` → {back}", owned, summary]


def owns(body: tuple[tree.Statement, ...]) -> list[str]:
    """The layers and parameters that a body declares."""
    names: list[str] = []
    for statement in body:
        if isinstance(statement, tree.Layer | tree.Parameter):
            names.append(statement.name.text)
        elif isinstance(statement, tree.If):
            names += owns((*statement.then, *statement.otherwise))
    return names


def test_tables(golden: Golden) -> None:
    page = PAGE.read_text("utf-8")
    for name, text in {
        "initializers": initializers(),
        "operations": operations(),
        "optimizers": optimizers(),
        "blocks": standard_blocks(),
    }.items():
        region = re.compile(rf"^(<!-- {name}: .*? -->\n).*?^(<!-- end -->)$", re.MULTILINE | re.DOTALL)
        assert region.search(page), f"the page has no place for the {name}"
        page = region.sub(lambda found, text=text: f"{found[1]}\n{text.strip()}\n\n{found[2]}", page)  # type: ignore[misc]
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
    "limit": LIMITS,
    "initializer": INITIALIZERS,
    "optimizer": OPTIMIZERS,
    "learning rate": SCHEDULES,
    "option of an optimizer or a learning rate": sorted(OPTIONS),
    "operator": ("+", "-", "*", "/", "//", "%", "**", "@", "|>", "==", "!=", "<", "<=", ">", ">="),
}


@pytest.mark.parametrize(("kind", "word"), [(kind, word) for kind, words in WORDS.items() for word in words])
def test_is_in_the_reference(kind: str, word: str) -> None:
    """In code: in a block, or between backticks."""
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", PAGE.read_text("utf-8"), re.DOTALL))
    assert re.search(rf"(?<!\w){re.escape(word)}(?!\w)", code), f"the {kind} `{word}` is not in {PAGE.name}"
