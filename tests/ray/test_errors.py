"""What Ray says becomes an error of ours: recorded texts of Ray 2.60, without Ray."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from socket import socket

import pytest

from tests.golden import Golden
from wsdl.diagnostics.render import render
from wsdl.diagnostics.run_error import RunError
from wsdl.ray import Workers, errors
from wsdl.ray.cluster import connected, require_same, versions

GOLDEN = Path(__file__).parent / "golden" / "errors.txt"
REFUSED = "gcs_client.cc:210: Failed to get cluster ID from GCS server: Unauthenticated: RPC error: InvalidAuthToken"
MISMATCH = """Version mismatch: The cluster was started with:
    Ray: 2.60.0
    Python: 3.11.7
This process on node 10.0.0.5 was started with:
    Ray: 2.50.0
    Python: 3.11.7
"""
HERE = {"python": "3.11.7", "ray": "2.60.0", "wsdl": "0.9.0"}


def of_ray(name: str, text: str, base: str = "RayError") -> Exception:
    """An exception as Ray raises it."""
    parent = type(base, (Exception,), {})
    error: Exception = type(name, (parent,), {})(text)
    return error


def joining(error: Exception, log: str = "") -> RunError:
    return errors.not_connected(error, log, address="10.0.0.5:6379")


def losing(error: Exception, what: str = "the worker of rows 0 to 16,383 of rows.parquet") -> RunError:
    failure = errors.lost(error, what)
    assert failure is not None
    return failure


CASES: dict[str, Callable[[], RunError]] = {
    "not installed": errors.not_installed,
    "not installed for a training": lambda: errors.not_installed("xgboost"),
    "nobody listens": lambda: errors.no_cluster("10.0.0.5:6379", "connection refused"),
    "not a cluster": lambda: joining(ConnectionError("Failed to connect to Ray cluster at 10.0.0.5:6379")),
    "none on this machine": lambda: errors.not_connected(
        ConnectionError("Could not find any running Ray instance. Please specify the one to connect to."),
        "",
        address="auto",
    ),
    "another token": lambda: joining(ConnectionError("Failed to connect to Ray cluster"), REFUSED),
    "no token": lambda: joining(
        of_ray("AuthenticationError", "Token authentication is enabled but no authentication token was found. Ensure")
    ),
    "another version of Ray": lambda: joining(RuntimeError(MISMATCH)),
    "another version on one machine": lambda: errors.different_versions(
        {**HERE, "wsdl": "", "python": "3.12.1"}, "the machine 10.0.0.7", HERE
    ),
    "does not start": lambda: errors.not_started(RuntimeError("The current node timed out during startup.\nmore")),
    "too few CPUs": lambda: errors.too_few_cpus(4, 2, 6, 4),
    "too few CPUs on each machine": lambda: errors.too_few_cpus(2, 8, 0, 4),
    "no CPU for reading": lambda: errors.no_cpu_for_reading(2, 1, 2),
    "no CPU for reading at all": lambda: errors.no_cpu_for_reading(1, 2, 2),
    "out of memory": lambda: losing(
        of_ray("OutOfMemoryError", "Task was killed due to the node running low on memory.")
    ),
    "Ray is killed": lambda: errors.ended("raylet"),
    "crashed": lambda: losing(of_ray("WorkerCrashedError", "The worker died unexpectedly while executing this task.")),
}


def test_what_is_said(golden: Golden) -> None:
    golden(GOLDEN, "".join(f"--- {name}\n{render(case().diagnostics)}\n" for name, case in CASES.items()))


def test_a_bug_of_a_task_is_not_a_lost_worker() -> None:
    assert errors.lost(ValueError("a bug"), "the worker") is None


def test_the_versions_of_this_process_are_the_same() -> None:
    require_same(versions(), {"10.0.0.7": versions()})
    with pytest.raises(RunError, match="E0742"):
        require_same(versions(), {"10.0.0.7": versions(), "10.0.0.8": {**versions(), "numpy": "1.0"}})


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("head", "an address is written `host:6379`"),
        ("head:http", "an address is written `host:6379`"),
        ("ray://head:10001", "which is not supported"),
        ("no-such-machine.invalid:6379", "no machine of this name is known"),
        ("127.0.0.1:{free}", "connection refused"),
    ],
)
def test_an_address_is_tried_before_ray_waits(address: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsdl.ray.cluster.find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "ray", None)  # nothing of Ray may be imported
    with socket() as taken:
        taken.bind(("127.0.0.1", 0))  # doesn't listen
        address = address.format(free=taken.getsockname()[1])
        with pytest.raises(RunError) as caught, connected(Workers(2, cluster=address)):
            pass
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == "E0741"
    assert reason in diagnostic.message
