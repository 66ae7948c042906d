"""`%%wsdl name`: compiles a cell, shows the program, and binds it to a variable.

    %%wsdl tied
    model tied(x: f32[n, 64]) -> (y: f32[n, 64]) {
        …
    }

`%%wsdl tied VARIANT` takes one of the variants. Imports are relative to the folder of the notebook.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from wsdl import api
from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.diagnostics.render import render
from wsdl.diagnostics.span import Source


class Shell(Protocol):
    """What is used of IPython's `InteractiveShell`, from 7.0."""

    def push(self, variables: Mapping[str, Any]) -> None: ...

    def register_magic_function(self, func: Callable[..., Any], magic_kind: str, magic_name: str) -> None: ...


class CellError(CompileError):
    """The errors of a cell, shown without a traceback; those after it are not run."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback."""
        return render(self.diagnostics, color=True).splitlines()


def register(shell: Shell) -> None:
    """Define `%%wsdl` in a notebook."""

    def wsdl(line: str, cell: str) -> api.Program:
        program = compiled(line, cell)
        shell.push({line.split()[0]: program})
        return program

    shell.register_magic_function(wsdl, "cell", "wsdl")


def compiled(line: str, cell: str) -> api.Program:
    """The program of a cell; `line` is what stands behind `%%wsdl`. Raises `CellError`."""
    name, *others = line.split() or [""]
    if not name.isidentifier() or len(others) > 1:
        message = f"`{f'%%wsdl {line}'.strip()}` doesn't name a variable for the program"
        raise CellError([Diagnostic("E0704", message, help="write `%%wsdl NAME`, or `%%wsdl NAME VARIANT`")])
    try:  # the line `%%wsdl` counts, so that lines in messages are those of the cell
        return api.compile(Source(f"{name}.wsd", f"\n{cell}"), variant=others[0] if others else None)
    except CompileError as error:
        raise CellError(error.diagnostics) from None
