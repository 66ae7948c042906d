"""Parquet files, read in a child process.

The reader is C++ code that crashes on some damaged or malicious files. So a child process (`parquet_child`) reads the
files and sends rows as Arrow streams, which are validated.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from wsdl.diagnostics.run_error import RunError, fail

BROKEN = 1  # exit code of the child for a file that is not parquet
ROWS = b"wsdl.rows"  # metadata of a schema: the number of rows in the file
CHILD = "from wsdl.runtime.parquet_child import main; main()"
MOST = 1 << 16  # rows that are sent at a time


class ParquetReader:
    """Reads ranges of rows. Those of a file are read fastest in ascending order: the child continues where it was.

    `with ParquetReader() as reader: schema, rows = reader.schema("rows.parquet")`. Raises `RunError` with E0717 for a
    file that can't be read.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`

    def __enter__(self) -> ParquetReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._end()
        self._errors.close()

    def schema(self, path: str | Path) -> tuple[Any, int]:
        """The `pyarrow.Schema` of a file, and its number of rows."""
        [*_, stream] = self._streams(path, (0, 0, 1))
        rows = int(stream.schema.metadata[ROWS])
        metadata = {key: value for key, value in stream.schema.metadata.items() if key != ROWS}
        return stream.schema.with_metadata(metadata or None), rows

    def batches(self, path: str | Path, start: int, stop: int, size: int) -> Iterator[Any]:
        """The rows from `start` to before `stop` as `pyarrow.RecordBatch`es of `size` rows; the last has the rest."""
        for stream in self._streams(path, (start, stop, size)):
            yield from self._received(path, stream)

    def _received(self, path: str | Path, stream: Any) -> Iterator[Any]:
        while True:
            try:
                yield stream.read_next_batch()
            except StopIteration:
                return
            except Exception as error:  # of Arrow, of the pipe
                raise self._failure(path) from error

    def _streams(self, path: str | Path, rows: Sequence[int]) -> Iterator[Any]:
        """The stream that answers a request, of which all must be read."""
        try:
            from pyarrow import ipc
        except ImportError:
            help = "`pip install 'wsdl[data]'` installs it"
            raise fail("E0717", "reading .parquet needs the package pyarrow", file=str(path), help=help) from None
        with Path(path).open("rb"):
            pass  # permission errors are reported as for any other file
        process = self._process = self._process or self._begin()
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(json.dumps([os.path.abspath(path), *rows]).encode() + b"\n")
            process.stdin.flush()
            stream = ipc.open_stream(process.stdout)
        except Exception as error:  # of Arrow, of the pipe
            raise self._failure(path) from error
        is_read = False
        try:
            yield stream
            is_read = True
        finally:
            if is_read:
                for _ in self._received(path, stream):
                    pass
            else:
                self._end()  # what is left in the pipe would be taken for the next answer

    def _begin(self) -> subprocess.Popen[bytes]:
        self._errors.seek(0)
        self._errors.truncate()
        code = f"import sys; sys.path[:] = {sys.path!r}; {CHILD}"
        return subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C reaches only the parent
        )

    def _end(self) -> int:
        """End the child by closing its streams; returns its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        for stream in (process.stdin, process.stdout):
            assert stream
            with suppress(OSError):
                stream.close()
        return process.wait()

    def _failure(self, path: str | Path) -> RunError:
        """The error for an answer that is not complete."""
        code = self._end()
        self._errors.seek(0)
        reason = self._errors.read().decode("utf-8", "replace").strip().partition("\n")[0]
        if code != BROKEN:
            reason = f"the process that read it crashed ({_how(code)})"
        return fail("E0717", f"this is not a parquet file: {reason[:1].lower()}{reason[1:]}", file=str(path))


def read_parquet(path: Path) -> Any:
    """The `pyarrow.Table` in a file. Raises `RunError` with E0717 where it can't be read."""
    with ParquetReader() as reader:
        schema, rows = reader.schema(path)
        batches = [*reader.batches(path, 0, rows, MOST)]
    from pyarrow import Table

    return Table.from_batches(batches, schema)


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
