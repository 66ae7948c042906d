"""Rows of parquet files, run in parts: each part is a range of rows, and becomes one file of a folder.

The plan depends on the files and the batch size alone, so results are the same files whoever computes them, in whatever
order. A part that is computed twice, since a process was killed, replaces the same file: each row is there once.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from wsdl.atomic import write_file
from wsdl.diagnostics.run_error import RunError, fail
from wsdl.ir.types import TensorType
from wsdl.runtime.columns import array_of, arrow_type, column_of, joined
from wsdl.runtime.parquet import ParquetReader
from wsdl.runtime.portable import PortableModel
from wsdl.runtime.session import Session

PARTS, LARGEST = 64, 1 << 16  # parts of a run, as long as none has more rows than this
GROUP_BYTES = 1 << 26  # of a row group that is written


@dataclass(frozen=True)
class Part:
    """The rows from `start` to before `stop` of the file `path`."""

    number: int
    path: str
    start: int
    stop: int

    @property
    def rows(self) -> int:
        return self.stop - self.start

    @property
    def file(self) -> str:
        """The name of the file with its results."""
        return f"part-{self.number:05}.parquet"


def parts_of(files: Mapping[str, int], batch: int) -> list[Part]:
    """The parts of files with so many rows, in order: about 64 with whole batches, more if they would be too large. A
    part has rows of one file. Without rows there is one, which is empty."""
    total = sum(files.values())
    rows = min(max(-(-total // PARTS), 1), LARGEST)
    rows = max(rows // batch, 1) * batch
    ranges = [
        (path, start, min(start + rows, count)) for path, count in files.items() for start in range(0, count, rows)
    ]
    return [Part(i, *place) for i, place in enumerate(ranges or [(next(iter(files)), 0, 0)])]


@dataclass(frozen=True)
class RowJob:
    """What is done with rows: `model` is run with the columns of its `inputs`, by their names; the results are the
    columns `kept` and the outputs. Of a part `batch` rows are run at a time, and the results written to `folder`."""

    model: PortableModel
    inputs: Mapping[str, Sequence[str]]
    kept: Sequence[str]
    batch: int = 1
    folder: str = ""


class PartRunner(Protocol):
    """Runs the parts of a job; `count` is the number of its processes, 0 for this one alone."""

    @property
    def count(self) -> int: ...

    def run_parts(self, job: RowJob, parts: Sequence[Part]) -> Generator[Part, None, None]:
        """Yield each part when its file is written, in any order. Raises `RunError` for data that doesn't fit."""


@dataclass(frozen=True)
class InProcess:
    """Runs the parts one after another, in this process."""

    session: Session
    count: int = 0

    def run_parts(self, job: RowJob, parts: Sequence[Part]) -> Generator[Part, None, None]:
        with ParquetReader() as reader:
            for part in parts:
                run_part(job, part, self.session, reader)
                yield part


def run_part(job: RowJob, part: Part, session: Session, reader: ParquetReader) -> None:
    """Run the model on a part and write its file, atomically."""
    from pyarrow import parquet

    schema = schema_of(reader.schema(part.path)[0], job.kept, session.outputs)

    def write(file: BinaryIO) -> None:
        with parquet.ParquetWriter(file, schema) as writer:
            for table in _in_groups(_results(job, part, session, reader)):
                writer.write_table(table)

    if not os.path.isdir(job.folder):
        help = "the input, the output and the model must be on storage that all machines have"
        raise fail("E0703", "this folder doesn't exist on the machine of a worker", file=job.folder, help=help)
    write_file(Path(job.folder, part.file), write)


def results_of(job: RowJob, session: Session, path: str, rows: Any) -> Any:
    """The results for some rows, both a `pyarrow.Table`. Raises `RunError` if they don't fit the model."""
    import pyarrow

    arrays = {}
    for name, parts in job.inputs.items():
        arrays[name] = joined(path, name, {part: array_of(rows.column(part)) for part in parts}, parts)
    outputs = session.run(arrays)
    columns = [rows.column(name) for name in job.kept]
    columns += [column_of(outputs[name], type) for name, type in session.outputs.items()]
    return pyarrow.Table.from_arrays(columns, schema=schema_of(rows.schema, job.kept, session.outputs))


def schema_of(schema: Any, kept: Sequence[str], outputs: Mapping[str, TensorType]) -> Any:
    """The `pyarrow.Schema` of results: the columns of the input that are kept, then the outputs."""
    import pyarrow

    fields = [schema.field(name) for name in kept]
    return pyarrow.schema([*fields, *(pyarrow.field(name, arrow_type(type)) for name, type in outputs.items())])


def _in_groups(tables: Iterator[Any]) -> Iterator[Any]:
    """Tables that become row groups."""
    import pyarrow

    held: list[Any] = []
    for table in tables:
        held.append(table)
        if sum(t.nbytes for t in held) >= GROUP_BYTES:
            yield pyarrow.concat_tables(held)
            held = []
    if held:
        yield pyarrow.concat_tables(held)


def _results(job: RowJob, part: Part, session: Session, reader: ParquetReader) -> Iterator[Any]:
    """The results of the batches of a part."""
    import pyarrow

    first = part.start
    for batch in reader.batches(part.path, part.start, part.stop, job.batch):
        try:
            yield results_of(job, session, part.path, pyarrow.Table.from_batches([batch]))
        except RunError as error:
            raise _in_rows(error, part.path, first, first + batch.num_rows) from error
        first += batch.num_rows


def _in_rows(error: RunError, path: str, start: int, stop: int) -> RunError:
    """An error with the file and the rows that it is about."""
    where = f"in the rows {start:,} to {stop - 1:,}"
    return RunError([replace(d, file=path, details=(*d.details, where)) for d in error.diagnostics])
