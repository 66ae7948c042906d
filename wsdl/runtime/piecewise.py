"""The update of large tensors, one piece after the other, each small enough for the cache (`wsdl.training.pieces`).

Every piece is bound once, in place. Pieces are independent, so several threads each take a share of them, which is
faster than splitting each of a dozen short operations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.ir.phase import Phase
from wsdl.ir.step import NextPiece, Piece, Shared

Array = NDArray[Any]
PIECE = 1 << 15  # elements; half a dozen such tensors take 0.8 MB


class Piecewise:
    """A session for one of the updates, `phase`, and its pieces. `tensors` has for each parameter the arrays before and
    after the step; `shared` the inputs common to all pieces."""

    def __init__(
        self,
        session: Any,
        phase: Phase,
        tensors: Sequence[Mapping[Piece, tuple[Array, Array]]],
        shared: Mapping[Shared, Any],
    ) -> None:
        self._session, self._phase, self._shared = session, phase, shared
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

    def _bound(self, arrays: Mapping[Piece, tuple[Array, Array]]) -> list[Any]:
        from onnxruntime import OrtValue

        count = -(-next(iter(arrays.values()))[0].size // PIECE)
        old, new = ({p: np.array_split(pair[i].reshape(-1), count) for p, pair in arrays.items()} for i in (0, 1))
        bindings = []
        for k in range(count):
            binding = self._session.io_binding()
            before = {piece: OrtValue.ortvalue_from_numpy(parts[k]) for piece, parts in old.items()}
            for name, port in self._phase.inputs.items():
                if isinstance(port, Piece):
                    binding.bind_ortvalue_input(name, before[port])
                elif isinstance(port, Shared):
                    binding.bind_ortvalue_input(name, self._shared[port])
            for output in self._phase.values(NextPiece):
                is_in_place = arrays[output.of][0] is arrays[output.of][1]
                after = before[output.of] if is_in_place else OrtValue.ortvalue_from_numpy(new[output.of][k])
                binding.bind_ortvalue_output(output.name, after)
            bindings.append(binding)
        return bindings
