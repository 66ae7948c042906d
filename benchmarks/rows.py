"""`python -m benchmarks.rows` (`make rows`): a small CNN on rows of a parquet file, in one process and on workers.

A million images of clothes of 28 x 28 bytes are run in one process with two threads, and by Ray on two workers with one
thread each: undisturbed, with a worker killed in the middle, and as a step of Ray Data, which has one more CPU for
reading. All must write the same rows, each once. Writes the table of `docs/cluster.md`. Starting (Ray, sessions) is
measured apart: it ends with the first rows written.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pyarrow as pa
from pyarrow import compute, parquet

from benchmarks import page_tables
from wsdl import api
from wsdl.ray import Workers, predict
from wsdl.ray.cluster import Request, connected
from wsdl.reporting.rows import QuietRows

PROGRAM = """\
model digits(image: u8[n, 28, 28]) -> (logits: f32[n, 10], digit: i64[n]) {
    layer first = Conv2d(8, kernel=3, pad=1)
    layer second = Conv2d(16, kernel=3, pad=1)
    x = reshape(cast(image, f32) / 255, [n, 1, 28, 28])
    x = x |> first |> relu |> max_pool(2) |> second |> relu |> max_pool(2)
    logits = x |> flatten |> Dense(10)
    return logits, argmax(logits, axis=1)
}
"""
IMAGES = Path("examples/data/fashion_mnist/train.npz")
FOLDER = Path("build/rows")
PAGE = Path("docs/cluster.md")
PIECE = 60_000  # rows of a row group


class ProcessorTime(Thread):
    """The seconds of processor time of this process and of all that it starts, those of Ray included."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._seconds: dict[int, float] = {}
        self._ended = Event()
        self._before = time.process_time()

    def run(self) -> None:
        while not self._ended.wait(0.3):
            parents, seconds = {}, {}
            for path in Path("/proc").glob("[0-9]*/stat"):
                with suppress(OSError):  # it has ended
                    fields = path.read_text().rpartition(")")[2].split()
                    parents[int(path.parent.name)] = int(fields[1])
                    seconds[int(path.parent.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            ours = {os.getpid()}
            while new := {id for id, parent in parents.items() if parent in ours} - ours:
                ours |= new
            self._seconds |= {id: seconds[id] for id in ours - {os.getpid()} if id in seconds}

    def total(self) -> float:
        self._ended.set()
        self.join()
        return sum(self._seconds.values()) + time.process_time() - self._before


class Timed(QuietRows):
    """When the first rows were written, and how many they were; `halfway` is called once. Rows that don't come at a
    steady pace have no speed."""

    def __init__(self, halfway: Callable[[], None] = lambda: None, *, is_steady: bool = True) -> None:
        self.is_steady = is_steady
        self.began = time.perf_counter()
        self.first: tuple[float, int] | None = None
        self.last = self.began
        self.rows = self._total = 0
        self._halfway: Callable[[], None] | None = halfway

    def begin(self, rows: int, workers: int) -> None:
        self._total = rows

    def done(self, rows: int) -> None:
        self.rows += rows
        self.last = time.perf_counter()
        self.first = self.first or (self.last, rows)
        if self._halfway is not None and self.rows > self._total / 2:
            self._halfway()
            self._halfway = None

    def row(self, name: str, processor: float) -> str:
        assert self.first is not None
        start = self.first[0] - self.began
        speed = f"{(self.rows - self.first[1]) / (self.last - self.first[0]):,.0f}" if self.is_steady else "–"
        return f"| {name} | {start:.1f} s | {self.last - self.began:.1f} s | {speed} | {processor:.0f} s |"


def write_rows(path: Path, rows: int) -> None:
    """The images, over and over, each with a key of its own."""
    images = np.load(IMAGES)["image"].reshape(-1, 28, 28)
    type = pa.list_(pa.list_(pa.uint8(), 28), 28)
    schema = pa.schema([("key", pa.int64()), ("image", type)])
    with parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, PIECE):
            some = images[: min(PIECE, rows - start)]
            lines = pa.FixedSizeListArray.from_arrays(pa.array(some.ravel()), type=type.value_type)
            column = pa.FixedSizeListArray.from_arrays(lines, type=type)
            writer.write_table(pa.table([pa.array(range(start, start + len(some))), column], schema=schema))


def kill_a_worker() -> None:
    """Kill one of the processes that run a part."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        if path.read_bytes().startswith(b"ray::rows"):
            os.kill(int(path.parent.name), signal.SIGKILL)
            return
    raise ProcessLookupError("no worker runs")


def by_ray_data(program: Path, data: Path, folder: Path, timed: Timed) -> None:
    """The same as a Ray Dataset, written by Ray Data."""
    import ray

    rows = parquet.ParquetFile(data).metadata.num_rows
    with connected(Request(3)):
        dataset = predict(program, ray.data.read_parquet(str(data.resolve())), Workers(2))
        timed.begin(rows, 2)
        tables = dataset.iter_batches(batch_size=None, batch_format="pyarrow")
        for number, table in enumerate(tables):
            parquet.write_table(table, folder / f"part-{number:05}.parquet")
            timed.done(len(table))


def lines_of(rows: int) -> Iterator[str]:
    """The lines of the table."""
    program, data, output = FOLDER / "digits.wsd", FOLDER / f"{rows}.parquet", FOLDER / "out"
    program.write_text(PROGRAM, encoding="utf-8")
    if not data.exists():
        write_rows(data, rows)
    runs: dict[str, tuple[Workers | None, Timed]] = {
        "one process, two threads": (None, Timed()),
        "two workers, one thread each": (Workers(2), Timed()),
        "the same, one worker killed in the middle": (Workers(2), Timed(kill_a_worker)),
        "the same by Ray Data": (None, Timed(is_steady=False)),
    }
    expected = None
    yield f"| {rows:,} rows | to the first rows | in all | rows/s after them | processor time |"
    yield "|---|---:|---:|---:|---:|"
    for name, (workers, timed) in runs.items():
        shutil.rmtree(output, ignore_errors=True)
        timed.began, processor = time.perf_counter(), ProcessorTime()
        processor.start()
        if name.endswith("Ray Data"):
            output.mkdir()
            by_ray_data(program, data, output, timed)
        else:
            api.run_rows(program, data, output, threads=None if workers else 2, workers=workers, reporter=timed)
        seconds = processor.total()
        table = parquet.read_table(output).sort_by("key")
        expected = table if expected is None else expected
        assert table["key"].equals(pa.chunked_array([range(rows)])), f"{name}: rows are missing, or occur twice"
        same = compute.sum(compute.equal(table["digit"], expected["digit"])).as_py()
        assert same > 0.9999 * rows, f"{name}: {rows - same} rows differ"  # threads change the last bits of logits
        yield timed.row(name, seconds)
    shutil.rmtree(output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    FOLDER.mkdir(parents=True, exist_ok=True)
    lines = []
    for line in lines_of(parser.parse_args().rows):
        print(line, flush=True)
        lines.append(line)
    page_tables.write(PAGE, "<!-- measured: by `make rows` -->", lines)


if __name__ == "__main__":
    main()
