"""The operations of the language, one file per family; importing this package fills `OPERATIONS`."""

from wsdl.ops import attention, conv, creation, elementwise, index, matmul, movement, norm, pool, reduce, resize
from wsdl.ops._define import OPERATIONS, Operation, OpError, collecting_assumptions

FAMILIES = (elementwise, matmul, reduce, movement, creation, index, conv, pool, resize, norm, attention)

__all__ = ["FAMILIES", "OPERATIONS", "OpError", "Operation", "collecting_assumptions"]
