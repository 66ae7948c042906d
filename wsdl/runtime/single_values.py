"""Layers that normalize by the batch need more than one value for each channel: is that so in all batches of a run?

The mean of one value is the value itself: what is normalized is 0, whatever it was, and there is no variance. PyTorch
stops at such a batch. Here a run in which all batches are such is refused before it begins; where only the last batch
of an epoch is, that is said, and its statistics are left out.
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
    layers: Sequence[Normalized], signature: Mapping[str, TensorType], batches: Batches, accumulate: int
) -> str | None:
    """What to say of the last batch, if anything. Raises `RunError` where a part of each batch has one value for a
    channel."""
    rows = rows_of(signature)
    sizes = bind_sizes(list(signature.values()), [batches.arrays[name].shape for name in signature])

    def single(count: int) -> list[str]:
        """The layers with one value for a channel in the smallest part of a batch of so many rows."""
        there = {**sizes, rows: count // min(accumulate, count)}
        return [v.layer for v in layers if v.count.names() <= there.keys() and v.count.evaluate(there) < 2]

    full, rest = min(batches.size, batches.rows), batches.rows % batches.size
    if single_valued := single(full):
        parts = f", computed in {min(accumulate, full)} parts" if accumulate > 1 else ""
        raise fail(
            "E0832",
            f"`{single_valued[0]}` can't normalize by a batch of {_rows(full)}{parts}: it has one value for a channel",
            help=f"take {'fewer parts' if parts else 'larger batches'}, or a norm that looks at one row only, such as "
            "LayerNorm; a layer that is frozen can normalize by its running statistics: `freeze PATH eval`",
        )
    if rest and (single_valued := single(rest)):
        parts = f", computed in {min(accumulate, rest)} parts" if min(accumulate, rest) > 1 else ""
        others = f" and {len(single_valued) - 1} more layers" if len(single_valued) > 1 else ""
        return (
            f"the last batch of an epoch has {_rows(rest)}{parts}, which is one value for a channel in "
            f"`{single_valued[0]}`{others}; running statistics take no notice of it"
        )
    return None


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"
