"""Communicators: sums over workers, in threads and by the libraries that are installed here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch.distributed

from wsdl import distributed
from wsdl.diagnostics.run_error import RunError
from wsdl.distributed import Communicator, in_threads

DTYPES = ("u1", "i8", "f4", "f8")


@pytest.fixture
def group(tmp_path: Path) -> Iterator[None]:
    """A process group of PyTorch with this process alone."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def sums(own: Communicator) -> list[Any]:
    """Of arrays of each dtype, whose elements are the rank and one more."""
    arrays = [np.array([own.rank, own.rank + 1], dtype) for dtype in DTYPES]
    for array in arrays:
        own.all_reduce(array)
    return arrays


def test_threads() -> None:
    for arrays in in_threads(3, sums):
        for array, dtype in zip(arrays, DTYPES, strict=True):
            assert array.dtype == dtype
            np.testing.assert_array_equal(array, [3, 6])


def test_a_thread_that_fails_ends_those_that_wait() -> None:
    def work(own: Communicator) -> list[Any]:
        if own.rank == 1:
            raise ValueError("of rank 1")
        return sums(own)

    with pytest.raises(ValueError, match="of rank 1"):
        in_threads(3, work)


@pytest.mark.usefixtures("group")
def test_torch() -> None:
    own = distributed.torch()
    assert (own.rank, own.size) == (0, 1)
    for array in sums(own):
        np.testing.assert_array_equal(array, [0, 1])


@pytest.mark.parametrize(("make", "package"), [(distributed.mpi, "mpi4py"), (distributed.xgboost, "xgboost")])
def test_other_libraries_are_asked_for(make: Any, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(RunError) as caught:
        make()
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == "E0719"
    assert diagnostic.message.startswith(f"these workers are connected by the package {package}, which can't be")
