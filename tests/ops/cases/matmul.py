"""The matrix product, and picking by index."""

from __future__ import annotations

import torch

from tests.ops.case import FLOATS, INTEGERS, Case, Given, below, case, numbers, special

SHAPES = [
    ("[3, 4]", "[4, 5]"), ("[4]", "[4]"), ("[4]", "[4, 5]"), ("[3, 4]", "[4]"), ("[2, 3, 4]", "[4, 5]"),
    ("[2, 3, 4]", "[4]"), ("[4]", "[2, 4, 5]"), ("[2, 3, 4]", "[2, 4, 5]"), ("[6, 1, 3, 4]", "[2, 4, 5]"),
    ("[0, 4]", "[4, 5]"), ("[0, 3, 4]", "[4, 5]"), ("[3, 1]", "[1, 5]"),
]  # fmt: skip


def summed(equation: str, *types: Given) -> Case:
    return case("einsum", list(types), equation=equation, torch=lambda xs: torch.einsum(equation, *xs), slack=3)


EQUATIONS = [
    *(summed("bij,bjk->bik", f"{d}[2, 3, 4]", f"{d}[2, 4, 5]") for d in (*FLOATS, "i32", "i64")),
    *(summed("ij,jk->ik", f"{d}[3, 4]", f"{d}[4, 5]") for d in (*FLOATS, "i32", "i64")),
    summed("ij,jk", "f32[3, 4]", "f32[4, 5]"),
    summed(" b i, i c -> c b ", "f32[3, 4]", "f32[4, 5]"),
    summed("bi,oi->bo", "f32[3, 4]", "f32[5, 4]"),
    summed("oi,bti->bto", "f32[5, 4]", "f32[2, 3, 4]"),
    summed("ib,oi->bo", "f32[4, 3]", "f32[5, 4]"),
    summed("bqhd,bkhd->bhqk", "f32[2, 3, 2, 4]", "f32[2, 5, 2, 4]"),
    summed("bhqk,bkhd->bqhd", "f32[2, 2, 3, 5]", "f32[2, 5, 2, 4]"),
    summed("btd,dhk->bthk", "f32[2, 3, 4]", "f32[4, 2, 5]"),
    summed("btd,hkd->bhtk", "f32[2, 3, 4]", "f32[2, 5, 4]"),
    summed("bthk,hkd->btd", "f32[2, 3, 2, 5]", "f32[2, 5, 4]"),
    summed("bthk,khd->btd", "f32[2, 3, 2, 5]", "f32[5, 2, 4]"),
    summed("abc,bcad->d", "f32[2, 3, 4]", "f32[3, 4, 2, 5]"),
    summed("i,i->", "f32[4]", "f32[4]"),
    summed("i,i->i", "f32[4]", "f32[4]"),
    summed("i,j->ij", "f32[3]", "f32[4]"),
    summed("i,j->ji", "f32[3]", "f32[4]"),
    summed("ik,ijk->ijk", "f32[2, 4]", "f32[2, 3, 4]"),
    summed("ijk,ki->jki", "f32[2, 3, 4]", "f32[4, 2]"),
    summed("ij,->ji", "f32[2, 3]", "f32[]"),
    summed(",i->i", "f32[]", "f32[3]"),
    summed("bi,bi->b", "f32[3, 4]", "f32[3, 4]"),
    summed("ij,kl->il", "f32[2, 3]", "f32[4, 5]"),
    summed("bij,b->ij", "f32[2, 3, 4]", "f32[2]"),
    summed("ij->ji", "f32[3, 4]"),
    summed("ba", "f32[3, 4]"),
    summed("ij->", "f32[3, 4]"),
    summed("ij->j", "i32[3, 4]"),
    summed("i->i", "f32[4]"),
    summed("->", "f32[]"),
    summed("ii->i", "f32[4, 4]"),
    summed("ii", "f32[4, 4]"),
    summed("bici->bc", "f32[2, 3, 5, 3]"),
    summed("iii->i", "f32[3, 3, 3]"),
    summed("bii,ij->bj", "f32[2, 3, 3]", "f32[3, 4]"),
    summed("...ij,...jk->...ik", "f32[2, 3, 4]", "f32[2, 4, 5]"),
    summed("...ij,...jk->...ik", "f32[6, 1, 3, 4]", "f32[2, 4, 5]"),
    summed("...ij,jk->i...k", "f32[2, 6, 3, 4]", "f32[4, 5]"),
    summed("i...,i...", "f32[3, 2]", "f32[3, 1]"),
    summed("...i->...", "f32[2, 3, 4]"),
    summed("...i->i", "f32[4]"),
    summed("...,...->...", "f32[2, 1]", "f32[1, 3]"),
    summed("ij,jk,kl->il", "f32[2, 3]", "f32[3, 4]", "f32[4, 5]"),
    summed("bi,ijk,bk->bj", "f32[2, 3]", "f32[3, 5, 4]", "f32[2, 4]"),
    summed("i,j,k,l->ljki", "f32[2]", "f32[3]", "f32[4]", "f32[1]"),
    summed("a,a,a->a", "f32[3]", "f32[3]", "f32[3]"),
    summed("bij,bjk->bik", "f32[0, 3, 4]", "f32[0, 4, 5]"),
    summed("bij,bjk->bik", "f32[2, 3, 0]", "f32[2, 0, 5]"),
    summed("bti,oi->bto", "f32[0, 3, 4]", "f32[5, 4]"),
    summed("bij,bjk->bik", "f32[1, 1, 1]", "f32[1, 1, 1]"),
    summed("iij,jj->ij", "f32[3, 3, 2]", "f32[2, 2]"),
    summed("...ij,jk->...ik", "f32[2, 6, 3, 4]", "f32[4, 5]"),
    summed("b...c->bc...", "f32[2, 3, 4, 5]"),
    summed("bi,oij,bj->bo", "f32[2, 3]", "f32[6, 3, 4]", "f32[2, 4]"),
    summed("ijk,ijk->k", "f32[2, 3, 4]", "f32[2, 3, 4]"),
    summed("ij,kl->", "f32[2, 3]", "f32[4, 2]"),
    summed("ij,k->ik", "f32[2, 3]", "f32[4]"),
    summed("ij,ij->ij", "f32[2, 3]", "f32[2, 3]"),
    summed("i j , j -> i", "f32[1, 4]", "f32[4]"),
    summed("Ab,bC->AC", "f32[2, 3]", "f32[3, 4]"),
]


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
        case("topk", special(), k=k, largest=up, torch=lambda x, k=k, up=up: first(x, k, 0, up))
        for k in (3, 15)
        for up in (True, False)
    ),
    case("topk", "f32[2, 3, 4]", k=1, axis=-3, largest=False, torch=lambda x: first(x, 1, 0, False)),
    case("topk", "f32[1]", k=1, torch=lambda x: first(x, 1, 0)),
    case("topk", "f32[3, 0]", k=0, torch=lambda x: first(x, 0, 1)),
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
    *EQUATIONS,
]
