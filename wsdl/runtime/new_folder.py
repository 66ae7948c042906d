"""A folder that appears when it is complete: until then its files are in a hidden folder beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wsdl.atomic import remove_leftovers
from wsdl.diagnostics.run_error import fail
from wsdl.runtime.folder_lock import alone_in

CONTENTS, OLD = "contents", "old"


def require_new(path: Path, *, replace: bool, pattern: str) -> None:
    """Raises `RunError` (E0724) if something is at the path that may not be replaced: without `replace` anything but an
    empty folder, with it anything but a folder whose files all match `pattern`."""
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise fail("E0724", "this is not a folder", file=str(path), help="choose another name for the output folder")
    files = [*path.iterdir()]
    if any(not file.match(pattern) for file in files):
        raise fail(
            "E0724", f"this folder holds other files than {pattern}", file=str(path), help="choose another folder"
        )
    if files and not replace:
        raise fail("E0724", "this folder already holds results", file=str(path), help="`--replace` replaces them")


@contextmanager
def new_folder(path: Path, *, replace: bool, pattern: str) -> Iterator[Path]:
    """A folder to write into, which is renamed to `path` at the end; on an exception nothing is left of it. What it
    replaces is as `require_new` says."""
    require_new(path, replace=replace, pattern=pattern)
    hidden = path.parent / f".{path.name}.part"
    contents, old = hidden / CONTENTS, hidden / OLD
    try:
        with alone_in(hidden, "run"):
            try:
                _remove(contents, old)  # of a process that was killed
                contents.mkdir()
                yield contents
                remove_leftovers(contents)
                require_new(path, replace=replace, pattern=pattern)
                if path.exists():
                    path.rename(old)
                contents.rename(path)
            finally:
                _remove(contents, old)
    finally:
        with suppress(OSError):  # another process holds it
            hidden.rmdir()


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
