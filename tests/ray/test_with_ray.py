"""Rows and trials on workers, on one machine: the results of one process, whatever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.cli.conftest import Wsdl
from tests.golden import ROOT
from tests.ray.conftest import kill_when
from tests.studies.programs import DEPTHS, TRAIN, in_files, recorded
from wsdl.cli import study as study_command
from wsdl.diagnostics.run_error import RunError
from wsdl.ray import Workers, predict
from wsdl.reporting.trials import QuietTrials
from wsdl.runtime.folder_lock import alone_in

ROWS = 6_000
X = np.random.default_rng(0).standard_normal((ROWS, 64)).astype(np.float32)
SLOW = """\
model m(x: f32[n, 64]) -> (y: f32[n, 64]) {
    layer blocks[400] = Dense(64)
    share { blocks[*] }
    for block in blocks {
        x = block(x) |> tanh
    }
    return x
}
"""
RUN = ("run", "slow.wsd", "--input", "rows.parquet", "--batch", "32", "--threads", "1")
STUDY = (*TRAIN, *DEPTHS, "--seeds", "2")

pytestmark = pytest.mark.usefixtures("two_cpus")


@pytest.fixture(autouse=True)
def files(wsdl: Wsdl, tmp_path: Path) -> None:
    in_files(tmp_path)
    Path("slow.wsd").write_text(SLOW, encoding="utf-8")
    column = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 64)
    parquet.write_table(pa.table({"key": range(ROWS), "x": column}), "rows.parquet", row_group_size=1000)


def written(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


# -- rows --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kills", [0, 1, 3])
def test_rows(wsdl: Wsdl, kills: int) -> None:
    """The files are those of one process, byte for byte, also if workers are killed in the middle."""
    assert wsdl(*RUN, "-o", "one").code == 0
    contents = Path(".two.part/contents")

    def kill() -> list[int]:
        return [kill_when("rows ", partial(has_more_than, 10 * k)) for k in range(kills)]

    def has_more_than(parts: int) -> bool:
        return len([*contents.glob("part-*")]) > parts

    with ThreadPoolExecutor() as pool:
        killed = pool.submit(kill)
        done = wsdl(*RUN, "-o", "two", "--workers", "2")
        assert len(set(killed.result())) == kills
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("6,000 rows, 2 workers\n")
    assert written("two") == written("one")
    assert parquet.read_table("two")["key"].to_pylist() == list(range(ROWS))
    assert not Path(".two.part").exists()


def test_rows_that_do_not_fit(wsdl: Wsdl) -> None:
    """Found by a worker; nothing is left."""
    Path("s.wsd").write_text("model s(x: f32[n, t]) -> (y: f32[n, t]) {\n    return relu(x)\n}\n", encoding="utf-8")
    ragged = pa.array([[1.0] * (3 if i == 200 else 2) for i in range(300)], pa.list_(pa.float32()))
    parquet.write_table(pa.table({"x": ragged}), "ragged.parquet")
    there = sorted(os.listdir())
    for arguments in ([], ["--workers", "2"]):
        done = wsdl("run", "s.wsd", "--input", "ragged.parquet", "-o", "out", "--batch", "10", *arguments, "--json")
        [problem] = done.json["diagnostics"]
        assert (problem["code"], problem["details"]) == ("E0718", ["in the rows 200 to 209"])
        assert sorted(os.listdir()) == there


def test_too_many_workers(wsdl: Wsdl) -> None:
    assert wsdl(*RUN, "-o", "out", "--workers", "3", "--json").codes == ["E0744"]
    assert wsdl("run", "slow.wsd", "--input", "rows.parquet", "-o", "out", "--workers", "1", "--threads", "3",
                "--json").codes == ["E0744"]  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")  # Ray's
@pytest.mark.parametrize("tensors", [False, True], ids=["lists", "tensors"])
def test_a_dataset(wsdl: Wsdl, two_cpus: Any, tensors: bool) -> None:
    """A step of a Ray Dataset gives what files give; what would hang is refused."""
    pytest.importorskip("pandas", reason="Ray Data needs it")
    from ray import data

    assert wsdl(*RUN, "-o", "one").code == 0
    expected = parquet.read_table("one").sort_by("key")
    items = [{"key": i, "x": X[i]} for i in range(100)]
    dataset = data.from_items(items) if tensors else data.read_parquet(str(Path("rows.parquet").resolve()))
    for workers in (Workers(2), Workers(1, threads=2)):
        with pytest.raises(RunError, match="for reading rows"):
            predict("slow.wsd", dataset, workers)
    with pytest.raises(RunError, match="E0718"):
        predict("slow.wsd", dataset.rename_columns({"x": "z"}), Workers(1))
    rows = sorted(predict("slow.wsd", dataset, Workers(1), batch=32).take_all(), key=lambda row: int(row["key"]))
    assert [row["key"] for row in rows] == list(range(100 if tensors else ROWS))
    found = np.array([row["y"] for row in rows])
    np.testing.assert_allclose(found, np.array(expected["y"].to_pylist()[: len(rows)]), atol=1e-6)


# -- trials ------------------------------------------------------------------------------------------------------------


class Shown(QuietTrials):
    """Collects the progress of trials."""

    def __init__(self) -> None:
        self.steps: dict[str, int] = {}

    def step(self, label: str, step: int, steps: int | None, loss: float | None) -> None:
        self.steps[label] = max(step, self.steps.get(label, 0))


def test_a_study(wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its record is that of processes of this machine."""
    shown = Shown()
    monkeypatch.setattr(study_command, "trials_shown", lambda: shown)
    assert wsdl(*STUDY, "--jobs", "1", "-o", "one", "--json").code == 0
    done = wsdl(*STUDY, "--workers", "2", "-o", "two")
    assert done.code == 0, done.err
    assert recorded("two") == recorded("one")
    assert len(shown.steps) == 4
    assert all(shown.steps.values())


LONG = (*TRAIN, "--epochs", "300", "--seeds", "2", "-o")


def test_a_trial_whose_worker_is_killed(wsdl: Wsdl) -> None:
    """It goes on from its last checkpoint, on another worker."""
    assert wsdl(*LONG, "one", "--jobs", "2", "--json").code == 0
    checkpoint = Path("two/trials/base/seed-0/last.safetensors")
    with ThreadPoolExecutor() as pool:
        killed = pool.submit(kill_when, "base, seed 0", checkpoint.exists)
        assert wsdl(*LONG, "two", "--workers", "2", "--json").code == 0
        assert killed.result()
    assert recorded("two") == recorded("one")


class Interrupting(QuietTrials):
    def step(self, label: str, step: int, steps: int | None, loss: float | None) -> None:
        if loss is not None:  # a step was done
            raise KeyboardInterrupt


def test_interrupted(wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C lets the trials save; the study resumes on other workers, and ends as if nothing had been."""
    monkeypatch.setattr(study_command, "trials_shown", Interrupting)
    done = wsdl(*LONG, "long", "--workers", "2")
    assert done.code == 130
    assert done.err == "stopped after 0 of 2 trials, which are saved in long; --resume continues\n"
    for seed in (0, 1):
        with alone_in(Path(f"long/trials/base/seed-{seed}")):  # nobody trains on
            pass
    assert list(Path("long/trials").rglob("last.safetensors"))
    assert wsdl(*LONG, "long", "--workers", "1", "--resume", "--json").code == 0
    assert wsdl(*LONG, "one", "--jobs", "1", "--json").code == 0
    assert recorded("long") == recorded("one")


# -- a process of its own ----------------------------------------------------------------------------------------------


@pytest.fixture
def without_address() -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**environment, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder for temporary files, whose path Ray can use for sockets."""
    with TemporaryDirectory(prefix="w", dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_a_command_that_ends(
    without_address: dict[str, str], short_folder: Path, number: int
) -> None:
    """Neither a process of Ray nor, if it could clean up, a file."""
    parquet.write_table(pa.concat_tables([parquet.read_table("rows.parquet")] * 5), "rows.parquet")
    command = [sys.executable, "-m", "wsdl", *RUN, "-o", "out", "--workers", "1", "--batch", "1"]
    with subprocess.Popen(command, env={**without_address, "TMPDIR": str(short_folder)}, stderr=subprocess.PIPE) as run:
        contents = Path(".out.part/contents")
        while not [*contents.glob("part-*")]:
            assert run.poll() is None, run.stderr and run.stderr.read()
            time.sleep(0.05)
        run.send_signal(number)
        assert run.wait() == (130 if number == signal.SIGINT else -signal.SIGKILL)
    assert not Path("out").exists()
    if number == signal.SIGINT:
        assert not Path(".out.part").exists()
        assert not [*short_folder.glob("wsdl-*")]
    until = time.monotonic() + 120
    while left := of_environment(f"TMPDIR={short_folder}"):
        assert time.monotonic() < until, left
        time.sleep(0.1)


def of_environment(variable: str) -> dict[int, bytes]:
    """The command lines of the processes with a variable in their environment."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            if f"{variable}\0".encode() in path.joinpath("environ").read_bytes():
                found[int(path.name)] = path.joinpath("cmdline").read_bytes()
    return found
