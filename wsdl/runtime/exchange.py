"""What the workers of a training exchange in a step, all of it as sums of arrays over the workers (`Communicator`).

Every worker calls the same methods in the same order. What one computes in between may fail: it tells the others in
the next exchange, so that none waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.diagnostics.run_error import RunError, fail
from wsdl.distributed import Communicator
from wsdl.ir.step import Merge, Port
from wsdl.ir.types import TensorType
from wsdl.runtime.tally import Sizes, Tally

Array = NDArray[Any]
ALIGNED = 16  # elements; tensors begin at multiples of 64 bytes, as allocated ones do


class Exchange:
    """One worker among others; without a communicator it is alone, and nothing is exchanged.

    `wants_stop` is what this worker wants, `stops` what all have agreed upon in the last `sizes`: one suffices.
    """

    def __init__(self, workers: Communicator | None = None) -> None:
        self._workers = workers
        self.rank, self.size = (0, 1) if workers is None else (workers.rank, workers.size)
        self.wants_stop = self.stops = False

    @property
    def is_alone(self) -> bool:
        return self.size == 1

    # -- small exchanges -----------------------------------------------------------------------------------------------

    def gathered(self, length: int, compute: Callable[[], Sequence[float] | Array]) -> Array:
        """The numbers that each worker computes, f64[workers, length]. Raises `RunError` (E0836) where that failed on
        another worker; on that one its own error is raised."""
        table, error = np.zeros((self.size, 1 + length)), None
        try:
            table[self.rank, 1:] = compute()
        except Exception as failure:
            if self._workers is None:
                raise
            table[self.rank], error = 0, failure
            table[self.rank, 0] = 1
        if self._workers is not None:
            self._workers.all_reduce(table)
        if error is not None:
            raise error
        if table[:, 0].any():
            raise self.stopped(table[:, 0])
        return table[:, 1:]

    def stopped(self, failures: Array) -> RunError:
        """The error for a step that others can't make: `failures` are not 0 for workers with an error of their own."""
        rank = int(np.flatnonzero(failures)[0])
        return fail("E0836", f"worker {rank} of {self.size} has stopped", help="its own error says why")

    def agreed(self, compute: Callable[[], Any]) -> Any:
        """What this worker computes, when all others have computed theirs; raises as `gathered` does."""
        results: list[Any] = []

        def computed() -> Sequence[float]:
            results.append(compute())
            return ()

        self.gathered(0, computed)
        return results[0]

    @contextmanager
    def entered(self, context: AbstractContextManager[Any]) -> Iterator[None]:
        """Enter a context where all workers can."""
        with ExitStack() as stack:
            self.agreed(lambda: stack.enter_context(context))
            yield

    def sizes(self, steps: int, whole: Sizes, own: Callable[[], Sizes]) -> tuple[Sizes, int]:
        """The sizes of the whole batch, `whole` with those of the parts of all workers, and the number of rows of the
        workers before this one. `steps` is the number of steps so far."""
        if self.is_alone:
            return own(), 0
        names = sorted({name for type in whole.signature.values() for dim in type.shape for name in dim.names()})

        def numbers() -> list[int]:
            sizes = own()
            return [steps, self.wants_stop, sizes.parts, *(n for name in names for n in sizes.range_of(name))]

        table = self.gathered(3 + 2 * len(names), numbers).astype(np.int64).tolist()
        if len({row[0] for row in table}) > 1:
            counts = ", ".join(str(row[0]) for row in table)
            message = f"the workers have made different numbers of steps: {counts}"
            raise fail("E0837", message, help="begin all with the same checkpoint, and let each make every step")
        self.stops = any(row[1] for row in table)
        before = 0
        for rank, (_, _, parts, *limits) in enumerate(table):
            before = whole.count if rank == self.rank else before
            whole.add_parts(parts, dict(zip(names, zip(limits[::2], limits[1::2], strict=True), strict=True)))
        return whole, before

    def merged(self, merges: Sequence[Merge], sizes: Sizes, own: Callable[[], Tally]) -> Tally:
        """The values of all workers merged, from those of the parts of each."""
        if self.is_alone:
            return own()
        whole = Tally(merges)
        shapes = [sizes.shape(whole.type) for merge in whole.merges for whole in merge.wholes]
        ends = np.cumsum([1, *(int(np.prod(shape)) for shape in shapes)])

        def numbers() -> Array:
            merged = own().merged
            if not merged:
                return np.zeros(ends[-1])
            return np.concatenate([[1.0], *(np.ravel(array) for array in merged)])

        for row in self.gathered(int(ends[-1]), numbers):
            if row[0]:
                parts = zip(pairwise(ends), shapes, strict=True)
                whole.add([row[low:high].reshape(shape) for (low, high), shape in parts])
        return whole

    # -- large ones ----------------------------------------------------------------------------------------------------

    def add_up(self, array: Array) -> None:
        """Replace an array by its sum over the workers."""
        if self._workers is not None and not self.is_alone:
            self._workers.all_reduce(array)

    def concatenated(self, array: Array) -> Array:
        """The rows that all workers have, in their order."""
        counts = self.gathered(1, lambda: [len(array)])[:, 0].astype(int)
        whole, before = np.zeros((counts.sum(), *array.shape[1:]), array.dtype), counts[: self.rank].sum()
        whole[before : before + len(array)] = array
        self.add_up(whole.reshape(-1).view(np.uint8))
        return whole

    def begin_alike(self, arrays: Mapping[str, Array], program: str) -> dict[str, Array]:
        """The arrays of worker 0 on each. Raises `RunError` (E0838) where another one runs another program."""
        shapes = "".join(f"{name}{array.dtype}{array.shape}" for name, array in sorted(arrays.items()))
        digest = np.frombuffer(blake2b((program + shapes).encode(), digest_size=16).digest(), np.uint32)
        table = self.gathered(len(digest), lambda: digest)
        others = np.flatnonzero((table != table[0]).any(axis=1))
        if len(others):
            message = f"worker {others[0]} of {self.size} runs another program, or with other settings, than worker 0"
            raise fail("E0838", message, help="give all workers the same file, weights and options")
        return {name: self._of_first(array) for name, array in sorted(arrays.items())}

    def _of_first(self, array: Array) -> Array:
        """The array of worker 0: zeros of the others are added to it, byte by byte."""
        own = np.array(array if self.rank == 0 else np.zeros_like(array), order="C")
        self.add_up(own.reshape(-1).view(np.uint8))
        return own


class Wire:
    """Tensors in one flat buffer, f32 or f64, which is added up over the workers at once: each tensor crosses once,
    however many uses it has in the model."""

    def __init__(self, types: Mapping[Port, TensorType]) -> None:
        is_wide = any(type.dtype == "f64" for type in types.values())
        counts = [type.elements.constant or 0 for type in types.values()]
        ends = np.cumsum([0, *(-(-count // ALIGNED) * ALIGNED for count in counts)])
        self.flat = np.zeros(int(ends[-1]), np.float64 if is_wide else np.float32)
        self._views = {
            port: self.flat[start : start + count].reshape(type.sizes)
            for (port, type), start, count in zip(types.items(), ends[:-1], counts, strict=True)
        }

    def __getitem__(self, port: Port) -> Array:
        """The memory of a tensor."""
        return self._views[port]
