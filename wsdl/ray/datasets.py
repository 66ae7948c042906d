"""A model as a step of a Ray Dataset, for those who prepare rows with Ray Data."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from wsdl.api.rows import BATCH, portable_model
from wsdl.diagnostics.run_error import fail
from wsdl.options import COUNT, PATH, takes
from wsdl.ray import errors
from wsdl.ray.cluster import Request, require_cpus
from wsdl.runtime.parts import RowJob, results_of
from wsdl.runtime.row_job import job_of


@takes(path=PATH, batch=COUNT)
def predict(path: str | os.PathLike[str], dataset: Any, workers: Request, *, batch: int = BATCH, **options: Any) -> Any:
    """The rows of a Ray Dataset with the outputs of a `.wsd` or `.onnx` file, and the columns that it doesn't read.

    It is lazy as `dataset` is; when it is read, the model runs on `workers`, `batch` rows at a time. `options` are
    those of a program: `model`, `weights`, `fit`, `seed`, `dims`, `variant`, `import_root`. Raises `RunError` if the
    columns don't fit, and (E0744) if the workers leave no CPU for reading, since Ray Data would wait forever.
    """
    import ray

    available = require_cpus(ray, workers)
    if available <= workers.count * workers.threads:
        raise errors.no_cpu_for_reading(workers.count, workers.threads, available)
    with portable_model(path, **options) as (portable, _):
        packed = portable.packed()
        if not isinstance(packed.model, bytes):
            help = "models with weights of up to 1 GiB in one file can be sent to workers of a dataset"
            raise fail("E0704", "the weights of this model are in another file", file=packed.name, help=help)
        job = job_of("<dataset>", dataset.take_batch(1, batch_format="pyarrow"), packed, packed.session(threads=1))
    return dataset.map_batches(
        BatchModel,
        fn_constructor_args=([ray.put(job)], workers.threads),
        batch_size=batch,
        batch_format="pyarrow",
        num_cpus=workers.threads,
        concurrency=workers.count,
    )


class BatchModel:
    """An actor of Ray Data, with one session for all its batches."""

    def __init__(self, held: list[Any], threads: int) -> None:
        import ray

        job: RowJob = ray.get(held[0])
        self._session = job.model.session(threads=threads)
        self._job = replace(job, model=replace(job.model, model=b""))  # the session has it

    def __call__(self, rows: Any) -> Any:
        return results_of(self._job, self._session, "<dataset>", rows)
