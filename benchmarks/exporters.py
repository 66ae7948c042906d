"""What becomes of shared weights elsewhere: both of PyTorch's exporters, and two tools that make ONNX files smaller.

    python -m benchmarks.exporters [EXAMPLE ...]

For each way the bytes of all initializers, in units of what the network has when each shared tensor counts once: in the
file / after ONNX Runtime's rewriting (its extended level), when the session holds them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx

from benchmarks.speed.ways import axes_of, ours, theirs
from references.examples.catalogue import EXAMPLES, Example
from references.weights import module_weights, shake
from wsdl.onnx.proof import Proofs, Unloadable, Unproved, prove

PACKAGES = ("torch", "onnxscript", "onnxslim", "onnxsim", "onnxruntime")
NAMES = (
    "tied_autoencoder", "conv_autoencoder", "siamese", "siamese_bn", "lm", "albert_all", "albert_ffn", "gru_siamese",
    "slimmable", "detector", "efficientdet",
)  # fmt: skip
WAYS = ("wsdl", "script", "+ onnxslim", "+ onnxsim", "dynamo", "+ onnxslim", "+ onnxsim")
LAYOUT = "| {:<16} | {:>8} | " + " | ".join(["{:>13}"] * len(WAYS)) + " |"
Tool = Callable[[Path, Path], None]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exporters", description=__doc__)
    parser.add_argument("examples", nargs="*", help="all with sharing by default")
    names = parser.parse_args().examples or NAMES
    print(", ".join(f"{package} {version(package)}" for package in PACKAGES))
    print(LAYOUT.format("example", "MB", *WAYS))
    print("|---|---:|" + "---:|" * len(WAYS))
    for example in EXAMPLES:
        if example.name in names:
            print(LAYOUT.format(example.name, *row(example)), flush=True)


def row(example: Example) -> Iterator[str]:
    """The bytes when each tensor counts once, then the figures of each way."""
    twin = example.twin().eval()
    shake(twin)
    once = float(
        sum(p.numel() * p.element_size() for p in [*twin.parameters(), *twin.buffers()] if p.is_floating_point())
    )
    yield f"{once / 1e6:.2f}"
    weights = {f"{example.model_name}.{name}": array for name, array in module_weights(twin).items()}
    arrays, axes = example.draw(example.sizes[-1]), axes_of(example.path, example.model_name)
    with tempfile.TemporaryDirectory() as folder:
        yield figures(ours(example.path, example.model_name, weights)(Path(folder)), once)
        for dynamo in (False, True):
            place = Path(folder, f"dynamo {dynamo}")
            place.mkdir()
            exported = attempt(partial(theirs(twin, arrays, axes, dynamo=dynamo), place))
            yield figures(exported, once)
            for tool in (_slim, _sim):
                smaller = place / f"{tool.__name__}.onnx"
                made = attempt(partial(tool, exported, smaller)) if exported else None
                yield figures(made, once)


def figures(path: Path | None, once: float) -> str:
    """In the file / in the session."""
    if path is None:
        return "fails"
    try:
        proofs: Proofs = prove(path)
    except (Unproved, Unloadable):
        return "won't load"
    return f"{proofs.file_bytes / once:.2f} / {proofs.optimized_bytes / once:.2f}"


def attempt(make: Callable[[], Path]) -> Path | None:
    """What is made; `None` where the tool can't, for which each of them has its own classes of errors."""
    try:
        return make()
    except Exception:
        return None


def _slim(source: Path, target: Path) -> Path:
    import onnxslim

    onnx.save(onnxslim.slim(onnx.load(source)), target)
    return target


def _sim(source: Path, target: Path) -> Path:
    import onnxsim

    simplified: Any = onnxsim.simplify(onnx.load(source))[0]
    onnx.save(simplified, target)
    return target


if __name__ == "__main__":
    main()
