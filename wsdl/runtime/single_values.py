"""Layers that normalize by the batch need more than one value per channel; checks that all batches of a run have that.

The mean of one value is the value itself: its normalized value is always 0, and it has no variance. PyTorch stops at
such a batch. Here a run in which all batches are such is refused before it starts; where only the last batch of an
epoch is, a note says so, and its statistics are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wsdl.diagnostics.run_error import fail
from wsdl.ir.binding import bind_sizes
from wsdl.ir.training import Normalized
from wsdl.ir.types import TensorType
from wsdl.runtime.arrays import rows_of
from wsdl.runtime.batches import Batches


def check_batches(
    layers: Sequence[Normalized], signature: Mapping[str, TensorType], batches: Batches, parts: int
) -> str | None:
    """A note on the last batch, if it has one value per channel. Raises `RunError` if a part of each batch has. `parts`
    are those of a batch, of all workers together."""
    rows = rows_of(signature)
    sizes = bind_sizes(list(signature.values()), [batches.arrays[name].shape for name in signature])

    def single(count: int) -> list[str]:
        """The layers with one value per channel in the smallest part of a batch of `count` rows."""
        there = {**sizes, rows: count // min(parts, count)}
        return [v.layer for v in layers if v.count.names() <= there.keys() and v.count.evaluate(there) < 2]

    full, rest = min(batches.size, batches.rows), batches.rows % batches.size
    if single_valued := single(full):
        in_parts = f", computed in {min(parts, full)} parts" if parts > 1 else ""
        use = "fewer parts" if in_parts else "larger batches"
        raise fail(
            "E0832",
            f"`{single_valued[0]}` can't normalize a batch of {_rows(full)}{in_parts}: it has one value per channel",
            help=f"use {use}, or a norm of single rows, such as LayerNorm; a "
            "frozen layer can normalize by its running statistics: `freeze PATH eval`",
        )
    if rest and (single_valued := single(rest)):
        in_parts = f", computed in {min(parts, rest)} parts" if min(parts, rest) > 1 else ""
        others = f" and {len(single_valued) - 1} more layers" if len(single_valued) > 1 else ""
        return (
            f"the last batch of an epoch has {_rows(rest)}{in_parts}, which is one value per channel in "
            f"`{single_valued[0]}`{others}; running statistics ignore it"
        )
    return None


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"
