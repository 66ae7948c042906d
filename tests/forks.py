"""Commands in processes with little memory, each forked from one in which everything is imported: a second saved.

`python -m tests.forks` reads on each line of stdin a folder and the arguments of a command, and writes the
number of its process, and when it has ended `{"status": 1, "seconds": 0.2}`, where seconds are those of CPU. The output
of the command is in the folder's `said.txt`.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[1]
MEMORY = 2 << 30  # bytes of addresses
SECONDS = 60  # the slowest takes 15 on a busy machine
SAID = "said.txt"
IMPORTED = ("wsdl.cli.check", "wsdl.cli.compile", "wsdl.cli.explain", "wsdl.cli.fmt", "wsdl.onnx.emit")
FOR_TRAINING = ("wsdl.cli.train", "wsdl.runtime.fit", "wsdl.reporting.curve", "matplotlib.figure", "onnxruntime")


class Forks:
    """Starts the process from which commands are forked."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", __name__]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, folder: Path, *arguments: str) -> tuple[int, str, float]:
        """The exit code of the command in a folder (negative: the signal that ended it), all that it says, and the
        seconds of CPU that it took."""
        self.start(folder, *arguments)
        return self.wait(folder)

    def start(self, folder: Path, *arguments: str) -> int:
        """Start a command in a folder, of which `wait` must be called before the next; the number of its process."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([str(folder), *arguments]) + "\n")
        self.process.stdin.flush()
        number: int = self._answer()
        return number

    def wait(self, folder: Path) -> tuple[int, str, float]:
        """What `run` returns, of the command that was started in this folder."""
        done = self._answer()
        return done["status"], (folder / SAID).read_text("utf-8", "replace"), done["seconds"]

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate()


def serve() -> None:
    for line in sys.stdin:
        folder, *arguments = json.loads(line)
        for module in FOR_TRAINING if arguments[0] == "train" else IMPORTED:
            import_module(module)
        if not (child := os.fork()):
            _command(folder, arguments)
        print(child, flush=True)
        _, ended, usage = os.wait4(child, 0)
        answer = {"status": os.waitstatus_to_exitcode(ended), "seconds": usage.ru_utime + usage.ru_stime}
        print(json.dumps(answer), flush=True)


def _command(folder: str, arguments: list[str]) -> NoReturn:
    """The child: never returns to the loop of its parent."""
    from wsdl.__main__ import main

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.alarm(SECONDS)
    os.chdir(folder)
    said = os.open(SAID, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, stream in (nothing, 0), (said, 1), (said, 2):
        os.dup2(descriptor, stream)
    sys.argv = ["wsdl", *arguments]
    status = 1
    try:
        main()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
