"""One training at a time in a folder: two would mix their checkpoints and logs without an error.

The system holds the lock and releases it when the process ends, in whatever way; the file `.lock`, which names the
process, may outlive it and is taken over.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wsdl.diagnostics.run_error import RunError, fail

LOCK = ".lock"
_UNABLE = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)  # file systems without locks: then there is none


@contextmanager
def alone_in(folder: Path | None, work: str = "training") -> Iterator[None]:
    """Hold the lock of a folder, which is created if missing. Raises `RunError` (E0725) if another process holds it,
    with a word for what that does (`work`). A new folder that stays empty is removed again."""
    if folder is None:
        yield
        return
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    try:
        descriptor = _acquire(path, work)
        try:
            _write_holder(descriptor)
            yield
        finally:
            with suppress(OSError):  # first the name, then the lock: a waiting process sees that the file is gone
                path.unlink()
            os.close(descriptor)
            with suppress(OSError):  # a system that can't remove an open file
                path.unlink(missing_ok=True)
    finally:
        with suppress(OSError):
            for parent in missing:
                parent.rmdir()


def _acquire(path: Path, work: str) -> int:
    """The open file with the lock on it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(descriptor)
        except OSError as error:
            held = None if error.errno in _UNABLE else _held(path, work, descriptor, error)
            if held is None:
                return descriptor
            os.close(descriptor)
            raise held from None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(path), os.fstat(descriptor)):
                return descriptor
        os.close(descriptor)  # its holder has just ended, and removed the file


def _lock(descriptor: int) -> None:
    """Raises `OSError` if another process holds the lock."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # after the text, which others may read
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _write_holder(descriptor: int) -> None:
    holder = {"pid": os.getpid(), "host": platform.node(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps(holder).encode())


def _held(path: Path, work: str, descriptor: int, error: OSError) -> RunError | OSError:
    """The error for a lock that another process holds."""
    if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
        return error
    try:
        holder = json.loads(os.read(descriptor, 1000))
        pid, host, since = int(holder["pid"]), str(holder["host"]), str(holder["since"])
    except (OSError, ValueError, KeyError, TypeError):
        who, help = "another process", "wait until it ends, or choose another folder"
    else:
        who = f"process {pid}{'' if host == platform.node() else f' on {host}'}, since {since}"
        help = f"wait until it ends, stop it (`kill {pid}` lets it save first), or choose another folder"
    return fail("E0725", f"another {work} is writing to this folder: {who}", file=str(path.parent), help=help)
