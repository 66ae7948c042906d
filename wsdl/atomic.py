"""Atomic writing: files are written under a temporary name beside their path, then renamed."""

from __future__ import annotations

import errno
import os
import signal
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
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
    when all are complete are they renamed (the last first, so that a file comes before what points at it)."""
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
        _put_in_place(done)
    except BaseException:
        for part in done.values():
            for left in (part, f"{part}.old"):
                with suppress(OSError):
                    os.unlink(left)
        raise
    for folder in {path.parent for path in done}:
        _sync_folder(folder)


def _put_in_place(parts: Mapping[Path, str]) -> None:
    """Rename all, with nothing in between: no signal, and no time for what is replaced to be freed, which
    for large files takes far longer than the moving. (Who kills the process just then may find new files beside old
    ones, each of them whole.)"""
    old = [f"{part}.old" for part in parts.values()]
    for path, replaced in zip(parts, old, strict=True):
        with suppress(OSError):  # there is none, or the system has no links
            os.link(path, replaced)
    with _no_signals():
        for path in reversed([*parts]):
            os.replace(parts[path], path)
    for replaced in old:
        with suppress(OSError):
            os.unlink(replaced)


@contextmanager
def _no_signals() -> Iterator[None]:
    """Signals that would stop the process wait until the end."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote into a folder."""
    for pattern in (".*.part", ".*.part.old"):
        for left in folder.glob(pattern):
            left.unlink(missing_ok=True)


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
