"""Refuses initial values that don't fit into the memory of this machine, before any of it is allocated."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from wsdl.diagnostics import CompileError, Diagnostic, limits
from wsdl.diagnostics.figures import size
from wsdl.ir.graph import Stored
from wsdl.ir.types import BYTES

LISTED = 5  # of the largest parameters


def check_memory(tensors: Sequence[Stored], memory: int | None = None) -> None:
    """Raises `CompileError` if the tensors to draw take more bytes than this machine has."""
    for stored in tensors:
        _require_drawable(stored)
    room = memory_of_machine() if memory is None else memory
    sizes = {s.name: s.elements * BYTES[s.type.dtype] for s in tensors}
    total = sum(sizes.values())
    if total <= room:
        return
    largest = sorted(tensors, key=lambda s: -sizes[s.name])[:LISTED]
    raise CompileError([
        Diagnostic(
            "E0709",
            f"the initial values take {size(total)}, and this machine has {size(room)} of memory",
            largest[0].root.layer_span,
            f"`{largest[0].name}`: {size(sizes[largest[0].name])}",
            details=("the largest:", *(f"  {size(sizes[s.name]):>9}  {s.name} {s.type}" for s in largest)),
            help="make a layer smaller, share more, or provide the weights as a file: `load`, `--weights`",
        )
    ])  # fmt: skip


def _require_drawable(stored: Stored) -> None:
    """Raises `CompileError` for an orthogonal matrix whose decomposition would take hours and ten times its memory."""
    rows = stored.sizes[0] if stored.sizes else 1
    work = stored.elements * min(rows, stored.elements // max(rows, 1))
    if stored.initializer.name != "orthogonal" or work <= limits.ORTHOGONAL:
        return
    raise CompileError([
        Diagnostic(
            "E0602",
            f"the orthogonal initial value of `{stored.root.path}`, {stored.type}, is too large to compute",
            stored.root.span,
            f"needs a decomposition of {stored.elements:,} values",
            help="use another initializer, such as `normal(std=0.02)`, or provide the weights as a file",
        )
    ])  # fmt: skip


def memory_of_machine() -> int:
    """Bytes of memory of this machine; unlimited where the system doesn't tell."""
    try:
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows
        return sys.maxsize
    import resource

    allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
    return physical if allowed == resource.RLIM_INFINITY else min(physical, allowed)
