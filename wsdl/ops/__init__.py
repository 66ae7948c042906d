"""The operations of the language, one file per family; importing this package fills `OPERATIONS`."""

from wsdl.ops import creation, elementwise, index, matmul, movement, reduce
from wsdl.ops._define import OPERATIONS, Operation, OpError, collecting_assumptions

FAMILIES = (elementwise, matmul, reduce, movement, creation, index)

__all__ = ["FAMILIES", "OPERATIONS", "OpError", "Operation", "collecting_assumptions"]
