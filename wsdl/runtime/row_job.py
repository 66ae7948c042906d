"""What is checked before rows of parquet files are run: that the columns are what the model reads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as with_fields
from pathlib import Path
from typing import Any

from wsdl.diagnostics import Diagnostic
from wsdl.diagnostics.run_error import RunError, fail
from wsdl.runtime.columns import grouped
from wsdl.runtime.data import data_of_table
from wsdl.runtime.parquet import ParquetReader
from wsdl.runtime.parts import RowJob
from wsdl.runtime.portable import PortableModel
from wsdl.runtime.session import Session, leads
from wsdl.weights.source import reason_of


@dataclass(frozen=True)
class RowFiles:
    """Parquet files with the same columns: `rows` has the number of rows of each."""

    rows: Mapping[str, int]
    first: Any  # a `pyarrow.Table` with the first row, if there is one


def parquet_files(path: Path) -> list[Path]:
    """The parquet files of a folder by name, or the one at a path; none if it is something else."""
    if path.is_dir():
        return [file for file in sorted(path.glob("*.parquet")) if not file.name.startswith(".")]
    return [path] if path.suffix.lower() == ".parquet" else []


def open_rows(data: str | os.PathLike[str], reader: ParquetReader) -> RowFiles:
    """List the rows of a parquet file, or of a folder of them. Raises `RunError` (E0717) if there are none, or they
    differ in their columns."""
    files = parquet_files(Path(data))
    if not files:
        help = "a .parquet file or a folder of them can be run in parts"
        raise fail("E0717", "these are no rows of a table", file=os.fspath(data), help=help)
    rows: dict[str, int] = {}
    schema: Any = None
    for path in files:
        try:
            found, rows[str(path)] = reader.schema(path)
        except OSError as error:
            raise fail("E0717", f"the data can't be read: {reason_of(error)}", file=str(path)) from None
        if schema is None:
            schema = found
        elif not found.equals(schema):
            here, first = ({f"{field.name}: {field.type}" for field in fields} for fields in (found, schema))
            lines = [
                *(f"only here: {f}" for f in sorted(here - first)),
                *(f"only there: {f}" for f in sorted(first - here)),
            ]
            message = f"the columns differ from those of {files[0].name}"
            raise fail("E0717", message, file=str(path), details=lines or ["they have another order"])
    filled = next((path for path, count in rows.items() if count), None)
    from pyarrow import Table

    start = [] if filled is None else [*reader.batches(filled, 0, 1, 1)]
    return RowFiles(rows, Table.from_batches(start, schema))


def job_of(path: str, first: Any, model: PortableModel, session: Session) -> RowJob:
    """What is done with rows like `first`, a `pyarrow.Table` with one row or none, which were read from `path`. Raises
    `RunError` if the model doesn't run row by row, or the columns don't fit."""
    _require_rows(session)
    columns, types = grouped(path, first.schema.names), session.inputs
    data = data_of_table(Path(path), first)
    if len(first):
        data.fitting(types)
    else:
        data.select(types)
    inputs = {name: columns[name] for name in types}
    read = {part for parts in inputs.values() for part in parts}
    kept = [name for name in first.schema.names if name not in read]
    same = [name for name in session.outputs if name in kept]
    if same:
        help = "rename the column, or leave it out; columns that the model doesn't read are kept"
        raise fail("E0718", f"the column `{same[0]}` has the name of an output of the model", file=path, help=help)
    return RowJob(model, inputs, kept)


def _require_rows(session: Session) -> None:
    """Raises `RunError` (E0713) if an input or an output isn't one value for each row."""
    help = "run it on arrays, all rows at once: a .npz file, and `-o` with the name of one"
    try:
        rows = session.row_dimension()
    except RunError as error:
        raise RunError([with_fields(d, help=help) for d in error.diagnostics]) from None
    for name, type in session.inputs.items():
        if not leads(type, rows):
            message = f"`{name}` is {type}, but rows have a value of their own for each input, `{rows}` in all"
            raise RunError([Diagnostic("E0713", message, help=help)])
