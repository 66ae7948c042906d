"""Connecting to a Ray cluster, or starting Ray on this machine for as long as a command runs.

A local instance needs no configuration: it listens on the loopback interface only, has a token of its own, sends no
usage statistics, and leaves neither a process nor a file.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from typing import IO, Any

from wsdl.diagnostics.run_error import RunError, fail
from wsdl.options import COUNT, NAME, Optional, settle
from wsdl.ray import errors

LOCAL = "local"
LONGEST = 25  # bytes of the path of a folder for temporary files
CONNECT_SECONDS = 5.0
PACKAGES = (
    "ray",
    "wsdl",
    "onnxruntime",
    "numpy",
    "xgboost",
    "xgboost-cpu",
)  # whose versions must be the same on every machine
NEEDED = ("gcs_server", "raylet")  # processes of Ray
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # the default of Windows and macOS: only 127.0.0.1 listens


@dataclass(frozen=True)
class Request:
    """`count` workers with `threads` CPUs each, on the cluster at an address; by default on this machine."""

    count: int
    threads: int = 1
    cluster: str | None = None

    def __post_init__(self) -> None:
        settle(self, count=COUNT, threads=COUNT, cluster=Optional(NAME))

    @property
    def address(self) -> str:
        """The address of the cluster, or `local`."""
        return self.cluster or os.environ.get("RAY_ADDRESS") or LOCAL


@contextmanager
def connected(workers: Request) -> Iterator[Any]:
    """The module `ray`, connected to the cluster of the workers, which has CPUs for all of them. Raises `RunError`s
    with E0740 to E0744."""
    if find_spec("ray") is None:
        raise errors.not_installed()
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        _require(ray, workers)
        yield ray
    elif workers.address == LOCAL:
        with _local(workers.count * workers.threads) as ray:
            yield ray
    else:
        with _joined(workers.address) as ray:
            _require(ray, workers)
            yield ray


@contextmanager
def _local(cpus: int) -> Iterator[Any]:
    """An instance on this machine. `cpus` is the number of CPUs that Ray counts, which may be more than the cores."""
    folder = tempfile.mkdtemp(prefix="wsdl-", dir=_temporary())
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _token()}
    how = {"num_cpus": cpus, "include_dashboard": False, "_temp_dir": folder}
    try:
        with _environment({**SETTINGS, **LOOPBACK, **token}), _session(LOCAL, errors.not_started, **how) as ray:
            yield ray
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _temporary() -> str:
    """The folder for temporary files, or `/tmp` if its path is too long: those of sockets have at most 103 bytes, of
    which Ray takes 78."""
    folder = tempfile.gettempdir()
    return "/tmp" if len(os.fsencode(folder)) > LONGEST and os.path.isdir("/tmp") else folder


@contextmanager
def _joined(address: str) -> Iterator[Any]:
    """A running cluster."""
    if address != "auto":
        _require_listener(address)
    with _environment(SETTINGS), _session(address, partial(errors.not_connected, address=address)) as ray:
        yield ray


@contextmanager
def _session(address: str, failure: Callable[[Exception, str], RunError], **how: Any) -> Iterator[Any]:
    """Connect, and disconnect at the end. `failure` makes an error of an exception and what Ray has logged."""
    ray = import_module("ray")
    read_settings(import_module("ray._raylet"))
    try:
        with _undisturbed() as log, _silent(import_module("ray._private.worker")):
            try:
                ray.init(address=address, log_to_driver=False, logging_level="ERROR", **how)
            except Exception as error:  # Ray has no common class for them
                log.seek(0)
                raise failure(error, log.read()) from error
        yield ray
    finally:
        ray.shutdown()


def _require_listener(address: str) -> None:
    """Raises `RunError` where nothing listens at `host:port`; Ray would wait for half a minute, and not say why."""
    host, colon, port = address.rpartition(":")
    if "://" in address:
        help = "run the command on a machine of the cluster, with an address like `host:6379`, or `auto`"
        raise fail("E0741", f"`{address}` is an address of Ray Client or of jobs, which is not supported", help=help)
    if not colon or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise errors.no_cluster(address, "an address is written `host:6379`")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except socket.gaierror:
        raise errors.no_cluster(address, "no machine of this name is known") from None
    except TimeoutError:
        raise errors.no_cluster(address, f"no answer within {CONNECT_SECONDS:g} seconds") from None
    except OSError as error:
        raise errors.no_cluster(address, (error.strerror or str(error)).lower()) from None


# -- before anything is started there ----------------------------------------------------------------------------------


def _require(ray: Any, workers: Request) -> None:
    """Raises `RunError` if the cluster has too few CPUs, or other versions."""
    require_cpus(ray, workers)
    addresses = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    require_same(versions(), _versions_on(ray, addresses))


def require_cpus(ray: Any, workers: Request) -> int:
    """The number of CPUs of the cluster. Raises `RunError` (E0744) if the workers don't all find room on machines."""
    cpus = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    if sum(each // workers.threads for each in cpus) < workers.count:
        raise errors.too_few_cpus(workers.count, workers.threads, sum(cpus), max(cpus, default=0))
    return sum(cpus)


def require_same(here: dict[str, str], there: Mapping[str, dict[str, str]]) -> None:
    """Raises `RunError` if versions on a machine, by its address, differ."""
    for address, found in there.items():
        if found != here:
            raise errors.different_versions(found, f"the machine {address}", here)


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that must be the same everywhere; empty for one that is missing."""
    return _reader(PACKAGES)()


def _reader(packages: Sequence[str]) -> Callable[[], dict[str, str]]:
    """A function that reads versions. As an inner function it is sent with its code, so wsdl needn't be there."""

    def read() -> dict[str, str]:
        import platform
        from importlib.metadata import PackageNotFoundError, version

        found = {"python": platform.python_version()}
        for name in packages:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = ""
        return found

    return read


def _versions_on(ray: Any, addresses: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The versions by the address of each machine; `addresses` are by Ray's ids of the machines."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    read = ray.remote(num_cpus=0)(_reader(PACKAGES))
    places = {id: NodeAffinitySchedulingStrategy(id, soft=False) for id in addresses}
    references = {addresses[id]: read.options(scheduling_strategy=place).remote() for id, place in places.items()}
    return {address: ray.get(reference) for address, reference in references.items()}


def require_running(ray: Any) -> None:
    """Raises `RunError` (E0745) if a process of an instance on this machine was killed: Ray would end this one soon,
    and not say why."""
    node = ray._private.worker._global_node
    for name, _ in [] if node is None else node.dead_processes():
        if name in NEEDED:
            raise errors.ended(name)


# -- the process that connects -----------------------------------------------------------------------------------------


@cache
def _token() -> str:
    """The token of this process's own instances."""
    return secrets.token_hex(32)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment for a time; those that have a value keep it."""
    added = variables.keys() - os.environ.keys()
    os.environ.update({name: variables[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def read_settings(raylet: Any) -> None:
    """Let Ray read the environment again, and the token: it has done so when it was imported, maybe by the caller."""
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _silent(worker: Any) -> Iterator[None]:
    """Keep Ray from starting a thread that prints lost workers to stdout, where our results are. It has no setting."""
    name = "listen_error_messages"
    listen = getattr(worker, name, None)
    setattr(worker, name, lambda *_: None)
    try:
        yield
    finally:
        setattr(worker, name, listen)


@contextmanager
def _undisturbed() -> Iterator[IO[str]]:
    """Keep the handlers of signals, which Ray replaces, and send what its C++ code writes to stderr to a file."""
    signals = [signal.SIGINT, signal.SIGTERM] if threading.current_thread() is threading.main_thread() else []
    handlers = {number: signal.getsignal(number) for number in signals}
    stderr = os.dup(2)
    try:
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
            os.dup2(log.fileno(), 2)
            yield log
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        for number, handler in handlers.items():
            signal.signal(number, handler)
