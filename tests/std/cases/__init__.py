"""The blocks of the standard library with their counterparts in PyTorch, a table for each family."""

from __future__ import annotations

from tests.std.cases import attention, conv, dense, dynamic, embedding, norm, recurrent, transformer, vision

FAMILIES = (dense, conv, vision, embedding, norm, recurrent, attention, transformer, dynamic)
CASES = tuple(case for family in FAMILIES for case in family.CASES)
