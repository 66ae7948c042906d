"""Faults at random moments of a training by two workers: `make faults` has twenty of each kind.

The command ends well, or says in our words why it ended; `--resume`, or the command once more where there is no
checkpoint yet, then ends with the curve and the weights of a training that nothing has disturbed. No file is broken,
and no process stays.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from tests.golden import ROOT
from tests.ray.conftest import require_same
from tests.runtime.training import CLASSIFY, in_files

TIMES = int(os.environ.get("WSDL_FAULTS", "1"))  # of each kind
TRAIN = ("train", "classify.wsd", "--data", "train.npz", "--eval", "test.npz", "--batch", "16", "--epochs", "50")
STEPS = 350
MARK = "WSDL_FAULT"  # in the environment of all processes of a run
PATIENCE = 120.0

RAISE = """\
# In each process of a run: after SIGUSR1 the thread that trains has an exception, wherever it is.
import ctypes
import signal
import sys


def fail(*_):
    for thread, frame in sys._current_frames().items():
        while frame is not None and frame.f_code.co_qualname != "_Worker.train":
            frame = frame.f_back
        if frame is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(ArithmeticError))


signal.signal(signal.SIGUSR1, fail)
"""


class Run:
    """`wsdl train --workers 2` in a folder; what it writes is in `run`."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.mark = os.urandom(8).hex()
        (folder / "hooks").mkdir(exist_ok=True)
        (folder / "hooks/sitecustomize.py").write_text(RAISE)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        environment |= {"PYTHONPATH": f"{folder / 'hooks'}:{ROOT}", MARK: self.mark}
        command = [sys.executable, "-m", "wsdl", *TRAIN, "-o", "run", "--workers", "2", *arguments]
        self.log = folder / "run/log.jsonl"
        self.process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while self.process.poll() is None and not condition():
            assert time.monotonic() < until
            time.sleep(0.005)

    def has_steps(self, count: int) -> bool:
        return self.log.exists() and self.log.read_bytes().count(b'"loss"') >= count

    def processes(self, title: str = "") -> list[int]:
        """The processes of this run whose command line has this in it."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended
                if f"{MARK}={self.mark}" in (path / "environ").read_text(errors="replace"):
                    line = (path / "cmdline").read_bytes().decode(errors="replace")
                    found += [int(path.name)] if title in line else []
        return sorted(found)

    def end(self) -> tuple[int, str]:
        """The exit code and what was said, once no process is left."""
        said = self.process.communicate(timeout=PATIENCE)[1]
        until = time.monotonic() + 30
        while self.processes() and time.monotonic() < until:
            time.sleep(0.1)
        assert self.processes() == []
        return self.process.returncode, said


# -- what is done to a run ---------------------------------------------------------------------------------------------


def signal_worker(run: Run, number: int, which: int) -> None:
    workers = run.processes("ray::_Worker")
    os.kill(workers[which % len(workers)], number)


def kill_worker(run: Run, which: int) -> None:
    signal_worker(run, signal.SIGKILL, which)


def raise_in_worker(run: Run, which: int) -> None:
    signal_worker(run, signal.SIGUSR1, which)


def kill_raylet(run: Run, which: int) -> None:
    os.kill(run.processes("raylet/raylet")[0], signal.SIGKILL)


def interrupt(run: Run, which: int) -> None:
    run.process.send_signal(signal.SIGINT)


def fill_disk(run: Run, which: int) -> None:
    with suppress(OSError), (run.log.parent / "fill").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 10))


@dataclass(frozen=True)
class Fault:
    """What is done, and how the command ends: an exit code, and what is said."""

    do: Callable[[Run, int], None]
    code: int
    said: str


GOES_ON = r"the training (goes on from step \d+|begins again)\n"
FAULTS = {
    "worker-killed": Fault(kill_worker, 0, rf"worker [01] was lost: {GOES_ON}"),
    "exception": Fault(raise_in_worker, 0, rf"worker [01] failed \(ArithmeticError\): {GOES_ON}"),
    "raylet-killed": Fault(kill_raylet, 2, r"error\[E0745\]: Ray on this machine doesn't run any more: its process "),
    "interrupted": Fault(interrupt, 130, r"--resume continues it"),
    "full-disk": Fault(fill_disk, 2, r"error\[E0\d+\]: .*[Nn]o space left"),
}


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of its own, which is soon full."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no file system can be mounted: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture(scope="module")
def undisturbed(with_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training by one process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_files(folder)
    subprocess.run(
        [sys.executable, "-m", "wsdl", *TRAIN, "-o", "run", "--json"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )
    return folder / "run"


def write_files(folder: Path) -> None:
    in_files(folder, CLASSIFY.replace("block(x) |> tanh", "block(x) |> tanh |> Dropout(0.3)"))


@pytest.mark.parametrize("time", range(TIMES))
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault(name: str, time: int, undisturbed: Path, tmp_path: Path) -> None:
    fault, rng = FAULTS[name], np.random.default_rng([time, *name.encode()])
    after = int(rng.integers(0, STEPS - 50))
    write_files(tmp_path)
    with small_disk(tmp_path / "run"):
        run = Run(tmp_path)
        run.wait_for(lambda: run.has_steps(after) and len(run.processes("ray::_Worker")) > 1)
        fault.do(run, int(rng.integers(2)))
        code, said = run.end()
        assert "Traceback" not in said
        assert (code, bool(re.search(fault.said, said))) == (fault.code, True), said
        (tmp_path / "run/fill").unlink(missing_ok=True)
        if code:
            has_begun = (tmp_path / "run/last.safetensors").exists()
            code, said = Run(tmp_path, "--resume" if has_begun else "--replace").end()
            assert code == 0, said
        require_same(tmp_path / "run", undisturbed)
        names = {path.name for path in (tmp_path / "run").iterdir()}
        assert names == {path.name for path in undisturbed.iterdir()}  # nothing half-written
        for path in (tmp_path / "run").glob("*.safetensors"):
            safe_open(path, "numpy")
