"""What all tests have in common."""

from __future__ import annotations

import gc
import os
import resource
from collections.abc import Generator, Iterator

import pytest
from hypothesis import settings

from tests.forks import Forks
from tests.golden import Golden

# One thread for PyTorch and OpenBLAS: the tensors here are small, and threads that wait for work in a loop take more
# time than the work. A worker of xdist gets one core, as there is one for each, and so ONNX Runtime has one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if hasattr(os, "sched_setaffinity") and (worker := os.environ.get("PYTEST_XDIST_WORKER")):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})

# The same examples at each run, so that a change is judged by what it does; `make fuzz` draws others. No deadlines, as
# a machine may be busy.
settings.register_profile("wsdl", deadline=None, derandomize=True)
settings.register_profile("fuzz", deadline=None, max_examples=2000, print_blob=True)
settings.load_profile("wsdl")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write what the golden tests find as what they expect"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Iterator[Golden]:
    """Compares a text with the one in a file beside the test; `--update-golden` writes the file."""
    golden = Golden(update=request.config.getoption("--update-golden"))
    yield golden
    request.node.user_properties += [("golden", difference) for difference in golden.differences]


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Commands in processes of their own that begin with everything imported."""
    forks = Forks()
    yield forks
    forks.close()


# Their tests take many seconds each, and so run first: at the end one worker would run, the others would have no test.
LONG = (
    "tests/playground/test_page.py",
    "tests/website/test_site.py",
    "tests/node/test_page.py",
    "tests/node/test_training.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "golden" in getattr(item, "fixturenames", ()):
            item.add_marker("golden")
    items.sort(key=lambda item: item.nodeid.partition("::")[0] not in LONG)


MORE = 1 << 20  # kB
peak = 0  # kB of memory when garbage was last searched for


def memory() -> int:
    """The most that this process has had, in kB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Tests and PyTorch are never garbage: to go through them takes half a second, and by Python's thresholds that
    happens often, while they are collected too."""
    global peak
    gc.disable()
    try:
        return (yield)
    finally:
        peak = memory()
        gc.freeze()
        gc.enable()
        gc.set_threshold(10_000_000, 20, 20)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """Garbage is searched for after memory has grown, among what is new since the last time: what has survived that,
    such as modules and caches, is rarely garbage later."""
    global peak
    try:
        return (yield)
    finally:
        if memory() > peak + MORE:
            peak = memory()
            gc.collect()
            gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What `--update-golden` has written."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    written = [
        difference
        for report in reports
        if getattr(report, "when", None) == "teardown"
        for name, difference in report.user_properties
        if name == "golden"
    ]
    for difference in written:
        terminalreporter.write_line(difference)
    if terminalreporter.config.getoption("--update-golden"):
        terminalreporter.write_line(f"{len(written)} golden files have changed")
