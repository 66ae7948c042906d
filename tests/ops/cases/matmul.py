"""The matrix product, and picking by index."""

from __future__ import annotations

import torch

from tests.ops.case import FLOATS, INTEGERS, below, case, numbers

SHAPES = [
    ("[3, 4]", "[4, 5]"), ("[4]", "[4]"), ("[4]", "[4, 5]"), ("[3, 4]", "[4]"), ("[2, 3, 4]", "[4, 5]"),
    ("[2, 3, 4]", "[4]"), ("[4]", "[2, 4, 5]"), ("[2, 3, 4]", "[2, 4, 5]"), ("[6, 1, 3, 4]", "[2, 4, 5]"),
    ("[0, 4]", "[4, 5]"), ("[0, 3, 4]", "[4, 5]"), ("[3, 1]", "[1, 5]"),
]  # fmt: skip

EQUATIONS = [
    ("ij,jk", "f32[3, 4]", "f32[4, 5]"), ("ij,kj->ik", "f32[3, 4]", "f32[5, 4]"), ("i,j->ij", "f32[3]", "f32[4]"),
    ("i,i->", "f32[4]", "f32[4]"), ("ij->ji", "f32[3, 4]"), ("ij->", "f32[3, 4]"), ("ii->i", "f32[4, 4]"),
    ("ii", "f32[4, 4]"), ("iij,jj->ij", "f32[3, 3, 2]", "f32[2, 2]"), ("ba", "f32[3, 4]"),
    ("bqhd,bkhd->bhqk", "f32[2, 3, 2, 4]", "f32[2, 5, 2, 4]"),
    ("bhqk,bkhd->bqhd", "f32[2, 2, 3, 5]", "f32[2, 5, 2, 4]"),
    ("...ij,...jk->...ik", "f32[2, 6, 3, 4]", "f32[2, 6, 4, 5]"), ("...ij,jk->...ik", "f32[2, 6, 3, 4]", "f32[4, 5]"),
    ("b...c->bc...", "f32[2, 3, 4, 5]"), ("ij,jk,kl->il", "f32[2, 3]", "f32[3, 4]", "f32[4, 5]"),
    ("bi,oij,bj->bo", "f32[2, 3]", "f32[6, 3, 4]", "f32[2, 4]"), ("ijk,ijk->k", "f32[2, 3, 4]", "f32[2, 3, 4]"),
    ("ij,kl->", "f32[2, 3]", "f32[4, 2]"), ("ij,k->ik", "f32[2, 3]", "f32[4]"),
    ("nij,njk->nik", "f32[0, 3, 4]", "f32[0, 4, 5]"),
    ("i j , j -> i", "f32[1, 4]", "f32[4]"), ("ij,ij->ij", "f32[2, 3]", "f32[2, 3]"), (",i->i", "f32[]", "f32[3]"),
]  # fmt: skip


class Einsum:
    """PyTorch's, of a list of operands."""

    def __init__(self, equation: str) -> None:
        self.equation = equation

    def __call__(self, xs: list[torch.Tensor]) -> torch.Tensor:
        return torch.einsum(self.equation, *xs)


def first(x: torch.Tensor, k: int, axis: int, largest: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """The first `k` by size; PyTorch's own `topk` takes any of equal ones."""
    values, places = x.sort(dim=axis, descending=largest, stable=True)
    return values.narrow(axis, 0, k), places.narrow(axis, 0, k)


CASES = [
    *(case("matmul", f"f32{a}", f"f32{b}", torch=torch.matmul) for a, b in SHAPES),
    *(case("matmul", f"{d}[3, 4]", f"{d}[4, 5]", torch=torch.matmul) for d in (*FLOATS, "i32", "i64")),
    *(
        case("gather", f"{d}[5, 3]", below(5, "i64[2, 2]"), torch=lambda x, i: x[i])
        for d in (*FLOATS, *INTEGERS, "bool")
    ),
    *(case("gather", "f32[5, 3]", below(5, f"{d}[4]"), torch=lambda x, i: x[i.long()]) for d in INTEGERS),
    case("gather", "f32[5, 3]", below(3, "i64[2, 2]", -3), axis=1, torch=lambda x, i: x[:, i]),
    case("gather", "f32[5, 3, 2]", below(3, "i64[4]"), axis=-2, torch=lambda x, i: x[:, i]),
    case("gather", "f32[5]", below(5, "i64[]"), torch=lambda x, i: x[i]),
    case("gather", "f32[5, 3]", "i64[0]", torch=lambda x, i: x[i]),
    *(
        case(
            "take_along",
            f"{d}[4, 5]",
            below(5, "i64[4, 1]"),
            axis=-1,
            torch=lambda x, i: x.gather(1, i),
        )
        for d in (*FLOATS, *INTEGERS, "bool")
    ),
    case("take_along", "f32[4, 5]", below(4, "i32[7, 5]"), axis=0, torch=lambda x, i: x.gather(0, i.long())),
    case("take_along", "f32[2, 3, 4]", below(4, "u8[2, 3, 2]"), axis=2, torch=lambda x, i: x.gather(2, i.long())),
    case("take_along", "f32[0, 5]", "i64[0, 1]", axis=1, torch=lambda x, i: x.gather(1, i)),
    *(
        case(
            "scatter_add",
            f"{d}[5, 3]",
            below(5, "i64[2, 4]"),
            f"{d}[2, 4, 3]",
            torch=lambda x, i, u: x.index_add(0, i.flatten(), u.flatten(0, 1)),
            slack=2,
        )
        for d in FLOATS
    ),
    *(
        case(
            "scatter_add",
            "f32[5, 3]",
            below(5, f"{d}[9]"),
            "f32[9, 3]",
            torch=lambda x, i, u: x.index_add(0, i.long(), u),
        )
        for d in INTEGERS
    ),
    case(
        "scatter_add",
        "f32[5, 3]",
        below(3, "i64[7]", -3),
        "f32[5, 7]",
        axis=1,
        torch=lambda x, i, u: x.index_add(1, i % 3, u),
    ),
    case(
        "scatter_add",
        "f32[2, 3, 4]",
        below(3, "i64[2, 2]"),
        "f32[2, 2, 2, 4]",
        axis=-2,
        torch=lambda x, i, u: x.index_add(1, i.flatten(), u.flatten(1, 2)),
    ),
    case("scatter_add", "f32[5]", below(5, "i64[]"), "f32[]", torch=lambda x, i, u: x.index_add(0, i[None], u[None])),
    case("scatter_add", "f32[5, 3]", "i64[0]", "f32[0, 3]", torch=lambda x, i, u: x),
    case("scatter_add", "f32[5, 0]", below(5, "i64[2]"), "f32[2, 0]", torch=lambda x, i, u: x),
    *(
        case(
            "scatter_add_along",
            f"{d}[4, 5]",
            below(5, "i64[4, 7]"),
            f"{d}[4, 7]",
            axis=-1,
            torch=lambda x, i, u: x.scatter_add(1, i, u),
            slack=2,
        )
        for d in FLOATS
    ),
    case(
        "scatter_add_along",
        "f32[2, 3, 4]",
        below(3, "u8[2, 7, 4]"),
        "f32[2, 7, 4]",
        axis=1,
        torch=lambda x, i, u: x.scatter_add(1, i.long(), u),
    ),
    case(
        "scatter_add_along",
        "f32[4]",
        below(4, "i64[6]", -4),
        "f32[6]",
        axis=0,
        torch=lambda x, i, u: x.scatter_add(0, i % 4, u),
    ),
    case("scatter_add_along", "f32[0, 5]", "i64[0, 1]", "f32[0, 1]", axis=1, torch=lambda x, i, u: x),
    *(case("gemm", f"{d}[3, 4]", f"{d}[4, 5]", torch=torch.matmul) for d in FLOATS),
    case("gemm", "f32[4, 3]", "f32[4, 5]", trans_a=True, torch=lambda a, b: a.T @ b),
    case("gemm", "f32[3, 4]", "f32[5, 4]", trans_b=True, torch=lambda a, b: a @ b.T),
    case("gemm", "f32[4, 3]", "f32[5, 4]", trans_a=True, trans_b=True, torch=lambda a, b: a.T @ b.T),
    case("gemm", "f32[0, 3]", "f32[0, 5]", trans_a=True, torch=lambda a, b: a.T @ b),
    case("gemm", "f32[0, 4]", "f32[4, 5]", torch=lambda a, b: a @ b),
    *(
        case("topk", f"{d}[3, 7]", k=3, largest=up, torch=lambda x, up=up: first(x, 3, 1, up))
        for d in (*FLOATS, *INTEGERS)
        for up in (True, False)
    ),
    case("topk", numbers([[2.0, 5.0, 5.0, 1.0, 5.0]]), k=4, torch=lambda x: first(x, 4, 1)),
    case("topk", numbers([[2.0, 5.0, 1.0, 1.0, 2.0]]), k=3, largest=False, torch=lambda x: first(x, 3, 1, False)),
    case("topk", "f32[4, 2, 3]", k=4, axis=0, torch=lambda x: first(x, 4, 0)),
    case("topk", "f32[2, 1, 3]", k=1, axis=-2, torch=lambda x: first(x, 1, 1)),
    case("topk", "f32[2, 3]", k=0, torch=lambda x: first(x, 0, 1)),
    case("topk", "f32[0, 3]", k=2, torch=lambda x: first(x, 2, 1)),
    *(
        case("einsum", [f"{d}[2, 3, 4]", f"{d}[4, 5]"], equation="bij,jk->bik", torch=Einsum("bij,jk->bik"))
        for d in (*FLOATS, "i32", "i64")
    ),
    *(case("einsum", operands, equation=equation, torch=Einsum(equation)) for equation, *operands in EQUATIONS),
]
