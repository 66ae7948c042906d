"""The number of channels in a block of this CPU's blocked layout (`wsdl.ops.blocked`)."""

from __future__ import annotations

from functools import cache

import numpy as np

from wsdl.diagnostics.run_error import RunError
from wsdl.onnx.probes import FEW, reordering
from wsdl.runtime.loading import load


@cache
def channel_block() -> int:
    """8 or 16 on today's CPUs; 0 where the runtime has no such layout."""
    try:
        session = load(reordering(), "reordering", threads=1)
        (filled,) = session.run(None, {"x": np.zeros((1, FEW, 1, 1), np.float32)})
    except (RunError, RuntimeError):  # an unknown operator, or a CPU without the layout
        return 0
    block = int(filled.shape[1])
    return block if block > FEW else 0
