"""Atomic writing: files are written under a temporary name in the same folder, then renamed."""

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
    """Write all files or none: each to a temporary file in the same folder, synced to disk; when all are complete they
    are renamed, in reverse order, so that a file exists before the files that refer to it."""
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
    """Rename all without interruption: signals are deferred, and so is freeing the replaced files, which for large
    files takes far longer than renaming. (If the process is killed in this moment, some files are new and some old,
    each of them complete.)"""
    old = [f"{part}.old" for part in parts.values()]
    for path, replaced in zip(parts, old, strict=True):
        with suppress(OSError):  # no such file, or no support for links
            os.link(path, replaced)
    with _no_signals():
        for path in reversed([*parts]):
            os.replace(parts[path], path)
    for replaced in old:
        with suppress(OSError):
            os.unlink(replaced)


@contextmanager
def _no_signals() -> Iterator[None]:
    """Defer signals that would end the process."""
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
    """Write one file atomically."""
    write_files({Path(path): write})


def _mode(path: Path) -> int:
    with suppress(OSError):
        return stat.S_IMODE(path.stat().st_mode)
    return MODE


def _sync_folder(folder: Path) -> None:
    """Sync a folder, so that new names survive a power failure; not every system can open a folder."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
