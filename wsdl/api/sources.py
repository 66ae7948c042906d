"""Reads the text of a program from a path or from stdin, and reports files that are missing or of another kind."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from wsdl import atomic
from wsdl.diagnostics import CompileError, Diagnostic, limits
from wsdl.diagnostics.span import Source
from wsdl.diagnostics.suggest import nearest
from wsdl.syntax.read import read, too_much_text

STDIN = "-"
_OTHERS = (".onnx", ".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".npz", ".npy", ".csv", ".parquet", ".py")


def read_source(path: str | os.PathLike[str]) -> Source:
    """The text of a file, or of stdin for `-`. Raises `CompileError` if it doesn't exist or can't be read."""
    name = os.fspath(path)
    if name == STDIN:
        return _stdin()
    require(name)
    if Path(name).suffix.lower() in _OTHERS:
        raise _other_kind(name)
    source = read(name)
    assert source is not None
    return source


def require(path: str | os.PathLike[str]) -> None:
    """Raises `CompileError` if there is no such file, and suggests the nearest name; `-` is stdin."""
    name = os.fspath(path)
    if name != STDIN and not os.path.exists(name):
        folder = os.path.dirname(name)
        others = os.listdir(folder or ".") if os.path.isdir(folder or ".") else []
        close = nearest(os.path.basename(name), others)
        help = f"did you mean `{os.path.join(folder, close)}`?" if close else deleted_folder(name)
        raise CompileError([Diagnostic("E0701", "there is no such file", file=name, help=help)])


def deleted_folder(path: str) -> str | None:
    """The help where a relative path leads nowhere, as the current folder was deleted."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return None if os.path.isabs(path) else "the current folder was deleted: change into another one"
    return None


def require_file(path: str | os.PathLike[str]) -> None:
    """Raises `CompileError` if the path isn't a regular file but missing, a folder, a pipe or a device."""
    require(path)
    if not os.path.isfile(path):
        raise CompileError([Diagnostic("E0701", "this is not a file", file=os.fspath(path))])


def write_files(contents: Mapping[str | os.PathLike[str], bytes]) -> None:
    """Write files atomically: all of them or none."""
    atomic.write_files({Path(path): atomic.holding(data) for path, data in contents.items()})


def program_in(path: str | os.PathLike[str] | Source) -> Source:
    """The text of a program. A file with the suffix of another kind is rejected before it is read."""
    if isinstance(path, Source):
        return path
    suffix = Path(path).suffix.lower()
    if suffix in ("", ".wsd"):
        return read_source(path)
    raise _other_kind(os.fspath(path))


def _other_kind(path: str) -> CompileError:
    message = f"a {Path(path).suffix.lower()} file isn't a program"
    help = "programs are .wsd files, models .onnx files, weights .safetensors, .pt and .npz files"
    return CompileError([Diagnostic("E0708", message, file=path, help=help)])


def _stdin() -> Source:
    if sys.stdin is None:
        raise CompileError([Diagnostic("E0701", "stdin is closed", file="<stdin>")])
    data = sys.stdin.buffer.read(limits.SOURCE_BYTES + 1)
    if len(data) > limits.SOURCE_BYTES:
        raise CompileError([too_much_text("<stdin>")])
    try:
        return Source("<stdin>", data.decode("utf-8"))
    except UnicodeDecodeError as error:
        message = f"the text on stdin is not UTF-8 (byte {error.start})"
        raise CompileError([Diagnostic("E0702", message, file="<stdin>")]) from None


def source_of(path_or_source: str | os.PathLike[str] | Source) -> Source:
    """A source from text or a path; text is recognized by line breaks or braces."""
    if isinstance(path_or_source, Source):
        return path_or_source
    if isinstance(path_or_source, str) and ("\n" in path_or_source or "{" in path_or_source):
        return Source("<text>", path_or_source)
    return read_source(path_or_source)
