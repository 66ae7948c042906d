"""What ways of sharing cost: `python -m benchmarks.formulas`. Inference and training of twelve feed-forward layers of
256 x 1,024 under each way of `std/sharing.wsd` against plain sharing, and of two of them against PyTorch's
`parametrize`. One thread; the lower quartile of the CPU time of blocks of steps, by turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

import wsdl
from benchmarks.timing import quartiles
from wsdl.diagnostics.span import Source

Array = NDArray[Any]
Batch: TypeAlias = "dict[str, Array]"
Contenders: TypeAlias = "dict[str, Callable[[Any], object]]"

DEPTH, D, WIDE, SQUARE = 12, 256, 1024, 512
ROWS = (1, 32, 256)
BATCH = 256  # rows of a step of training
SECONDS = 12.0  # for each number of rows
PRICE = 1.15  # of `Delta(rank=8)` with 32 rows against plain sharing: what is aimed at
PARITY = 1.0  # against PyTorch

WAYS = {
    "plain": "",
    "Delta(rank=8)": "Delta(rank=8)",
    "Mix(bank=4)": "Mix(bank=4)",
    "Basis(rank=64)": "Basis(rank=64)",
    "Soft(1e-3)": "Soft(1e-3)",
    "Scaled": "Scaled()",
    "WeightNorm": "WeightNorm()",
    "Hashed(4)": "Hashed(4)",
    "square": "",
    "Symmetric": "Symmetric()",
}
PLAIN = {"Symmetric": "square"}  # `plain` for the others
IN_PYTORCH = ("Delta(rank=8)", "Mix(bank=4)")


def program(name: str) -> wsdl.Program:
    """The network under a way of sharing; square matrices, as many elements in each, where a way needs them."""
    size, wide = (SQUARE, SQUARE) if "square" in (name, PLAIN.get(name)) else (D, WIDE)
    way = f"as {WAYS[name]} " if WAYS[name] else ""
    text = f"""
model m(x: f32[n, {size}]) -> (y: f32[n, {size}]) {{
    layer up[{DEPTH}] = Dense({wide})
    layer down[{DEPTH}] = Dense({size})
    share above {way}{{ up[*] }}
    share below {way}{{ down[*] }}
    for i in 0..{DEPTH} {{
        x = x + (x |> up[i] |> relu |> down[i])
    }}
    return x
}}

train m(wanted: f32[n, {size}]) {{
    loss mse(y, wanted)
    optimizer AdamW(lr=1e-4)
}}
"""
    return wsdl.compile(Source("m.wsd", text))


def batch(name: str, rows: int) -> Batch:
    rng = np.random.default_rng(0)
    size = SQUARE if "square" in (name, PLAIN.get(name)) else D
    return {key: rng.standard_normal((rows, size), dtype=np.float32) for key in ("x", "wanted")}


# -- in PyTorch --------------------------------------------------------------------------------------------------------


class Delta(nn.Module):
    """As it is written, or (`fast`) as one operation."""

    def __init__(self, up: nn.Parameter, down: nn.Parameter, fast: bool) -> None:
        super().__init__()
        self.up, self.down, self.fast = up, down, fast

    def forward(self, base: Tensor) -> Tensor:
        return torch.addmm(base, self.up, self.down) if self.fast else base + self.up @ self.down


class Mix(nn.Module):
    """As it is written, or (`fast`) as a product; the original tensor isn't read."""

    def __init__(self, templates: nn.Parameter, mixtures: nn.Parameter, member: int, fast: bool) -> None:
        super().__init__()
        self.templates, self.mixtures, self.member, self.fast = templates, mixtures, member, fast

    def forward(self, original: Tensor) -> Tensor:
        mixture = self.mixtures[self.member]
        if self.fast:
            mixed: Tensor = torch.tensordot(mixture, self.templates, 1)
            return mixed
        return (mixture.view(-1, 1, 1) * self.templates).sum(0)


class Twin(nn.Module):
    """The same network, with the same initial weights."""

    def __init__(self, name: str, stored: Mapping[str, Array], fast: bool) -> None:
        super().__init__()
        self.up = nn.ModuleList(nn.Linear(D, WIDE) for _ in range(DEPTH))
        self.down = nn.ModuleList(nn.Linear(WIDE, D) for _ in range(DEPTH))
        parameters = {key: nn.Parameter(torch.from_numpy(np.array(array))) for key, array in stored.items()}
        for group, field, layers in (("above", "up", self.up), ("below", "down", self.down)):
            for i, layer in enumerate(layers):
                own = f"m.{field}.{i}.weight"
                if name.startswith("Mix"):
                    bank = parameters[f"m.{group}.weight.templates"]
                    made: nn.Module = Mix(bank, parameters[f"m.{group}.weight.mixtures"], i, fast)
                    layer.weight = nn.Parameter(torch.zeros(()), requires_grad=False)
                    layer.bias = parameters[f"m.{field}.{i}.bias.own"]
                else:
                    made = Delta(parameters[f"{own}.up"], parameters[f"{own}.down"], fast)
                    layer.weight, layer.bias = (parameters[f"m.{group}.{slot}"] for slot in ("weight", "bias"))
                parametrize.register_parametrization(layer, "weight", made, unsafe=True)

    def forward(self, x: Tensor) -> Tensor:
        for up, down in zip(self.up, self.down, strict=True):
            x = x + down(F.relu(up(x)))
        return x


def eager_step(twin: Twin) -> Callable[[Batch], float]:
    optimizer = torch.optim.AdamW([p for p in twin.parameters() if p.requires_grad], lr=1e-4)

    def step(rows: Batch) -> float:
        loss = F.mse_loss(twin(torch.from_numpy(rows["x"])), torch.from_numpy(rows["wanted"]))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # PyTorch gives it no types
        optimizer.step()
        return loss.item()

    return step


def eager_run(twin: Twin) -> Callable[[Batch], Tensor]:
    def run(rows: Batch) -> Tensor:
        with torch.inference_mode():
            result: Tensor = twin(torch.from_numpy(rows["x"]))
        return result

    return run


# -- tables ------------------------------------------------------------------------------------------------------------


def met(ratio: float, aim: float) -> str:
    return f"{'met' if ratio <= aim else 'missed'} ({aim})"


def prices(programs: Mapping[str, wsdl.Program]) -> Iterator[str]:
    yield "Time of each way against plain sharing: inference with so many rows, a step of training with 256"
    yield f"{'':<16}" + "".join(f"{rows:>9}" for rows in ROWS) + f"{'training':>10}"
    columns: list[dict[str, float]] = []
    for rows in ROWS:
        sessions = {name: program.session(threads=1) for name, program in programs.items()}
        runs: Contenders = {name: _run(session, batch(name, rows)["x"]) for name, session in sessions.items()}
        columns.append(quartiles(runs, [None], 1, SECONDS))
    trainers = {name: program.trainer(threads=1) for name, program in programs.items()}
    steps: Contenders = {name: _on(trainer.step, batch(name, BATCH)) for name, trainer in trainers.items()}
    columns.append(quartiles(steps, [None], 1, SECONDS))
    for name in programs:
        if name in ("plain", "square"):
            yield f"{name:<16}" + "".join(f"{took[name] * 1e3:>6.2f} ms" for took in columns)
        else:
            ratios = [took[name] / took[PLAIN.get(name, "plain")] for took in columns]
            aimed = f"   with 32 rows: {met(ratios[1], PRICE)}" if name == "Delta(rank=8)" else ""
            yield f"{name:<16}" + "".join(f"{ratio:>9.2f}" for ratio in ratios) + aimed


def against_pytorch(programs: Mapping[str, wsdl.Program]) -> Iterator[str]:
    yield "Against PyTorch's `parametrize`, eager, as it is written and in its fastest form: ours / PyTorch's"
    yield f"{'':<16}{'':<16}{'ours ms':>9}{'eager':>9}{'ours/':>7}{'fastest':>9}{'ours/':>7}{'error':>9}"
    for name in IN_PYTORCH:
        for what, rows in (*((f"{rows} rows", rows) for rows in ROWS), (f"training, {BATCH}", BATCH)):
            is_training, inputs = what.startswith("training"), batch(name, rows)
            contenders: Contenders = {}
            for way, fast in (("eager", False), ("fastest", True)):
                twin = Twin(name, programs[name].stored, fast)
                contenders[way] = _on(eager_step(twin) if is_training else eager_run(twin), inputs)
            if is_training:
                contenders["ours"] = _on(programs[name].trainer(threads=1).step, inputs)
            else:
                contenders["ours"] = _run(programs[name].session(threads=1), inputs["x"])
            first = {way: np.asarray(take(None)) for way, take in contenders.items()}
            error = np.abs(first["ours"] - first["eager"]).max() / np.abs(first["eager"]).max()
            took = quartiles(contenders, [None], 1, SECONDS / 2)
            line = f"{name:<16}{what:<16}{took['ours'] * 1e3:>9.2f}"
            for way in ("eager", "fastest"):
                line += f"{took[way] * 1e3:>9.2f}{took['ours'] / took[way]:>7.2f}"
            yield f"{line}{error:>9.0e}   {met(took['ours'] / took['eager'], PARITY)}"


def _run(session: Any, x: Array) -> Callable[[Any], Any]:
    return lambda _: session(x=x)["y"]


def _on(take: Callable[[Batch], Any], rows: Batch) -> Callable[[Any], Any]:
    return lambda _: take(rows)


def main() -> None:
    torch.set_num_threads(1)
    programs = {name: program(name) for name in WAYS}
    for lines in (prices(programs), against_pytorch(programs)):
        for line in lines:
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
