"""Shape, order, parts, wholes; and tensors of given numbers."""

# ruff: noqa: E501  (a table has one row in a line)

from __future__ import annotations

import torch
import torch.nn.functional as F

from tests.ops.case import FLOATS, INTEGERS, below, case

ALL = (*FLOATS, *INTEGERS, "bool")
DTYPES = {
    "f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32, "f64": torch.float64, "i8": torch.int8,
    "i16": torch.int16, "i32": torch.int32, "i64": torch.int64, "u8": torch.uint8, "bool": torch.bool,
}  # fmt: skip
CUBE = "f32[2, 3, 4]"


def every(op: str, type: str, torch, dtypes: tuple[str, ...] = ALL, **attributes):  # type: ignore[no-untyped-def] # torch is untyped
    return [case(op, d + type, torch=torch, **attributes) for d in dtypes]


MODES = ("reflect", "replicate", "circular")


def around(x: torch.Tensor, widths: tuple[int, ...], mode: str) -> torch.Tensor:
    """PyTorch's, which takes no integers and only axes behind those of a batch."""
    wide = x.double() if x.dtype not in (torch.float32, torch.float64) else x
    lead = (1,) * (4 - x.ndim)
    return (
        F.pad(wide.reshape(*lead, *x.shape), widths, mode=mode).reshape(*x.shape[:-2], *_sizes(x, widths)).to(x.dtype)
    )


def _sizes(x: torch.Tensor, widths: tuple[int, ...]) -> tuple[int, int]:
    return x.shape[-2] + sum(widths[2:]), x.shape[-1] + sum(widths[:2])


CASES = [
    *every("reshape", "[2, 6]", lambda x: x.reshape(3, 4), shape=[3, 4]),
    case("reshape", CUBE, shape=[4, -1], torch=lambda x: x.reshape(4, -1)),
    case("reshape", "f32[]", shape=[1, 1], torch=lambda x: x.reshape(1, 1)),
    case("reshape", "f32[1, 1]", shape=[], torch=lambda x: x.reshape([])),
    case("reshape", "f32[0, 4]", shape=[0, 2, 2], torch=lambda x: x.reshape(0, 2, 2)),
    case("reshape", "f32[0, 4]", shape=[-1, 2], torch=lambda x: x.reshape(-1, 2)),
    case("reshape", CUBE, shape=[2, 3, 4], torch=lambda x: x),
    case("flatten", "f32[2, 3, 4, 5]", torch=lambda x: x.flatten(1)),
    case("flatten", CUBE, start=0, torch=lambda x: x.flatten()),
    case("flatten", CUBE, start=-2, torch=lambda x: x.flatten(1)),
    case("flatten", "f32[3, 4]", torch=lambda x: x),
    case("flatten", "f32[]", start=0, torch=lambda x: x.flatten()),
    case("flatten", "f32[0, 3, 4]", torch=lambda x: x.flatten(1)),
    *every("squeeze", "[2, 1, 3, 1]", lambda x: x.squeeze(1), axis=1),
    case("squeeze", "f32[2, 1, 3, 1]", axis=[-1, 1], torch=lambda x: x.squeeze((1, 3))),
    case("squeeze", "f32[1]", axis=0, torch=lambda x: x[0]),
    *every("unsqueeze", "[2, 3]", lambda x: x.unsqueeze(1), axis=1),
    case("unsqueeze", "f32[2, 3]", axis=-1, torch=lambda x: x.unsqueeze(-1)),
    case("unsqueeze", "f32[2, 3]", axis=[0, -1], torch=lambda x: x[None, ..., None]),
    case("unsqueeze", "f32[]", axis=[0, 1], torch=lambda x: x[None, None]),
    *every("expand", "[2, 1]", lambda x: x.expand(4, 2, 3), shape=[4, 2, 3]),
    case("expand", "f32[2, 1]", shape=[-1, 3], torch=lambda x: x.expand(-1, 3)),
    case("expand", "f32[1]", shape=[0], torch=lambda x: x.expand(0)),
    case("expand", "f32[]", shape=[2, 2], torch=lambda x: x.expand(2, 2)),
    *every("transpose", "[2, 3]", lambda x: x.T),
    case("transpose", "f32[0, 3]", torch=lambda x: x.T),
    *every("permute", "[2, 3, 4]", lambda x: x.permute(2, 0, 1), axes=[2, 0, 1]),
    case("permute", CUBE, axes=[0, -1, -2], torch=lambda x: x.permute(0, 2, 1)),
    case("permute", "f32[]", axes=[], torch=lambda x: x),
    *every("flip", "[2, 3]", lambda x: x.flip(1), axis=1),
    case("flip", CUBE, axis=[0, -1], torch=lambda x: x.flip(0, 2)),
    case("flip", "f32[0, 3]", axis=0, torch=lambda x: x),
    *every("roll", "[2, 5]", lambda x: x.roll(2, 1), shift=2, axis=1),
    case("roll", CUBE, shift=[-1, 5], axis=[0, -1], torch=lambda x: x.roll((-1, 5), (0, -1))),
    case("roll", "f32[0, 3]", shift=1, axis=0, torch=lambda x: x),
    *every("slice", "[4, 5]", lambda x: x[1:3], starts=[1], stops=[3]),
    case("slice", "f32[4, 5]", starts=[-1], stops=[5], axes=[1], torch=lambda x: x[:, -1:]),
    case("slice", "f32[4, 5]", starts=[0, 1], stops=[4, -1], axes=[0, -1], steps=[2, 1], torch=lambda x: x[::2, 1:-1]),
    case("slice", "f32[4, 5]", starts=[3], stops=[1], torch=lambda x: x[3:1]),
    case("slice", "f32[4, 5]", starts=[0], stops=[5], axes=[1], steps=[3], torch=lambda x: x[:, ::3]),
    *every("split", "[2, 6]", lambda x: x.split(2, 1), parts=3, axis=1),
    case("split", "f32[6, 2]", parts=[1, 2, 3], torch=lambda x: x.split([1, 2, 3])),
    case("split", "f32[0, 4]", parts=2, axis=-1, torch=lambda x: x.split(2, 1)),
    case("split", "f32[3, 2]", parts=1, torch=lambda x: [x]),
    *(case("concat", [f"{d}[2, 3]", f"{d}[1, 3]"], axis=0, torch=torch.cat) for d in ALL),
    case("concat", ["f32[2, 3]", "f32[2, 0]", "f32[2, 1]"], axis=-1, torch=lambda xs: torch.cat(xs, 1)),
    case("concat", ["f32[2]"], axis=0, torch=torch.cat),
    *(case("stack", [f"{d}[2, 3]", f"{d}[2, 3]"], torch=torch.stack) for d in ALL),
    case("stack", ["f32[2, 3]", "f32[2, 3]"], axis=-1, torch=lambda xs: torch.stack(xs, -1)),
    case("stack", ["f32[]", "f32[]", "f32[]"], torch=torch.stack),
    *every("pad", "[2, 3]", lambda x: F.pad(x, (1, 0, 2, 1), value=0), widths=[[2, 1], [1, 0]]),
    case("pad", "f32[2, 3]", widths=[[0, 0], [0, 2]], value=-1.5, torch=lambda x: F.pad(x, (0, 2), value=-1.5)),
    case("pad", "f32[0, 3]", widths=[[1, 0], [0, 0]], torch=lambda x: F.pad(x, (0, 0, 1, 0))),
    *(case("pad", f"{d}[2, 3]", widths=[[1, 1], [0, 2]], mode=m, torch=lambda x, m=m: around(x, (0, 2, 1, 1), m)) for d in ALL for m in MODES),
    *(case("pad", CUBE, widths=[[0, 0], [2, 1], [3, 2]], mode=m, torch=lambda x, m=m: around(x, (3, 2, 2, 1), m)) for m in MODES),
    *(case("pad", "f32[0, 3]", widths=[[0, 0], [1, 2]], mode=m, torch=lambda x: x.repeat(1, 2)) for m in MODES),
    *(case("pad", "f32[2, 1]", widths=[[0, 0], [1, 1]], mode=m, torch=lambda x: x.repeat(1, 3)) for m in MODES[1:]),
    case("pad", "f32[2, 1]", widths=[[0, 0], [0, 4]], mode="replicate", torch=lambda x: x.repeat(1, 5)),
    case("pad", "f32[2]", widths=[[0, 0]], mode="reflect", torch=lambda x: x),
    *every("tile", "[2, 3]", lambda x: x.repeat(2, 1), repeats=[2, 1]),
    case("tile", "f32[2]", repeats=[0], torch=lambda x: x.repeat(0)),
    *(case("constant", value=2, dtype=d, torch=lambda d=d: torch.tensor(2, dtype=DTYPES[d])) for d in ALL),
    case("constant", value=[[1.5, 2], [3, 4]], torch=lambda: torch.tensor([[1.5, 2], [3, 4]])),
    *(case("full", shape=[2, 3], value=1.5, dtype=d, torch=lambda d=d: torch.full((2, 3), 1.5).to(DTYPES[d])) for d in FLOATS),
    case("full", shape=[], value=7, dtype="i64", torch=lambda: torch.tensor(7)),
    case("full", shape=[2], value=True, dtype="bool", torch=lambda: torch.ones(2, dtype=torch.bool)),
    *(case("zeros", shape=[2, 0], dtype=d, torch=lambda d=d: torch.zeros(2, 0, dtype=DTYPES[d])) for d in ALL),
    *(case("ones", shape=[2, 3], dtype=d, torch=lambda d=d: torch.ones(2, 3, dtype=DTYPES[d])) for d in ALL),
    case("zeros", shape=[3], torch=lambda: torch.zeros(3)),
    case("arange", start=5, torch=lambda: torch.arange(5)),
    case("arange", start=2, stop=6, torch=lambda: torch.arange(2, 6)),
    case("arange", start=0, torch=lambda: torch.arange(0)),
    case("size", dim=4, torch=lambda: torch.tensor(4)),
    *(case("one_hot", below(4, "i64[2, 3]"), depth=4, dtype=d, torch=lambda x, d=d: F.one_hot(x, 4).to(DTYPES[d])) for d in ALL),
    *(case("one_hot", below(4, f"{d}[2, 3]"), depth=4, torch=lambda x: F.one_hot(x.long(), 4).float()) for d in INTEGERS),
    case("one_hot", below(4, "i64[2, 3]"), depth=4, axis=0, torch=lambda x: F.one_hot(x, 4).permute(2, 0, 1).float()),
    case("one_hot", below(4, "i64[2, 3]"), depth=4, axis=1, torch=lambda x: F.one_hot(x, 4).permute(0, 2, 1).float()),
    *(case("one_hot", below(4, "i64[]", 2), depth=4, axis=axis, torch=lambda x: F.one_hot(x, 4).float()) for axis in (0, -1)),
    *(
        case(op, f"{d}[4, 5]", torch=getattr(torch, op), runs=d not in ("i8", "i16", "u8"))
        for op in ("tril", "triu")
        for d in ALL
    ),
    case("tril", "f32[2, 4, 4]", diagonal=-1, torch=lambda x: x.tril(-1)),
    case("triu", "f32[2, 4, 4]", diagonal=1, torch=lambda x: x.triu(1)),
    case("triu", "f32[0, 4]", diagonal=2, torch=lambda x: x.triu(2)),
]  # fmt: skip
