"""Rows in parts by their group, and back."""

from __future__ import annotations

from torch import Tensor

from tests.ops.case import Case, case, numbers
from wsdl.ir.dims import Dim

GROUP = numbers([2, 0, -1, 2, 1, 2, 3], "int64")  # of seven rows, of which two are in none of three parts
SEVERAL = numbers([[2, 0], [0, 1], [2, 1]], "int64")


def sizes(*numbers: int) -> list[Dim]:
    return [Dim.of(number) for number in numbers]


def parts(x: Tensor, group: Tensor, count: int, most: int = 100) -> tuple[Tensor, ...]:
    return tuple(x[group == i][:most] for i in range(count))


def back(rows: list[Tensor], group: Tensor) -> Tensor:
    result = rows[0].new_zeros(group.numel(), *rows[0].shape[1:])
    for i, part in enumerate(rows):
        at = (group.flatten() == i).nonzero().flatten()[: len(part)]
        result = result.index_put((at,), part)
    return result.reshape(*group.shape, *rows[0].shape[1:])


CASES: tuple[Case, ...] = (
    *(
        case("partition_rows", f"{d}[7, 2, 3]", GROUP, rows=sizes(1, 1, 3), torch=lambda x, g: parts(x, g, 3))
        for d in ("f32", "f16", "i64", "bool")
    ),
    case("partition_rows", "f32[7, 3]", GROUP, rows=sizes(1), torch=lambda x, g: parts(x, g, 1)),
    case("partition_rows", "f32[4]", numbers([1, 3, 1, 0], "int32"), rows=sizes(1, 2, 0, 1),
         torch=lambda x, g: parts(x, g, 4)),
    case(
        "partition_rows", "f32[2, 3, 4]", numbers([[1, 0, 0], [1, 0, 5]], "int64"), rows=sizes(3, 2),
        torch=lambda x, g: parts(x.flatten(0, 1), g.flatten(), 2),
    ),
    case(
        "partition_rows", "f32[3, 4]", SEVERAL, rows=sizes(2, 2, 2), several=True,
        torch=lambda x, g: parts(x.repeat_interleave(2, 0), g.flatten(), 3),
    ),
    case(
        "partition_rows", "f32[7, 3]", GROUP, rows=sizes(1, 1, 2, 1), capacity=1.0,
        torch=lambda x, g: parts(x, g, 4, most=2)
    ),
    case("partition_rows", "f32[0, 3]", "i64[0]", rows=sizes(0, 0), torch=lambda x, g: parts(x, g, 2)),
    *(
        case("unpartition", [f"{d}[1, 4]", f"{d}[1, 4]", f"{d}[3, 4]"], GROUP, torch=back)
        for d in ("f32", "f16", "i64")
    ),
    case("partition", "i64[7, 3]", GROUP, count=3, torch=lambda x, g: parts(x, g, 3)),
    case("unpartition", ["f32[2]", "f32[2]", "f32[2]"], SEVERAL, torch=back),
    case("unpartition", ["f32[1, 4]", "f32[1, 4]", "f32[2, 4]"], GROUP, torch=back),  # one row more than its part
    case("unpartition", ["f32[0, 2]"], "i64[0, 3]", torch=back),
    case(
        "partition_like", "f32[7, 3]", GROUP, ["f32[1, 3]", "f32[1, 3]", "f32[2, 3]"],
        torch=lambda x, g, p: tuple(x[g == i][: len(part)] for i, part in enumerate(p)),
    ),
)  # fmt: skip
