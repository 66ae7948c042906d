"""Where the tests with Ray run: in a network namespace in which only the loopback is up, which `make ray` makes."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.cli.conftest import wsdl as wsdl


def reason() -> str | None:
    """Why tests can't run with Ray here; `None` if they can."""
    if find_spec("ray") is None:
        return "ray is not installed: `make ray` installs it"
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        return "Ray listens on the network: `make ray` runs this in a network namespace"
    return None


@pytest.fixture(scope="session")
def with_ray() -> None:
    """Skips what needs Ray where it can't run."""
    why = reason()
    if why is not None:
        pytest.skip(why)


@pytest.fixture(scope="session")
def two_cpus(with_ray: None) -> Iterator[Any]:
    """The module `ray`, with a local instance of two CPUs, which the tests of a session share. Ray has been imported
    before, as by a program of one's own."""
    from wsdl.ray.cluster import Request, connected

    import_module("ray")
    with connected(Request(2)) as ray:
        yield ray


def processes(title: str) -> list[int]:
    """The processes that run a task with this name: Ray gives them the title `ray::NAME`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(f"ray::{title}".encode()):
                found.append(int(path.parent.name))
        except OSError:  # it has ended
            continue
    return found


def kill_when(title: str, condition: Callable[[], bool], seconds: float = 60) -> int:
    """Kill a process with a task, as soon as the condition holds; returns its id."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition() and (found := processes(title)):
            os.kill(found[0], signal.SIGKILL)
            return found[0]
        time.sleep(0.01)
    raise TimeoutError(title)


def logged(folder: Path) -> list[dict[str, Any]]:
    """The steps and evaluations of a run, without times."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def require_same(folder: Path, expected: Path) -> None:
    """The same steps and results, and the same weights."""
    got, wanted = logged(folder), logged(expected)
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        assert a["step"] == b["step"]
        assert a.get("loss") == pytest.approx(b.get("loss"), abs=1e-5)
        assert a.get("eval") == pytest.approx(b.get("eval"), abs=1e-5)
    weights = load_file(folder / "last.safetensors")
    for name, array in load_file(expected / "last.safetensors").items():
        np.testing.assert_allclose(weights[name], array, atol=1e-5, err_msg=name)
