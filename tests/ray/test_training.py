"""A training by workers of Ray: the curve of one process, whatever is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.cli.conftest import Wsdl
from tests.golden import ROOT
from tests.ray.conftest import kill_when, processes
from tests.runtime.training import CLASSIFY, data, in_files
from wsdl.api import compile
from wsdl.api import fit as one_process
from wsdl.ray import Workers, fit

TRAIN = ("train", "classify.wsd", "--data", "train.npz", "--eval", "test.npz", "--batch", "16", "--epochs")
WORKER = "_Worker"

pytestmark = pytest.mark.usefixtures("two_cpus")


@pytest.fixture(autouse=True)
def files(wsdl: Wsdl, tmp_path: Path) -> None:
    in_files(tmp_path, CLASSIFY.replace("block(x) |> tanh", "block(x) |> tanh |> Dropout(0.3)"))


def logged(folder: str) -> list[dict[str, Any]]:
    """The steps and evaluations of a run, without times."""
    lines = [json.loads(line) for line in Path(folder, "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def require_same(folder: str, expected: str) -> None:
    """The same steps and results, and the same weights."""
    got, wanted = logged(folder), logged(expected)
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        assert a["step"] == b["step"]
        assert a.get("loss") == pytest.approx(b.get("loss"), abs=1e-5)
        assert a.get("eval") == pytest.approx(b.get("eval"), abs=1e-5)
    weights = load_file(f"{folder}/last.safetensors")
    for name, array in load_file(f"{expected}/last.safetensors").items():
        np.testing.assert_allclose(weights[name], array, atol=1e-5, err_msg=name)


def test_the_curve_of_one_process(wsdl: Wsdl) -> None:
    assert wsdl(*TRAIN, "3", "-o", "one", "--json").code == 0
    done = wsdl(*TRAIN, "3", "-o", "two", "--workers", "2")
    assert "2 workers, 1 thread each\n" in done.err
    assert done.out.startswith("classify: 21 steps; ")
    require_same("two", "one")


def test_arrays_in_memory(wsdl: Wsdl) -> None:
    """What one process gives, from arrays that are only here."""
    assert wsdl(*TRAIN, "3", "-o", "one", "--json").code == 0
    arrays, held_out = data(), data(50, seed=1)
    found = fit("classify.wsd", arrays, Workers(2), folder="two", epochs=3, evaluation=held_out, batch=16)
    trainer = compile("classify.wsd").trainer(batch=16)
    assert found == pytest.approx(one_process(trainer, arrays, epochs=3, evaluation=held_out), abs=1e-5)
    weights = load_file("two/last.safetensors")
    for name, array in load_file("one/last.safetensors").items():
        np.testing.assert_allclose(weights[name], array, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("kill", range(int(os.environ.get("WSDL_KILLS", "1"))))
def test_a_worker_is_killed(wsdl: Wsdl, kill: int) -> None:
    """After a number of steps that is drawn, one of two; all go on from the last checkpoint."""
    assert wsdl(*TRAIN, "60", "-o", "one", "--json").code == 0
    after, log = int(np.random.default_rng(kill).integers(10, 300)), Path("two/log.jsonl")

    def has_steps() -> bool:
        return log.exists() and log.read_text().count("\n") > after

    with ThreadPoolExecutor() as pool:
        killed = pool.submit(kill_when, WORKER, has_steps, 600)
        done = wsdl(*TRAIN, "60", "-o", "two", "--workers", "2")
        assert killed.result()
    assert done.code == 0, done.err
    assert re.search(r"worker [01] was lost: the training goes on from step \d+\n", done.err), done.err
    assert "raylet" not in done.err + done.out  # Ray's own words
    require_same("two", "one")


def test_a_signal_stops_all_workers(wsdl: Wsdl) -> None:
    """After the same step, with a checkpoint, from which one process continues."""
    assert wsdl(*TRAIN, "60", "-o", "one", "--json").code == 0

    def interrupt(when: Callable[[], bool]) -> None:
        while not when():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    with ThreadPoolExecutor() as pool:
        pool.submit(interrupt, Path("two/last.safetensors").exists)
        done = wsdl(*TRAIN, "60", "-o", "two", "--workers", "2")
    assert done.code == 130
    assert "which is saved in two/last.safetensors; --resume continues it" in done.err
    assert wsdl(*TRAIN, "60", "-o", "two", "--resume", "--json").code == 0
    require_same("two", "one")


def test_ray_is_killed(wsdl: Wsdl) -> None:
    """Its process on this machine: an error, where Ray would end ours without a word."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    command = [sys.executable, "-m", "wsdl", *TRAIN, "500", "-o", "two", "--workers", "2"]
    environment["PYTHONPATH"] = str(ROOT)
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as run:
        while run.poll() is None and not Path("two/last.safetensors").exists():
            time.sleep(0.02)
        [raylet] = [child for child in children(run.pid) if b"raylet/raylet" in command_line(child)]
        os.kill(raylet, signal.SIGKILL)
        said = run.communicate(timeout=60)[1]
    assert run.returncode == 2
    assert "error[E0745]: Ray on this machine doesn't run any more: its process `raylet` was ended\n" in said


def children(process: int) -> list[int]:
    """The processes that a process has started."""
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def command_line(process: int) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()


def test_errors_of_workers(wsdl: Wsdl) -> None:
    """That of the training, once; and no process stays."""
    assert wsdl(*TRAIN, "1", "-o", "two", "--workers", "2", "--model", "other", "--json").codes == ["E0705"]
    assert wsdl(*TRAIN, "1", "-o", "two", "--workers", "2", "--json").code == 0
    assert wsdl(*TRAIN, "1", "-o", "two", "--workers", "2", "--json").codes == ["E0724"]
    until = time.monotonic() + 30
    while processes(WORKER) and time.monotonic() < until:
        time.sleep(0.1)
    assert processes(WORKER) == []
