"""What the workers of a training are connected by."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray


class Communicator(Protocol):
    """The connection of one worker, `rank`, counted from 0, with all others; there are `size` of them.

    Any class with these three can be one. The sum has to be the same to the last bit on all workers, as that of every
    library is that reduces each element once.
    """

    @property
    def rank(self) -> int: ...

    @property
    def size(self) -> int: ...

    def all_reduce(self, array: NDArray[Any]) -> None:
        """Replace an array, contiguous, of u8, i64, f32 or f64, by its sum over all workers, each of which calls this
        with an array of the same shape and dtype."""
