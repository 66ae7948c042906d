"""What goes wrong when a compiled model meets data and machines."""

from __future__ import annotations

from collections.abc import Iterable

from wsdl.diagnostics import CompileError, Diagnostic


class RunError(CompileError):
    """Data, a file or a device that doesn't fit a model; carries its diagnostics like any other finding."""


def fail(
    code: str, message: str, *, file: str | None = None, help: str | None = None, details: Iterable[str] = ()
) -> RunError:
    """The error with one diagnostic, to be raised."""
    return RunError([Diagnostic(code, message, file=file, help=help, details=tuple(details))])
