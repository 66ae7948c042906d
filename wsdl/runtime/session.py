"""Running a compiled model: NumPy arrays in, NumPy arrays out.

Arrays are checked before they are passed to ONNX Runtime, and errors use the names in the `.wsd` file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.diagnostics.html import html_table
from wsdl.diagnostics.run_error import fail
from wsdl.ir.binding import dim_of_text
from wsdl.ir.dims import Dim
from wsdl.ir.dtypes import OF_RUNTIME
from wsdl.ir.types import TensorType
from wsdl.onnx.index_reads import IndexRead, reads_in_file
from wsdl.options import COUNT, FLAG, NAME, Optional, checked
from wsdl.runtime import bfloat16
from wsdl.runtime.arrays import check_inputs, rows_of
from wsdl.runtime.indices import check_indices
from wsdl.runtime.loading import load, run_failure

Array = NDArray[Any]


class Session:
    """A loaded model: `session(ids=ids)["logits"]` takes and returns NumPy arrays.

    `inputs` and `outputs` are the types by name. With `prepack=False` weights are used as they are in the file, so
    models (and processes) with a common data file share its memory; matrix products on few rows are then up to twice as
    slow. `indices` says which inputs are indices, if the model isn't a file from which that can be read.
    """

    def __init__(
        self,
        model: bytes | str | Path,
        *,
        device: str = "cpu",
        threads: int | None = None,
        prepack: bool = True,
        indices: Callable[[], list[IndexRead]] | None = None,
        name: str | None = None,
    ) -> None:
        device, threads = checked("device", NAME, device), checked("threads", Optional(COUNT), threads)
        prepack = checked("prepack", FLAG, prepack)
        self.name = name or ("<bytes>" if isinstance(model, bytes) else str(model))
        self.device = device
        self._session = load(model, self.name, device, threads, prepack=prepack)
        self._find_indices = indices or partial(reads_in_file, self.name)
        self._indices = [] if device == "cpu" else self._find_indices()  # other devices don't check indices
        self.inputs = {arg.name: _type(arg) for arg in self._session.get_inputs()}
        self.outputs = {arg.name: _type(arg) for arg in self._session.get_outputs()}

    def _repr_html_(self) -> str:
        """What a notebook shows: inputs and outputs with their types."""
        ports = [("input", *p) for p in self.inputs.items()] + [("output", *p) for p in self.outputs.items()]
        return html_table(("", "name", "type"), [(kind, name, str(type)) for kind, name, type in ports])

    def __call__(self, **arrays: Any) -> dict[str, Array]:
        return self.run(arrays)

    def run(self, arrays: Mapping[str, Any], *, batch: int | None = None) -> dict[str, Array]:
        """The outputs by name. With `batch`, that many rows of the leading dynamic dimension run at a time, for data
        that doesn't fit into memory (a memory-mapped array is read in parts)."""
        inputs = check_inputs(self.inputs, arrays)
        if batch is None:
            return self._outputs(inputs)
        return self._in_batches(inputs, checked("batch", COUNT, batch))

    def _outputs(self, arrays: Mapping[str, Array], first_row: int = 0) -> dict[str, Array]:
        check_indices(self._indices, arrays, first_row)
        rows = {name: np.asarray(a, order="C") for name, a in arrays.items()}
        has_bf16 = any(type.dtype == "bf16" for type in [*self.inputs.values(), *self.outputs.values()])
        try:
            results = bfloat16.run(self._session, rows) if has_bf16 else self._session.run(None, rows)
        except Exception as error:  # ONNX Runtime has a dozen classes of them, without a common one
            check_indices(self._find_indices(), arrays, first_row)
            raise run_failure(error, self.name, arrays) from error
        return dict(zip(self.outputs, results, strict=True))

    # -- batches -------------------------------------------------------------------------------------------------------

    def _in_batches(self, arrays: Mapping[str, Array], batch: int) -> dict[str, Array]:
        rows = self.row_dimension()
        sliced = [name for name, type in self.inputs.items() if leads(type, rows)]
        count = len(arrays[sliced[0]])
        results: dict[str, Array] = {}
        for start in range(0, max(count, 1), batch):
            piece = {name: a[start : start + batch] if name in sliced else a for name, a in arrays.items()}
            for name, part in self._outputs(piece, start).items():
                if start == 0:
                    results[name] = np.empty((count, *part.shape[1:]), part.dtype)
                results[name][start : start + batch] = part
        return results

    def row_dimension(self) -> str:
        """The dynamic dimension that is the first axis of some input and of every output. Raises `RunError` (E0713) if
        the outputs of batches can't be concatenated."""
        rows = rows_of(self.inputs)
        for name, type in {**self.inputs, **self.outputs}.items():
            elsewhere = any(rows in dim.names() for dim in type.shape[0 if name in self.outputs else 1 :])
            if not leads(type, rows) if name in self.outputs else elsewhere:
                raise fail(
                    "E0713",
                    f"`{name}` is {type}, so it can't be concatenated from batches of {rows}",
                    help="run it without a batch size",
                )
        return rows


def leads(type: TensorType, rows: str) -> bool:
    """Is this the size of the first axis, and of no other?"""
    return type.rank > 0 and type.shape[0].name == rows and not any(rows in dim.names() for dim in type.shape[1:])


def _type(arg: Any) -> TensorType:
    """The type of an input or output as the file declares it; an axis without a name gets a dynamic dimension of its
    own."""
    shape = [
        Dim.of(size) if isinstance(size, int) else dim_of_text(size or f"{arg.name}.{axis}")
        for axis, size in enumerate(arg.shape)
    ]
    if arg.type not in OF_RUNTIME:
        raise fail("E0715", f"`{arg.name}` is a {arg.type}, which has no counterpart in the language")
    return TensorType(OF_RUNTIME[arg.type], tuple(shape))
