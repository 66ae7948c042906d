"""The pages of the codes: each tells of a code in one form, and its programs do what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.stages import examined
from tests.together import together
from wsdl.diagnostics import Problems
from wsdl.diagnostics.explain import codes, explain, title
from wsdl.diagnostics.span import Source
from wsdl.syntax import mistakes
from wsdl.syntax.formatter import format_source
from wsdl.syntax.stuck import STUCK

BLOCK = re.compile(r"^```wsd (error|fixed|\w+\.wsd)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SYNTAX = [code for code in codes() if code.startswith("E01")]
FAMILIES = ("E01", "E02", "E03", "E04", "E06", "N04", "N08", "W03", "W06")  # what `check` finds in programs
CHECKED = [
    code for code in codes() if code.startswith((*FAMILIES, "E0513")) and code not in ("E0219", "N0803")
]  # when compiling, and in `eval`


def codes_of(text: str, code: str, folder: Path) -> list[str]:
    """The codes of what is found in a program `example.wsd`, beside which lie the other files that the page shows."""
    folder = folder / code
    folder.mkdir(exist_ok=True)
    (folder / "example.wsd").write_text(text, encoding="utf-8")
    for name, other in BLOCK.findall(explain(code)):
        if name.endswith(".wsd"):
            (folder / name).write_text(other, encoding="utf-8")
    problems = Problems()
    examined(Source(str(folder / "example.wsd"), text), problems)
    return [diagnostic.code for diagnostic in problems]


def family(code: str) -> str:
    return code[:3]


def programs(code: str, kind: str) -> list[str]:
    return [text for found, text in BLOCK.findall(explain(code)) if found == kind]


@together("code", codes(), by=family)
def test_a_page_has_its_title(code: str) -> None:
    assert re.match(rf"# {code}: [^\n]+[^.\n]\n\n", explain(code))
    assert title(code)


@together("code", CHECKED, by=family)
def test_a_page_has_both_programs(code: str) -> None:
    assert programs(code, "error")
    assert programs(code, "fixed")


@together("code", CHECKED, by=family)
def test_the_error_gives_its_code(code: str, tmp_path: Path) -> None:
    for text in programs(code, "error"):
        assert codes_of(text, code, tmp_path) == [code]


@together("code", CHECKED, by=family)
def test_the_fixed_program_is_clean(code: str, tmp_path: Path) -> None:
    for text in programs(code, "fixed"):
        assert codes_of(text, code, tmp_path) == []
        assert format_source(Source("example.wsd", text), Problems()) == text


def test_every_syntax_error_has_a_page() -> None:
    said = {m.code for m in [*vars(mistakes).values(), *STUCK] if isinstance(m, mistakes.Mistake)}
    assert said == set(SYNTAX)


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    package = Path(mistakes.__file__).parents[1]
    written = {
        code for path in package.rglob("*.py") for code in re.findall(r'"([EWN]\d{4})"', path.read_text("utf-8"))
    }
    missing = sorted(written - set(codes()))
    assert not missing, (
        f"no page in wsdl/diagnostics/codes/ for {missing}: what it means, a program, the same put right"
    )
    assert sorted(set(codes()) - written) == []


def test_explain_takes_any_case_and_refuses_the_unknown() -> None:
    assert explain(" e0101 ") == explain("E0101")
    assert title("E9999") == ""
    with pytest.raises(KeyError):
        explain("E9999")
    with pytest.raises(KeyError):
        explain("../../secret")
