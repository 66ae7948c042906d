"""The process that reads parquet files (`parquet`). Each line on stdin is a request, `[path, start, stop, size]`; the
answer on stdout is an Arrow stream with these rows, `size` in each batch but the last. For a file that can't be read it
exits with code 1, and the reason on stderr; when stdin ends it exits with 0.
"""

from __future__ import annotations

import json
import sys
from bisect import bisect
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import pyarrow
from pyarrow import ipc, parquet

from wsdl.runtime.parquet import BROKEN, ROWS

AT_ONCE = 1 << 12  # rows that are decoded at a time


class Cursor:
    """A position in a file, from which rows are read in order."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.file = parquet.ParquetFile(path)
        self.rows: int = self.file.metadata.num_rows
        groups = [self.file.metadata.row_group(i).num_rows for i in range(self.file.num_row_groups)]
        self._starts = [*accumulate(groups, initial=0)]  # the first row of each row group, and the end
        self._position = 0
        self._decoded: Any = None  # rows from the position on
        self._batches = self._from_group(0)

    def take(self, start: int, count: int) -> Any:
        """A record batch with `count` rows, one or more, from `start`."""
        self._seek(start)
        parts = []
        while count:
            parts.append(self._decoded_rows().slice(0, count))
            self._advance(parts[-1].num_rows)
            count -= parts[-1].num_rows
        [batch] = pyarrow.Table.from_batches(parts).combine_chunks().to_batches()
        return batch

    def _seek(self, start: int) -> None:
        """Go to a row: on from where it is, or from the beginning of the row's group."""
        group = bisect(self._starts, start) - 1
        if not self._starts[group] <= self._position <= start:
            self._position, self._decoded = self._starts[group], None
            self._batches = self._from_group(group)
        while self._position < start:
            self._advance(min(start - self._position, self._decoded_rows().num_rows))

    def _from_group(self, group: int) -> Iterator[Any]:
        return iter(self.file.iter_batches(AT_ONCE, row_groups=range(group, self.file.num_row_groups)))

    def _decoded_rows(self) -> Any:
        """The rows from the position on that are decoded, one or more."""
        while self._decoded is None or self._decoded.num_rows == 0:
            self._decoded = next(self._batches)
        return self._decoded

    def _advance(self, rows: int) -> None:
        self._decoded = self._decoded.slice(rows)
        self._position += rows


def main() -> None:
    cursor: Cursor | None = None
    for line in sys.stdin.buffer:
        path, start, stop, size = json.loads(line)
        try:
            if cursor is None or cursor.path != path:
                cursor = Cursor(path)
            _answer(cursor, start, stop, size)
        except Exception as error:  # Arrow has many classes of them
            sys.stderr.write(str(error) or type(error).__name__)
            sys.stderr.flush()
            sys.exit(BROKEN)


def _answer(cursor: Cursor, start: int, stop: int, size: int) -> None:
    schema = cursor.file.schema_arrow
    said = schema.with_metadata({**(schema.metadata or {}), ROWS: str(cursor.rows).encode()})
    with ipc.new_stream(sys.stdout.buffer, said) as stream:
        for first in range(start, stop, size):
            stream.write_batch(cursor.take(first, min(size, stop - first)).replace_schema_metadata(said.metadata))
    sys.stdout.buffer.flush()
