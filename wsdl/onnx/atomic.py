"""Files that are either whole or not there: written beside their place, then moved onto it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

MODE = 0o644


def write_files(writers: Mapping[Path, Callable[[BinaryIO], None]]) -> None:
    """Write all of the files or none: each into a temporary one in the same folder, with its data on the disk, and only
    when all are complete do they take their places (the last first, so that a file comes before what points at it)."""
    done: dict[Path, str] = {}
    try:
        for path, write in writers.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, done[path] = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
            with os.fdopen(descriptor, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(done[path], MODE)
        for path in reversed(done):
            os.replace(done[path], path)
    except BaseException:
        for part in done.values():
            with suppress(OSError):
                os.unlink(part)
        raise
    for folder in {path.parent for path in done}:
        _sync_folder(folder)


def write_file(path: str | Path, write: Callable[[BinaryIO], None]) -> None:
    """Write one file, whole or not at all."""
    write_files({Path(path): write})


def _sync_folder(folder: Path) -> None:
    """So that the new name survives a loss of power as well; not every system can open a folder."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
