"""Errors of Ray in our words.

Ray's exceptions are recognized by the names of their classes, so that neither this file nor its tests need Ray.
"""

from __future__ import annotations

import re

from wsdl.diagnostics.figures import count
from wsdl.diagnostics.run_error import RunError, fail

INSTALL = "`pip install 'wsdl[ray]'` installs it"
TOKEN = "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to a file with the token of the cluster"
_VERSIONS = re.compile(r"Ray: (\S+)\s+Python: (\S+)")


def not_installed(package: str = "ray") -> RunError:
    return fail(
        "E0740", f"running on several workers needs the package {package}, which is not installed", help=INSTALL
    )


def no_cluster(address: str, reason: str) -> RunError:
    help = "`ray start --head` starts a cluster; without `--cluster` and RAY_ADDRESS the workers run on this machine"
    return fail("E0741", f"there is no Ray cluster at `{address}`: {reason}", help=help)


def not_started(error: Exception, log: str = "") -> RunError:
    """The error for Ray not starting on this machine."""
    return fail("E0741", f"Ray can't be started on this machine: {_first_line(error)}")


def not_connected(error: Exception, log: str, *, address: str) -> RunError:
    """The error for a cluster that could not be joined, although something listens at its address. `log` is what Ray
    has written to stderr; that a token was refused is only said there."""
    if "InvalidAuthToken" in log or _is(error, "AuthenticationError"):
        message = f"the Ray cluster at `{address}` has refused this process: its token is missing or another one"
        return fail("E0743", message, help=TOKEN)
    versions = _VERSIONS.findall(str(error))
    if str(error).startswith("Version mismatch") and len(versions) == 2:
        return different_versions({"ray": versions[0][0], "python": versions[0][1]}, "the cluster",
                                  {"ray": versions[1][0], "python": versions[1][1]})  # fmt: skip
    if address == "auto":
        return no_cluster(address, "this machine belongs to none")
    return no_cluster(address, f"what listens there is none ({_first_line(error)})")


def different_versions(there: dict[str, str], where: str, here: dict[str, str]) -> RunError:
    """The error for versions by package that differ on a machine of the cluster; an empty one is not installed."""
    differing = [name for name in here if there.get(name) != here[name]]
    lines = [f"{name}: {there.get(name) or 'not installed'} there, {here[name] or 'not installed'} here"
             for name in differing]  # fmt: skip
    message = f"versions on {where} differ from those of this process"
    help = "install the same versions of Python and of the packages on each machine"
    return fail("E0742", message, details=lines, help=help)


def too_few_cpus(workers: int, each: int, available: int, largest: int) -> RunError:
    """The error for a cluster with too few CPUs: `available` in all, `largest` on one machine."""
    if largest < each:
        message = f"a worker with {count(each, 'CPU')} fits on no machine of the cluster: the largest has {largest}"
        return fail("E0744", message, help=f"use at most `--threads {largest}`" if largest else None)
    message = f"{_each(workers, each)} need {workers * each}, but the cluster has {available}"
    return fail("E0744", message, help=f"use `--workers {available // each}`, or add machines")


def no_cpu_for_reading(workers: int, each: int, available: int) -> RunError:
    """The error for workers that reserve all CPUs, so that Ray Data never reads a row (ray-project/ray#44687)."""
    fewer = (available - 1) // each
    message = f"{_each(workers, each)} leave none of {available} for reading rows"
    help = f"use {count(fewer, 'worker')}" if fewer else "use more CPUs: `ray.init(num_cpus=…)`"
    return fail("E0744", message, help=help)


def _each(workers: int, cpus: int) -> str:
    """`4 workers with 2 CPUs each`."""
    return f"{count(workers, 'worker')} with {count(cpus, 'CPU')} each"


def lost(error: Exception, what: str) -> RunError | None:
    """The error for workers that ended while they ran `what`, after all retries; `None` for any other exception."""
    if _is(error, "OutOfMemoryError"):
        message = f"{what} was killed, since its machine ran out of memory"
        return fail("E0745", message, help="use fewer workers, a smaller `--batch`, or machines with more memory")
    if _is(error, "WorkerCrashedError", "RayActorError", "NodeDiedError", "ObjectLostError", "RaySystemError",
           "LocalRayletDiedError", "RuntimeEnvSetupError"):  # fmt: skip
        message = f"{what} was lost several times: {_first_line(error)}"
        return fail("E0745", message, help="the logs of Ray say why; they are in its folder `session_latest/logs`")
    return None


def ended(process: str) -> RunError:
    """The error for a process of Ray on this machine that has ended while it was needed."""
    message = f"Ray on this machine doesn't run any more: its process `{process}` was ended"
    return fail("E0745", message, help="`--resume` continues what has been saved; out of memory is a usual reason")


def _is(error: Exception, *names: str) -> bool:
    return any(cls.__name__ in names for cls in type(error).__mro__)


def _first_line(error: Exception) -> str:
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return line.rstrip(".")
