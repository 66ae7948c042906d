"""Whether the rows of a batch stay independent where a scan over numbers ends early.

An `until` reads all rows and ends the loop for all, so each row depends on the others. That isn't so where each row
halts by itself, and later steps don't change it:

    scan step in 0..most with h = x, done = zeros([n], bool) {
        h = where(done, h, cell(h))
        until min(done or close(h))
        done = done or close(h)
    }

Here every carried value stays the same in rows where `done` is true, `done` remains true, and the loop ends when it is
true in all rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from wsdl.ir.graph import Node, Value
from wsdl.ops.node_arguments import ScanParts

MOVES = ("unsqueeze", "reshape", "expand", "squeeze")  # that leave the rows of a mask as they are


@dataclass(frozen=True)
class Mask:
    """A carried bool `before` and `after` a step. It is true in rows that have halted if `done`, otherwise false."""

    before: Value
    after: Value
    done: bool


def ends_by_rows(node: Node) -> bool:
    """Whether the `until` of a scan only waits until all rows have halted, and steps don't change those that have."""
    parts, body = ScanParts.of(node), node.body
    assert body is not None
    if parts.emit_axes:  # the results depend on the number of steps
        return False
    producers = body.producers()
    carried = list(zip(body.inputs[: parts.carried], body.outputs[: parts.carried], strict=True))
    end = producers.get(body.outputs[parts.carried])
    waits_for = "min"
    if end is not None and end.op == "logical_not":
        end, waits_for = producers.get(end.inputs[0]), "max"
    if end is None or end.op != waits_for or end.attributes["axis"] is not None:
        return False
    mask = next((Mask(b, a, waits_for == "min") for b, a in carried if end.inputs[0] in (b, a)), None)
    if mask is None or not _remains(mask, producers):
        return False
    return all(b is mask.before or a is b or _is_kept(b, a, mask, producers) for b, a in carried)


def _remains(mask: Mask, producers: dict[Value, Node]) -> bool:
    """Whether a row that has halted stays halted."""
    node = producers.get(mask.after)
    return node is not None and node.op == ("logical_or" if mask.done else "logical_and") and mask.before in node.inputs


def _is_kept(before: Value, after: Value, mask: Mask, producers: dict[Value, Node]) -> bool:
    """Whether a carried value stays the same in rows that have halted."""
    node = producers.get(after)
    if node is None or node.op != "where" or node.inputs[1 if mask.done else 2] is not before:
        return False
    condition: Value | None = node.inputs[0]
    while condition is not None and condition not in (mask.before, mask.after):
        moved = producers.get(condition)
        condition = moved.inputs[0] if moved is not None and moved.op in MOVES else None
    return condition is not None
