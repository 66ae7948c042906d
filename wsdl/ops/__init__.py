"""The operations of the language, one file per family; importing this package fills `OPERATIONS`."""

from wsdl.ops import (
    activations,
    adaptive_pool,
    attention,
    batch_norm,
    conv,
    conv_gradients,
    creation,
    cumulative,
    distribution,
    dropout,
    einsum,
    elementwise,
    fourier,
    functions,
    gradient,
    grid_sample,
    index,
    loss,
    loss_pairs,
    matmul,
    movement,
    nms,
    norm,
    pad,
    partition,
    pool,
    random,
    recurrent,
    reduce,
    resize,
    resize_matrix,
    scatter,
    segment,
    shape,
    sort,
    spectral,
    unfold,
)
from wsdl.ops._define import NAMED, OPERATIONS, Operation
from wsdl.ops._errors import OpError, collecting_assumptions

FAMILIES = (
    elementwise, functions, activations, matmul, einsum, reduce, cumulative, distribution, shape, movement, pad,
    creation, index, sort, scatter, segment, partition, conv, conv_gradients, unfold, pool, adaptive_pool, resize,
    resize_matrix, grid_sample, nms, norm, batch_norm, attention, spectral, fourier, loss, loss_pairs, dropout, random,
    gradient, recurrent,
)  # fmt: skip

__all__ = ["FAMILIES", "NAMED", "OPERATIONS", "OpError", "Operation", "collecting_assumptions"]
