"""Rows of parquet files on workers. Each reads its part itself, so rows don't pass through other processes."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from wsdl.ray.cluster import Request, connected
from wsdl.ray.tasks import results
from wsdl.runtime.parquet import ParquetReader
from wsdl.runtime.parts import Part, RowJob, run_part
from wsdl.runtime.session import Session


def run_parts(workers: Request, job: RowJob, parts: Sequence[Part]) -> Generator[Part, None, None]:
    """Run the parts of a job on workers; yields each when its file is written."""
    with connected(workers) as ray:
        sent = ray.put(replace(job, model=job.model.packed()))
        held = HeldJob(sent.hex(), workers.threads, [sent])
        done = results(ray, workers, held, parts, lambda part: f"rows {part.start:,} to {part.stop:,} of {part.path}")
        try:
            for part, failed in done:
                if failed is not None:
                    raise failed.error
                yield part
        finally:
            done.close()


@dataclass(frozen=True)
class HeldJob:
    """A job in Ray's memory, which a process reads once, for its first part. (The reference is in a list, as Ray would
    read an argument itself for each part.)"""

    key: str
    threads: int
    reference: list[Any] = field(compare=False)

    def __call__(self, part: Part) -> None:
        job, session, reader = _opened(self)
        run_part(job, part, session, reader)


@lru_cache(maxsize=1)
def _opened(held: HeldJob) -> tuple[RowJob, Session, ParquetReader]:
    """The job, with its session and its reader, which stay until the process has another job or ends."""
    import ray

    job: RowJob = ray.get(held.reference[0])
    return job, job.model.session(threads=held.threads), ParquetReader()
