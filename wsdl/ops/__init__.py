"""The operations of the language, one file per family; importing this package fills `OPERATIONS`."""

from wsdl.ops import (
    attention,
    batch_norm,
    conv,
    conv_gradients,
    creation,
    dropout,
    elementwise,
    index,
    loss,
    loss_pairs,
    matmul,
    movement,
    norm,
    pool,
    reduce,
    resize,
    shape,
)
from wsdl.ops._define import OPERATIONS, Operation, OpError, collecting_assumptions

FAMILIES = (
    elementwise, matmul, reduce, shape, movement, creation, index, conv, conv_gradients, pool, resize, norm, batch_norm,
    attention, loss, loss_pairs, dropout,
)  # fmt: skip

__all__ = ["FAMILIES", "OPERATIONS", "OpError", "Operation", "collecting_assumptions"]
