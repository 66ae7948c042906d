"""How many channels the blocked layout of this CPU has together (`wsdl.ops.blocked`)."""

from __future__ import annotations

from functools import cache

import numpy as np

from wsdl.diagnostics.run_error import RunError
from wsdl.onnx.probes import FEW, reordering
from wsdl.runtime.loading import load


@cache
def channel_block() -> int:
    """8 or 16 on the CPUs that there are today; 0 where the runtime has no such layout."""
    try:
        session = load(reordering(), "reordering", threads=1)
        (filled,) = session.run(None, {"x": np.zeros((1, FEW, 1, 1), np.float32)})
    except (RunError, RuntimeError):  # of an unknown operator, and of a CPU for which it isn't made
        return 0
    block = int(filled.shape[1])
    return block if block > FEW else 0
