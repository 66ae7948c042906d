"""Errors of running and training: data, files and devices that don't fit a model."""

from __future__ import annotations

from collections.abc import Iterable

from wsdl.diagnostics import CompileError, Diagnostic


class RunError(CompileError):
    """An error of running or training: data, a file or a device that doesn't fit the model. `diagnostics` are as in
    `CompileError`."""


def fail(
    code: str, message: str, *, file: str | None = None, help: str | None = None, details: Iterable[str] = ()
) -> RunError:
    """A `RunError` with one diagnostic, for the caller to raise."""
    return RunError([Diagnostic(code, message, file=file, help=help, details=tuple(details))])
