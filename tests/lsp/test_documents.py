"""What is checked when an editor asks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.lsp.documents import opened
from wsdl import compiler
from wsdl.diagnostics import Problems
from wsdl.elaborate.scopes import standard_blocks
from wsdl.ir.stages import Checked
from wsdl.lsp import server
from wsdl.lsp.diagnostics import diagnostics

PROGRAM = """\
model m(x: f32[n, 4]) -> (y: f32[n, 4]) {
    layer first = Dense(4)
    layer second = Dense(3)
    return x |> first |> relu
}

variant tied {
    share { m.first, m.second }
}
"""


def test_variants_are_checked_for_diagnostics_only(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    check = compiler.check_variants

    def noted(program: Checked, problems: Problems) -> None:
        checked.append(program.variant)
        check(program, problems)

    monkeypatch.setattr(compiler, "check_variants", noted)
    document = opened(Path("m.wsd"), PROGRAM)
    assert document.examined.storage is not None
    assert document.inventory is not None
    assert not checked
    codes = [diagnostic.code for diagnostic in document.problems]
    assert codes == [diagnostic.code for diagnostic in document.problems]
    assert "E0327" in codes
    assert len(checked) == 1


@pytest.mark.parametrize("function", ["check", "check_variants"])
def test_a_bug_is_a_diagnostic(
    function: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*given: object) -> None:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(compiler, function, fail)
    document = opened(Path("m.wsd"), PROGRAM)
    [[shown]] = diagnostics(document.documents).values()
    assert shown.code == "E0799"
    assert shown.message == (
        "internal error: this is a bug in wsdl (ZeroDivisionError: on purpose)\n"
        "help: please report it with the program; the log of the language server has the traceback"
    )
    assert "Traceback" in capsys.readouterr().err


def test_the_library_is_read_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(server, "standard_block", read.append)

    async def run() -> int:
        served = server.Server()
        served._read_library()
        first = len(read)
        while len(read) < len(standard_blocks()):
            await asyncio.sleep(0)
        served._read_library()
        return first

    assert asyncio.run(run()) == 1
    assert read == standard_blocks()
