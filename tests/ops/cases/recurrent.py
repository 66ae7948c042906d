"""Recurrent networks in ONNX's layout, against PyTorch's modules with their own order of gates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.utils import rnn

from tests.ops.case import Case, case, numbers
from wsdl.ops.recurrent import GATES

MODULES: dict[str, Any] = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}


def pytorch(op: str, reverse: bool = False) -> Callable[..., list[torch.Tensor]]:
    """The module of that kind with these weights; PyTorch reads from the end only beside the other direction."""

    def run(x: Any, weight_ih: Any, weight_hh: Any, bias: Any, *others: Any) -> list[torch.Tensor]:
        kinds = 2 if op == "lstm" else 1
        states, lengths = others[:kinds], others[kinds] if len(others) > kinds else None
        module = MODULES[op](x.shape[-1], weight_hh.shape[-1])
        weights = [weight_ih[0], weight_hh[0], *bias[0].chunk(2)]
        for parameter, weight in zip(module.parameters(), weights, strict=True):
            parameter.data = in_pytorchs_order(op, weight)
        given = [s for s in states if s is not None]
        start = [tuple(given) if op == "lstm" else given[0]] if given else []
        steps, ends = torch.arange(len(x))[:, None], torch.full(x.shape[1:2], len(x)) if lengths is None else lengths
        places = torch.where(steps < ends, ends - 1 - steps, steps) if reverse else steps.expand(x.shape[:2])
        with torch.no_grad():
            y, last = module(rnn.pack_padded_sequence(turned(x, places), ends, enforce_sorted=False), *start)
        y, _ = rnn.pad_packed_sequence(y, total_length=len(x))
        return [turned(y, places)[:, None], *(last if op == "lstm" else [last])]

    return run


def turned(x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """With the steps of each sequence at these places."""
    return torch.take_along_dim(x, places[:, :, None], 0)


def in_pytorchs_order(op: str, weight: torch.Tensor) -> torch.Tensor:
    gates = weight.chunk(len(GATES[op]))
    return torch.cat([gates[GATES[op].index(place)] for place in range(len(gates))])


def rows(op: str, states: int, t: int = 5, n: int = 2, d: int = 3, u: int = 4) -> list[Case]:
    gates = len(GATES[op])
    operands = [
        f"f32[{t}, {n}, {d}]",
        f"f32[1, {gates * u}, {d}]",
        f"f32[1, {gates * u}, {u}]",
        f"f32[1, {2 * gates * u}]",
    ]
    return [
        case(op, *operands, *given, reverse=reverse, torch=pytorch(op, reverse))
        for reverse in (False, True)
        for given in (
            [None] * states,
            [f"f32[1, {n}, {u}]"] * states,
            [*[f"f32[1, {n}, {u}]"] * states, numbers([1 + i % t for i in range(n)], "int32")],
        )
    ]


CASES = [
    row
    for op, states in (("rnn", 1), ("gru", 1), ("lstm", 2))
    for row in (*rows(op, states), *rows(op, states, t=1, n=1), *rows(op, states, d=1, u=1))
]
