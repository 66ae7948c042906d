"""Copies of the arrays of a training, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from numpy.typing import NDArray

Array = NDArray[Any]


class Snapshot(Mapping[str, Array]):
    """Read-only copies: writing to them would have no effect on the training."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays = {name: _read_only(array) for name, array in arrays.items()}

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __setitem__(self, name: str, array: Any) -> NoReturn:
        raise TypeError(f"this is a copy: `trainer.write({{{name!r}: array}})` changes the state of the training")

    def __repr__(self) -> str:
        return f"<Snapshot of {len(self)} arrays: {', '.join(self)}>"


def _read_only(array: Array) -> Array:
    view: Array = array.view()
    view.flags.writeable = False
    return view
