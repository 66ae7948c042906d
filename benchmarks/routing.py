"""What weights chosen by the input cost: `python -m benchmarks.routing`. `Switch` over banks of feed-forward layers of
256 x 1,024 against one of these layers, `DynamicConv2d` against one convolution; inference and training. One thread;
the lower quartile of the CPU time of blocks of steps, by turns. Large pages on Linux, which the environment asks for by
`GLIBC_TUNABLES=glibc.malloc.hugetlb=1`, bring `Switch of 64` below its aim; the first line says whether they were."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import wsdl
from benchmarks.timing import quartiles
from wsdl.diagnostics.span import Source

Batch: TypeAlias = "dict[str, NDArray[Any]]"

D, WIDE = 256, 1024
BANKS = (8, 64)
ROWS = (32, 256, 1024)
CHANNELS, SIZE, SAMPLES = 64, 28, (1, 32)
SECONDS = 4.0  # for each table's row


@dataclass(frozen=True)
class Aim:
    """The most that a layer may cost, as a multiple of the first of its table."""

    layer: str
    rows: int
    training: bool
    most: float


AIMS = (
    Aim("Switch of 8", 1024, False, 1.15),
    Aim("Switch of 64", 1024, False, 1.5),
    Aim("DynamicConv2d of 4", 32, False, 1.8),
    Aim("DynamicConv2d of 4", 32, True, 2.0),
)
BLOCK = f"""
block Ffn()(x: [n, d]) -> [n, d] {{
    return x |> Dense({WIDE}) |> relu |> Dense(d)
}}
"""
OF_ROWS = {"one": "Ffn()"} | {f"Switch of {bank}": f"Switch(Ffn(), bank={bank})" for bank in BANKS}
OF_IMAGES = {
    "one": f"Conv2d({CHANNELS}, kernel=3, pad=1)",
    "DynamicConv2d of 4": f"DynamicConv2d({CHANNELS}, kernel=3, pad=1, bank=4)",
}


def program(layer: str, shape: str) -> wsdl.Program:
    text = f"""{BLOCK}
model m(x: f32[n, {shape}]) -> (y: f32[n, {shape}]) {{
    layer f = {layer}
    return f(x)
}}

train m(wanted: f32[n, {shape}]) {{
    loss mse(y, wanted)
    optimizer SGD(lr=1e-3)
}}
"""
    return wsdl.compile(Source("m.wsd", text))


def batches(shape: Iterable[int], rows: int) -> list[Batch]:
    rng = np.random.default_rng(0)
    return [{k: rng.standard_normal((rows, *shape), dtype=np.float32) for k in ("x", "wanted")} for _ in range(3)]


def rows_of(
    layers: dict[str, str], shape: tuple[int, ...], counts: Iterable[int], training: bool
) -> Iterator[tuple[int, dict[str, float]]]:
    """The time of a step of each layer in milliseconds, for each number of rows."""
    programs = {name: program(layer, ", ".join(map(str, shape))) for name, layer in layers.items()}
    contenders: dict[str, Callable[[Any], object]] = {}
    for name, compiled in programs.items():
        if training:
            contenders[name] = compiled.trainer(threads=1).step
        else:
            contenders[name] = _run(compiled.session(threads=1))
    for count in counts:
        taken = quartiles(contenders, batches(shape, count), 1, SECONDS)
        yield count, {name: 1000 * seconds for name, seconds in taken.items()}


def _run(session: Any) -> Callable[[Any], object]:
    return lambda batch: session(x=batch["x"])


def main() -> None:
    missed = []
    print("large pages" if "glibc.malloc.hugetlb=1" in os.environ.get("GLIBC_TUNABLES", "") else "pages of 4 kB")
    for layers, shape, counts in ((OF_ROWS, (D,), ROWS), (OF_IMAGES, (CHANNELS, SIZE, SIZE), SAMPLES)):
        for training in (False, True):
            print(f"\n{'training' if training else 'inference'}, milliseconds and multiples of one layer")
            print(f"{'rows':>6}" + "".join(f"{name:>26}" for name in layers))
            for count, taken in rows_of(layers, shape, counts, training):
                ratios = {name: t / taken["one"] for name, t in taken.items()}
                print(f"{count:>6}" + "".join(f"{taken[n]:>17.3f} ({ratios[n]:.2f}x)" for n in layers), flush=True)
                missed += [
                    f"{aim.layer} with {count} rows: {ratios[aim.layer]:.2f} instead of {aim.most}"
                    for aim in AIMS
                    if (aim.rows, aim.training) == (count, training) and ratios.get(aim.layer, 0) > aim.most
                ]
    print("\n" + ("\n".join(f"missed: {line}" for line in missed) or "all aims are reached"))


if __name__ == "__main__":
    main()
