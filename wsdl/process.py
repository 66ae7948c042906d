"""The process of a command: signals and standard streams.

It only imports modules that Python has loaded at start, so that it is active before the command is imported.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from importlib.machinery import ExtensionFileLoader
from types import FrameType
from typing import Any, NoReturn, TextIO, cast

INTERRUPTED = 130
GARBAGE = 100_000  # new objects between two garbage collections: most objects live until the process ends
_received = 0  # the first signal received


def run(command: Callable[[], int]) -> NoReturn:
    """Run a command and end the process with its exit code, or with 128 and the number of a signal.

    A signal becomes an exception, so that no incomplete file is left; a second one ends the process at once. Failures
    to write to stderr are ignored: the work and the exit code don't depend on it.
    """
    gc.set_threshold(GARBAGE)
    _open_missing()
    for number in _signals():
        signal.signal(number, _receive)
    sys.excepthook, sys.unraisablehook = _shown, _unless_received
    try:
        code = command()
    except KeyboardInterrupt:
        code = interrupted()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    for number in _signals():
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()  # the interpreter would search all objects for garbage several times while it ends, which takes 40 ms
    sys.exit(128 + _received if _received else code)


def received() -> int:
    """The number of the signal received, 0 for none. Handlers of exceptions must check it, since C code can replace or
    drop the exception of a signal."""
    return _received


def interrupted() -> int:
    """Report the signal on stderr; returns the exit code."""
    if sys.stderr is not None:
        sys.stderr.write("interrupted\n")
    return INTERRUPTED


# -- signals -----------------------------------------------------------------------------------------------------------


def _signals() -> list[signal.Signals]:
    """The signals that ask a process to end, without those that are ignored since its start (`nohup`, `&`)."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    signals = [signal.Signals[name] for name in names if name in signal.Signals.__members__]
    return [number for number in signals if signal.getsignal(number) != signal.SIG_IGN]


def _receive(number: int, frame: FrameType | None) -> None:
    global _received
    if _received:
        os._exit(128 + number)
    if _loads_an_extension(frame):
        _again_later(number)
        return
    _received = number
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


def _loads_an_extension(frame: FrameType | None) -> bool:
    """Whether an extension module is being initialized. Some call Python then (for an `enum`), and abort on
    exceptions."""
    while frame is not None:
        is_loading = frame.f_code.co_name in ("create_module", "exec_module")
        if is_loading and isinstance(frame.f_locals.get("self"), ExtensionFileLoader):
            return True
        frame = frame.f_back
    return False


def _again_later(number: int) -> None:
    from threading import Timer

    timer = Timer(0.01, os.kill, (os.getpid(), number))
    timer.daemon = True
    timer.start()


def _shown(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if not _received:
        sys.__excepthook__(kind, error, trace)


def _unless_received(problem: Any) -> None:
    """A hook for exceptions in destructors, where those of signals also arrive."""
    if not _received:
        sys.__unraisablehook__(problem)


# -- streams -----------------------------------------------------------------------------------------------------------


def _open_missing() -> None:
    """Open the file descriptors 0 to 2 if they are closed: otherwise the next opened file would get one of them, and
    the output of libraries would go into it."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - open until the end
    sys.stderr = cast(TextIO, _LossyStream(sys.stderr))


class _LossyStream:
    """A stream that ignores failures to write."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
