"""What is trained: a network of `models/`, its twin in PyTorch, and how large a batch is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import wsdl
from wsdl.diagnostics.span import Source

Array = NDArray[Any]
MODELS = Path(__file__).parent / "models"


@dataclass(frozen=True)
class Case:
    """`model` of the file `models/<file>.wsd`; `x` is the shape of a batch, of numbers or of ids below `ids`. There
    are `labels` [n], or as many as `x` has where `each` place has one."""

    name: str
    file: str
    model: str
    twin: Callable[[], Any]
    x: tuple[int, ...]
    labels: int = 10
    ids: int = 0
    each: bool = False

    @property
    def has_images(self) -> bool:
        return len(self.x) == 4

    def source(self) -> Source:
        path = MODELS / f"{self.file}.wsd"
        return Source(str(path), path.read_text(encoding="utf-8"))

    def program(self) -> wsdl.Program:
        return wsdl.compile(self.source())

    def batches(self, count: int = 4) -> list[dict[str, Array]]:
        rng = np.random.default_rng(0)
        return [self._batch(rng) for _ in range(count)]

    def _batch(self, rng: np.random.Generator) -> dict[str, Array]:
        x: Array = rng.integers(0, self.ids, self.x) if self.ids else rng.normal(size=self.x).astype(np.float32)
        return {"x": x, "label": rng.integers(0, self.labels, self.x if self.each else self.x[0])}


def _twin(name: str, *arguments: Any) -> Callable[[], Any]:
    """A twin by name: PyTorch is imported by those who need it."""

    def make() -> Any:
        from benchmarks.training import twins

        return getattr(twins, name)(*arguments)

    return make


def _recurrent(kind: str) -> Callable[[], Any]:
    def make() -> Any:
        from torch import nn

        from benchmarks.training.twins import Recurrent

        return Recurrent(getattr(nn, kind))

    return make


CASES = {
    case.name: case
    for case in (
        Case("mlp, 64 rows", "mlp", "mlp", _twin("MLP"), (64, 784)),
        Case("mlp, 256 rows", "mlp", "mlp", _twin("MLP"), (256, 784)),
        Case("cnn, 32 rows", "cnn", "cnn", _twin("CNN"), (32, 3, 32, 32)),
        Case("resnet-8, 32 rows", "resnet8", "resnet8", _twin("ResNet8"), (32, 3, 32, 32)),
        Case("gru, 64 steps", "gru", "gru", _recurrent("GRU"), (32, 64, 128)),
        Case("lstm, 64 steps", "lstm", "lstm", _recurrent("LSTM"), (32, 64, 128)),
        Case("transformer d128", "transformer", "d128", _twin("Transformer", 128), (16, 64), 4000, 4000, True),
        Case("transformer d256", "transformer", "d256", _twin("Transformer", 256), (16, 128), 4000, 4000, True),
        Case("embedding of 30,000", "embedding", "embedding", _twin("Bag"), (32, 32), ids=30000),
    )
}


def parameters(program: wsdl.Program, model: str) -> list[Array]:
    """The initial values of what a model trains, in the order of declaration."""
    stored = program.inventory.of_models([model]).stored.values()
    return [program.stored[s.name] for s in stored if s.trainable]
