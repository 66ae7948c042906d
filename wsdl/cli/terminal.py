"""Output adapted to the terminal: colors, box drawing, number of columns.

Results go to stdout, everything else to stderr. `NO_COLOR` and `FORCE_COLOR` are honored; a stream that can't encode
box drawing gets ASCII; output to a pipe isn't limited in width. Lines for people may contain names from files, so they
are made `printable`; JSON is `escaped`, and exact.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any, TextIO

from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.diagnostics.printable import escaped, printable, short
from wsdl.diagnostics.render import FORMAT_VERSION, Format, render

if TYPE_CHECKING:
    from rich.console import RenderableType

UNLIMITED = 10_000  # columns; output to a pipe is not cut
_ASCII = str.maketrans({"×": "x", "–": "-", "—": "-", "−": "-", "…": "...", "→": "->", "─": "-", "≤": "<="})


@dataclass(frozen=True)
class Terminal:
    """The capabilities of a stream; `width` is in columns, 0 for no limit."""

    stream: TextIO
    color: bool
    unicode: bool
    width: int

    @staticmethod
    def of(stream: TextIO) -> Terminal:
        is_tty = stream.isatty()
        width = shutil.get_terminal_size().columns if is_tty else 0
        return Terminal(stream, _has_color(is_tty), _has_unicode(stream), width)

    def write(self, text: str) -> None:
        """Write a text; characters that the stream can't encode, as in some file names, are replaced."""
        shown = text if self.unicode else to_ascii(text)
        if not shown:
            return  # the disk is full
        with _writing():
            self.stream.write(shown.encode("utf-8", "replace").decode("utf-8"))

    def draw(self, renderable: RenderableType, width: int = 0) -> None:
        """Write a renderable of Rich, such as a table."""
        from rich.console import Console

        console = Console(
            file=StringIO(),
            force_terminal=self.color,
            color_system="standard" if self.color else None,
            legacy_windows=False,
            width=width or self.width or UNLIMITED,
            highlight=False,
            markup=False,
            emoji=False,
        )
        with console.capture() as capture:
            console.print(renderable)
        self.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))


def _has_color(is_tty: bool) -> bool:
    """`NO_COLOR` takes precedence over `FORCE_COLOR`, since a reader may depend on it."""
    if os.environ.get("NO_COLOR"):
        return False
    return os.environ.get("FORCE_COLOR", "0") not in ("", "0") or (is_tty and os.environ.get("TERM") != "dumb")


def _has_unicode(stream: TextIO) -> bool:
    try:
        "╭─│…×".encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def to_ascii(text: str) -> str:
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")


# -- stdout, which may be closed or full -------------------------------------------------------------------------------


def require_stdout() -> None:
    """Raises `CompileError` if stdout is closed, before there are results."""
    if sys.stdout is None:
        help = "`> /dev/null` discards the results"
        raise CompileError([Diagnostic("E0703", "stdout, to which results are written, is closed", help=help)])


def flush_stdout() -> None:
    """Write buffered output. Raises `CompileError` if that fails."""
    if sys.stdout is not None:
        with _writing():
            sys.stdout.flush()


def abandon_stdout() -> None:
    """Discard buffered output, which Python would otherwise try to write again at exit."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:  # the reader has closed the pipe: continue without output
        abandon_stdout()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        help = "files were written; only the text on stdout is missing"
        raise CompileError([Diagnostic("E0703", f"can't write to stdout: {reason}", help=help)]) from None


# -- results -----------------------------------------------------------------------------------------------------------


def write_findings(diagnostics: Iterable[Diagnostic], stream: TextIO, format: Format = "full") -> None:
    """Write diagnostics in one of their formats, adapted to the stream."""
    terminal = Terminal.of(stream)
    text = render(diagnostics, format, color=terminal.color, width=terminal.width, unicode=terminal.unicode)
    terminal.write(text)


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON document on stdout."""
    terminal = Terminal.of(sys.stdout)
    whole = {"format_version": FORMAT_VERSION, **value}
    terminal.write(escaped(json.dumps(whole, ensure_ascii=not terminal.unicode, allow_nan=False)) + "\n")


def print_lines(lines: Iterable[str]) -> None:
    """Lines for people on stdout."""
    Terminal.of(sys.stdout).write("".join(f"{printable(short(line))}\n" for line in lines))


def print_text(text: str) -> None:
    """A text on stdout, unchanged (a page, a picture, a diff); on a terminal each line is made `printable`."""
    if sys.stdout.isatty():
        text = "\n".join(printable(line.replace("\t", "    ")) for line in text.split("\n"))
    Terminal.of(sys.stdout).write(text)


def print_bytes(data: bytes) -> None:
    """The contents of a file on stdout, as bytes if the stream supports that."""
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(data.decode("utf-8"))
    else:
        with _writing():
            sys.stdout.flush()
            buffer.write(data)
            buffer.flush()


def note(text: str) -> None:
    """One line on stderr, about progress or a written file."""
    Terminal.of(sys.stderr).write(f"{printable(short(text))}\n")
