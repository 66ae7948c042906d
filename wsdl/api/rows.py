"""Running a model on the rows of parquet files, into a folder of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from dataclasses import replace as with_fields
from pathlib import Path
from typing import TYPE_CHECKING

from wsdl.api.compiling import compile
from wsdl.api.running import require_plain, untrained
from wsdl.api.sources import program_in
from wsdl.diagnostics import Diagnostic
from wsdl.diagnostics.run_error import fail
from wsdl.options import COUNT, DIMS, FLAG, NAME, PATH, SEED, SHARE, WEIGHTS, Optional, takes
from wsdl.reporting.rows import QuietRows, RowReporter

if TYPE_CHECKING:
    from wsdl.ir.types import TensorType
    from wsdl.runtime.parts import PartRunner
    from wsdl.runtime.portable import PortableModel
    from wsdl.weights.weights import Weights

BATCH = 256  # rows, by default
PATTERN = "part-*.parquet"


@dataclass(frozen=True)
class RowResults:
    """What was written: `files` have all `rows` in the order of the input, and the `outputs` among their columns."""

    rows: int
    files: list[Path]
    outputs: Mapping[str, TensorType]


def are_rows(data: str | os.PathLike[str]) -> bool:
    """Whether data can be run in parts: a parquet file, or a folder of them."""
    from wsdl.runtime.row_job import parquet_files

    return bool(parquet_files(Path(data)))


@takes(
    path=PATH,
    data=PATH,
    folder=PATH,
    model=Optional(NAME),
    weights=Optional(WEIGHTS),
    fit=Optional(SHARE),
    device=NAME,
    batch=Optional(COUNT),
    seed=SEED,
    dims=Optional(DIMS),
    import_root=Optional(PATH),
    variant=Optional(NAME),
    threads=Optional(COUNT),
    replace=FLAG,
)
def run_rows(
    path: str | os.PathLike[str],
    data: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    model: str | None = None,
    weights: Weights | None = None,
    fit: float | None = None,
    device: str = "cpu",
    batch: int | None = None,
    seed: int = 0,
    dims: Mapping[str, int] | None = None,
    import_root: str | None = None,
    variant: str | None = None,
    threads: int | None = None,
    replace: bool = False,
    workers: PartRunner | None = None,
    reporter: RowReporter | None = None,
) -> tuple[RowResults, list[Diagnostic]]:
    """Run a `.wsd` or `.onnx` file on the rows of a parquet file, or of a folder of them.

    The new folder receives parquet files with the outputs, and the columns that the model doesn't read; with `replace`
    it may hold such files. `batch` rows (256) run at a time: on `workers`, as `wsdl.ray.Workers(4)`, by default in this
    process with `threads` threads. Returns what was written, and the warnings about the model.
    """
    from wsdl.runtime.new_folder import new_folder, require_new
    from wsdl.runtime.parquet import ParquetReader
    from wsdl.runtime.parts import InProcess, parts_of
    from wsdl.runtime.row_job import job_of, open_rows

    if workers is not None and device != "cpu":
        raise fail("E0714", "workers run models on the CPU", help="without workers, this process runs it on the device")
    target = Path(folder)
    require_new(target, replace=replace, pattern=PATTERN)
    reporter = reporter or QuietRows()
    with ParquetReader() as reader:
        files = open_rows(data, reader)
        opened = portable_model(
            path, model=model, weights=weights, fit=fit, seed=seed, dims=dims, import_root=import_root, variant=variant
        )
        with opened as (portable, diagnostics):
            session = portable.session(device=device, threads=threads)
            parts = parts_of(files.rows, batch or BATCH)
            job = job_of(next(iter(files.rows)), files.first, portable, session)
            with new_folder(target, replace=replace, pattern=PATTERN) as contents:
                job = with_fields(job, batch=batch or BATCH, folder=str(contents))
                runner = workers or InProcess(session)
                reporter.begin(sum(part.rows for part in parts), runner.count)
                try:
                    with closing(runner.run_parts(job, parts)) as done:
                        for part in done:
                            reporter.done(part.rows)
                finally:
                    reporter.end()
                _require_all([contents / part.file for part in parts])
    rows = sum(part.rows for part in parts)
    return RowResults(rows, [target / part.file for part in parts], session.outputs), diagnostics


def _require_all(files: list[Path]) -> None:
    """Raises `RunError` (E0703) if a file isn't there: a worker on another machine has written it elsewhere."""
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        message = f"{len(missing)} of {len(files)} files are not in the output folder"
        help = "the output folder must be on storage that all machines have"
        raise fail("E0703", message, file=str(files[0].parent), help=help, details=missing[:5])


@contextmanager
def portable_model(
    path: str | os.PathLike[str],
    *,
    model: str | None = None,
    weights: Weights | None = None,
    fit: float | None = None,
    seed: int = 0,
    dims: Mapping[str, int] | None = None,
    import_root: str | None = None,
    variant: str | None = None,
) -> Iterator[tuple[PortableModel, list[Diagnostic]]]:
    """A model that can be sent to other processes, and the warnings about it. Its file may be temporary."""
    from wsdl.runtime.portable import PortableModel

    if Path(path).suffix.lower() == ".onnx":
        require_plain(path, model=model, weights=weights, dims=dims, variant=variant)
        yield PortableModel(os.fspath(path), os.fspath(path)), []
        return
    program = compile(
        program_in(path), dims=dims, seed=seed, weights=weights, fit=fit, import_root=import_root, variant=variant
    )
    with program.portable(model) as portable:
        yield portable, [*program.diagnostics, *untrained(program)]
