"""Communicators: how the workers of a training add up their arrays.

    trainer = wsdl.compile("m.wsd").trainer(batch=64, workers=distributed.mpi())

Each is of a library that the launcher of the workers brings along, which is imported when it is asked for.
"""

from wsdl.distributed.communicator import Communicator
from wsdl.distributed.libraries import mpi, torch, xgboost
from wsdl.distributed.threads import in_threads

__all__ = ["Communicator", "in_threads", "mpi", "torch", "xgboost"]
