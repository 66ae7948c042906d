"""Reading sources from files."""

from __future__ import annotations

from pathlib import Path

from wsdl.diagnostics import CompileError, Diagnostic, limits
from wsdl.diagnostics.span import Source


def read(path: str, imported: bool = False) -> Source | None:
    """The source in a file, or `None` if there is no such file. Raises `CompileError` if it can't be read as text.

    The path may be a pipe, unless it is `imported`: reading must not wait for a writer.
    """
    data = b""
    try:
        if imported and Path(path).exists() and not Path(path).is_file():
            raise CompileError([Diagnostic("E0701", "this is not a file", file=path)])
        with open(path, "rb") as file:
            data = file.read(limits.SOURCE_BYTES + 1)
        if len(data) > limits.SOURCE_BYTES:
            raise CompileError([too_much_text(path)])
        return Source(path, data.decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        problem = f"the file is not UTF-8 text (byte {error.start}, line {line})"
        raise CompileError([Diagnostic("E0702", problem, file=path, help="save it as UTF-8")]) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CompileError([Diagnostic("E0701", f"the file can't be read: {reason}", file=path)]) from None


def read_import(path: str) -> Source | None:
    """The source in an imported file, or `None` if there is no such file."""
    return read(path, imported=True)


def too_much_text(path: str) -> Diagnostic:
    message = f"the file has more than {limits.SOURCE_BYTES:,} bytes"
    return Diagnostic("E0701", message, file=path, help="store weights in a .safetensors file and `load` it")
