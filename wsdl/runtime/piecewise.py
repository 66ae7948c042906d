"""The update of large tensors, one piece after the other, each small enough for the cache (`wsdl.passes.pieces`).

Every piece is bound once, where it lies. With several threads each takes its share of the pieces: they are independent,
which is better than to share out each of a dozen short operations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.passes.update import NEXT

Array = NDArray[Any]
PIECE = 1 << 15  # elements; half a dozen such tensors take 0.8 MB


class Piecewise:
    """A session of one of the updates, and its pieces. `tensors` has for each tensor its arrays before and after the
    step, by the name of the session's input; `scalars` what all pieces are given besides."""

    def __init__(
        self, session: Any, tensors: Sequence[Mapping[str, tuple[Array, Array]]], scalars: Mapping[str, Any]
    ) -> None:
        self._session = session
        self._inputs = [value.name for value in session.get_inputs()]
        self._outputs = [value.name for value in session.get_outputs()]
        self._scalars = scalars
        self._bindings = [binding for arrays in tensors for binding in self._bound(arrays)]

    def run(self, pool: ThreadPoolExecutor | None, threads: int) -> None:
        """Update all pieces; the calling thread takes its share."""
        shares = [self._bindings[i::threads] for i in range(threads)]
        others = [pool.submit(self._take, share) for share in shares[1:] if share] if pool else []
        self._take(shares[0])
        for other in others:
            other.result()

    def _take(self, bindings: Sequence[Any]) -> None:
        for binding in bindings:
            self._session.run_with_iobinding(binding)

    def _bound(self, arrays: Mapping[str, tuple[Array, Array]]) -> list[Any]:
        from onnxruntime import OrtValue

        count = -(-next(iter(arrays.values()))[0].size // PIECE)
        old, new = ({name: np.array_split(pair[i].reshape(-1), count) for name, pair in arrays.items()} for i in (0, 1))
        bindings = []
        for k in range(count):
            binding = self._session.io_binding()
            before = {name: OrtValue.ortvalue_from_numpy(pieces[k]) for name, pieces in old.items()}
            for name in self._inputs:
                binding.bind_ortvalue_input(name, self._scalars.get(name) or before[name])
            for output in self._outputs:
                name = output.removeprefix(NEXT)
                is_in_place = arrays[name][0] is arrays[name][1]
                after = before[name] if is_in_place else OrtValue.ortvalue_from_numpy(new[name][k])
                binding.bind_ortvalue_output(output, after)
            bindings.append(binding)
        return bindings
