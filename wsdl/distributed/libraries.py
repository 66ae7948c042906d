"""Communicators of libraries, whose launcher has connected the workers before."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsdl.diagnostics.run_error import fail
from wsdl.distributed.communicator import Communicator

Array = NDArray[Any]


def mpi(communicator: Any = None) -> Communicator:
    """That of mpi4py, by default `MPI.COMM_WORLD`. Start the workers by `mpirun -n 4 python -m mpi4py train.py`, which
    ends all when one fails."""
    return _Mpi(_library("mpi4py.MPI", "mpi4py"), communicator)


def torch(group: Any = None) -> Communicator:
    """That of `torch.distributed`, by default of the process group that `init_process_group` has made. With NCCL arrays
    go through the memory of the GPU that is `torch.cuda.current_device()`."""
    return _Torch(_library("torch", "torch"), group)


def xgboost() -> Communicator:
    """That of `xgboost.collective`, within its `CommunicatorContext`; Ray Train makes one with `XGBoostConfig`. It
    needs no PyTorch."""
    return _XGBoost(_library("xgboost.collective", "xgboost-cpu"))


def _library(module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        message = f"these workers are connected by the package {package.partition('-')[0]}, which can't be imported"
        raise fail("E0719", f"{message}: {error}", help=f"`pip install {package}`") from error


class _Mpi:
    def __init__(self, library: Any, communicator: Any) -> None:
        self._library, self._group = library, communicator or library.COMM_WORLD
        self.rank, self.size = self._group.Get_rank(), self._group.Get_size()

    def all_reduce(self, array: Array) -> None:
        self._group.Allreduce(self._library.IN_PLACE, array)


class _Torch:
    def __init__(self, library: Any, group: Any) -> None:
        self._library, self._group = library, group
        self.rank, self.size = library.distributed.get_rank(group), library.distributed.get_world_size(group)
        on_gpu = library.distributed.get_backend(group) == "nccl"
        self._device = library.device("cuda", library.cuda.current_device()) if on_gpu else None

    def all_reduce(self, array: Array) -> None:
        tensor = self._library.from_numpy(array)
        there = tensor if self._device is None else tensor.to(self._device)
        self._library.distributed.all_reduce(there, group=self._group)
        if there is not tensor:
            tensor.copy_(there)


class _XGBoost:
    def __init__(self, library: Any) -> None:
        self._library = library
        self.rank, self.size = library.get_rank(), library.get_world_size()

    def all_reduce(self, array: Array) -> None:
        np.copyto(array, self._library.allreduce(array, self._library.Op.SUM).reshape(array.shape))
