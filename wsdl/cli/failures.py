"""From an exception to diagnostics and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise

import click

from wsdl.api.sources import deleted_folder
from wsdl.cli.terminal import abandon_stdout, flush_stdout, print_json, write_findings
from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.diagnostics.render import as_json
from wsdl.diagnostics.suggest import nearest

OUTSIDE = ("E07", "E0501")  # prefixes of codes about files, flags, data and machines, not about a program
CLEAN, FINDINGS, USAGE, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 130


def exit_code(diagnostics: Iterable[Diagnostic]) -> int:
    """The exit code for diagnostics, by their codes; warnings and notes alone give 0."""
    errors = [d.code for d in diagnostics if d.severity == "error"]
    if any(code.startswith(OUTSIDE) for code in errors):
        return USAGE
    return FINDINGS if errors else CLEAN


def failure(error: Exception) -> tuple[list[Diagnostic], int]:
    """The diagnostics and the exit code for an exception that ended a command."""
    if isinstance(error, CompileError):
        return error.diagnostics, exit_code(error.diagnostics)
    if isinstance(error, click.ClickException):
        return [_usage(error)], USAGE
    if isinstance(error, MemoryError):
        help = "make the program smaller, or run it on a machine with more memory"
        return [Diagnostic("E0709", "not enough memory", help=help)], USAGE
    if isinstance(error, OSError):
        reason = (error.strerror or str(error)).lower()
        file = os.fsdecode(error.filename) if error.filename is not None else None
        if error.errno in (errno.ENOSPC, errno.EFBIG):
            return [Diagnostic("E0703", f"can't write this file: {reason}", file=file)], USAGE
        advice = deleted_folder(file or "")
        return [Diagnostic("E0701", f"an operation of the system failed: {reason}", file=file, help=advice)], USAGE
    if os.environ.get("WSDL_DEBUG"):
        traceback.print_exception(error)
    return [_internal(error)], INTERNAL


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns errors while writing a file or folder into a `CompileError` (E0703)."""
    try:
        yield
    except OSError as error:
        reason, file = (error.strerror or str(error)).lower(), os.fspath(path)
        problem = Diagnostic("E0703", f"can't write this file: {reason}", file=file, help=deleted_folder(file))
        raise CompileError([problem]) from error


def show(diagnostics: list[Diagnostic], arguments: Sequence[str]) -> None:
    """Show the diagnostics that ended a command: on stderr, or as JSON on stdout with `--json`.

    The command line itself may be invalid, so `--json` is searched in the unparsed arguments.
    """
    if wants_json(arguments) and sys.stdout is not None:
        with suppress(CompileError):  # stderr may be closed
            print_json(as_json(diagnostics))
            flush_stdout()
            return
    write_findings(diagnostics, sys.stderr)
    try:
        flush_stdout()
    except CompileError:  # reported just now
        abandon_stdout()


def wants_json(arguments: Sequence[str]) -> bool:
    formats = [*pairwise(arguments), *(tuple(a.split("=", 1)) for a in arguments)]
    return "--json" in arguments or ("--output-format", "json") in formats


def _usage(error: click.ClickException) -> Diagnostic:
    """A usage error of click as a diagnostic."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    help = f"`{context.command_path} --help` lists the options" if context else None
    if isinstance(error, click.NoSuchOption):
        options = [o for p in (context.command.params if context else ()) for o in p.opts if o.startswith("--")]
        close = nearest(error.option_name, [*options, "--help"])
        help = f"did you mean `{close}`?" if close else help
    message = error.format_message().rstrip(".").replace("'", "`")
    return Diagnostic("E0704", message[:1].lower() + message[1:], help=help)


def _internal(error: Exception) -> Diagnostic:
    from wsdl.cli.version import versions

    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{os.path.basename(os.path.dirname(frame.filename))}/{os.path.basename(frame.filename)}:{frame.lineno}"
    return Diagnostic(
        "E0799",
        "internal error: this is a bug in wsdl",
        help="please report it, with the command, the program and these lines; WSDL_DEBUG=1 shows the traceback",
        details=(
            f"{type(error).__name__}: {error} ({where})",
            versions(),
        ),
    )
