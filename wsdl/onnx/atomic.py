"""Files that are either whole or not there: written beside their place, then moved onto it."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TypeAlias

MODE = 0o644  # of a new file; one that is replaced keeps its own
Writer: TypeAlias = Callable[[BinaryIO], None]


def holding(data: bytes) -> Writer:
    """The writer of a file with these contents."""

    def write(file: BinaryIO) -> None:
        file.write(data)

    return write


def write_files(writers: Mapping[Path, Writer]) -> None:
    """Write all of the files or none: each into a temporary one in the same folder, with its data on the disk, and only
    when all are complete do they take their places (the last first, so that a file comes before what points at it)."""
    done: dict[Path, str] = {}
    try:
        for path, write in writers.items():
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, done[path] = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
            with os.fdopen(descriptor, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(done[path], _mode(path))
        for path in reversed(done):
            os.replace(done[path], path)
    except BaseException:
        for part in done.values():
            with suppress(OSError):
                os.unlink(part)
        raise
    for folder in {path.parent for path in done}:
        _sync_folder(folder)


def write_file(path: str | Path, write: Writer) -> None:
    """Write one file, whole or not at all."""
    write_files({Path(path): write})


def _mode(path: Path) -> int:
    with suppress(OSError):
        return stat.S_IMODE(path.stat().st_mode)
    return MODE


def _sync_folder(folder: Path) -> None:
    """So that the new name survives a loss of power as well; not every system can open a folder."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
