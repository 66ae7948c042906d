"""Every training of the examples: its program, its PyTorch equivalent (`twin`), its data, and the required result.

The tests use this table, and so does `python -m benchmarks.examples`, which measures the results on the pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import nn

from examples.fetch.fashion_mnist import CLASSES
from references.training import autoencoders, clothes, detector, measures, reviews, shakespeare, vowels, words
from references.training.recipe import Cosine

EXAMPLES = Path(__file__).parents[2] / "examples"
Arrays: TypeAlias = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Measure:
    """A metric: `of` computes it from the model's outputs for the test rows, and these rows. `required` is the smallest
    acceptable result, or the largest if not `more_is_better`."""

    name: str
    of: Callable[[Arrays, Arrays], float]
    required: float
    more_is_better: bool = True

    def is_reached(self, result: float, required: float) -> bool:
        return result >= required if self.more_is_better else result <= required


@dataclass(frozen=True)
class Short:
    """A training of a few seconds, on the first `rows` of the data, and its required result."""

    rows: int
    epochs: int
    required: float
    batch: int = 32


@dataclass(frozen=True, eq=False)
class Example:
    """One training. `data` is below `examples/data`: `fashion_mnist/pairs` has `pairs.train.npz` and `pairs.test.npz`.
    The result is measured on its test rows, or on those of `judge`.

    `twin` has the model's layers with the same names; its `forward` takes the model's inputs and returns the `outputs`,
    its `loss` takes inputs and targets, all by name. The full training takes `epochs`; its result is on the page.
    """

    program: str
    model: str
    page: str
    twin: Callable[[], nn.Module]
    recipe: Cosine
    data: str
    outputs: tuple[str, ...]
    measure: Measure
    batch: int
    epochs: int
    short: Short | None
    judge: str = ""

    @property
    def name(self) -> str:
        return self.program if self.program == self.model else f"{self.program}-{self.model}"

    @property
    def path(self) -> Path:
        return EXAMPLES / "training" / f"{self.program}.wsd"

    @property
    def train(self) -> Path:
        return file(self.data, "train")

    @property
    def test(self) -> Path:
        return file(self.data, "test")

    @property
    def judged_by(self) -> Path:
        return file(self.judge or self.data, "test")


def file(data: str, part: str) -> Path:
    folder, _, view = data.partition("/")
    return EXAMPLES / "data" / folder / f"{view}{'.' if view else ''}{part}.npz"


def arrays(path: Path, rows: int | None = None) -> dict[str, NDArray[Any]]:
    with np.load(path) as data:
        return {name: data[name][:rows] for name in data.files}


# -- metrics -----------------------------------------------------------------------------------------------------------


def accuracy(outputs: Arrays, test: Arrays) -> float:
    return float(np.mean(outputs["logits"].argmax(-1) == test["label"]))


def verification(outputs: Arrays, test: Arrays) -> float:
    return float(np.mean((outputs["distance"] < 1) == test["same"]))


def squared_error(outputs: Arrays, test: Arrays, of: str) -> float:
    target = test[of].astype(np.float32) / 255
    return float(np.mean((outputs["restored"] - target) ** 2))


def anomaly_auc(outputs: Arrays, test: Arrays) -> float:
    return measures.auc(outputs["error"], test["label"] != CLASSES.index("trousers"))


def precision(outputs: Arrays, test: Arrays) -> float:
    return measures.mean_average_precision(outputs["logits"], outputs["boxes"], test["label"], test["box"])


def mean_accuracy(outputs: Arrays, test: Arrays, **answers: str) -> float:
    """The accuracy over all outputs; `answers` has the name of the label of each output."""
    return float(np.mean([outputs[logits].argmax(-1) == test[label] for logits, label in answers.items()]))


def bits(outputs: Arrays, test: Arrays) -> float:
    """The cross-entropy of the next character, in bits."""
    logits, following = outputs["logits"][:, :-1].astype(np.float64), test["text"][:, 1:, None].astype(np.int64)
    log_likelihood = np.take_along_axis(logits, following, -1)[..., 0] - np.log(np.exp(logits).sum(-1))
    return float(-log_likelihood.mean() / np.log(2))


def agreement(outputs: Arrays, test: Arrays) -> float:
    return float(np.mean((outputs["logit"] > 0) == (test["praise"] == 1)))


# -- the table ---------------------------------------------------------------------------------------------------------


def _autoencoder(
    program: str, model: str, twin: Callable[[bool], nn.Module], lr: float, epochs: int, required: float, short: Short
) -> Example:
    return Example(
        program=program,
        model=model,
        page="autoencoders",
        twin=lambda: autoencoders.Autoencoder(twin(model == "tied")),
        recipe=Cosine(lr, warmup=200, weight_decay=0),
        data="fashion_mnist",
        outputs=("restored",),
        measure=Measure("squared error", partial(squared_error, of="image"), required, more_is_better=False),
        batch=128,
        epochs=epochs,
        short=short,
    )


def _detector(model: str, required: float, short: Short | None) -> Example:
    return Example(
        program="detector",
        model=model,
        page="detector",
        twin=lambda: detector.Detector(model == "shared"),
        recipe=Cosine(4e-3, warmup=200, weight_decay=0.05, eps=1e-4),
        data="mnist/canvases",
        outputs=("logits", "boxes"),
        measure=Measure("mean average precision", precision, required),
        batch=32,
        epochs=8,
        short=short,
    )


def _vowels(model: str) -> Example:
    return Example(
        program="vowels",
        model=model,
        page="vowels",
        twin=lambda: vowels.Vowels(model == "shared"),
        recipe=Cosine(5e-3, warmup=20, weight_decay=0.1),
        data="japanese_vowels",
        outputs=("logits",),
        measure=Measure("accuracy", partial(mean_accuracy, logits="speaker"), 0.95),
        batch=30,
        epochs=40,
        short=Short(rows=270, epochs=15, required=0.9),
    )


def _shakespeare(model: str, required: float) -> Example:
    return Example(
        program="shakespeare",
        model=model,
        page="shakespeare",
        twin=lambda: shakespeare.Shakespeare(model == "shared"),
        recipe=Cosine(2e-3, warmup=50, weight_decay=0.01),
        data="shakespeare",
        outputs=("logits",),
        measure=Measure("bits per character", bits, required, more_is_better=False),
        batch=16,
        epochs=1,
        short=Short(rows=750, epochs=1, required=4.6, batch=8) if model == "shared" else None,
    )


def _words(model: str, twin: Callable[[], nn.Module]) -> Example:
    return Example(
        program="words",
        model=model,
        page="words",
        twin=twin,
        recipe=Cosine(2e-3, warmup=50, weight_decay=0.01),
        data="words",
        outputs=("syllables", "stress", "first"),
        measure=Measure("accuracy", partial(mean_accuracy, syllables="count", stress="place", first="sound"), 0.8),
        batch=256,
        epochs=3,
        short=Short(rows=12_000, epochs=1, required=0.5, batch=64) if model == "together" else None,
    )


def _reviews(model: str, twin: Callable[[], nn.Module], lr: float, required: float, short: Short | None) -> Example:
    return Example(
        program="reviews",
        model=model,
        page="reviews",
        twin=twin,
        recipe=Cosine(lr, warmup=10, weight_decay=0.01),
        data="reviews",
        outputs=("logit",),
        measure=Measure("accuracy", agreement, required),
        batch=32,
        epochs=12,
        short=short,
    )


TRAININGS = (
    Example(
        program="digits",
        model="digits",
        page="digits",
        twin=clothes.Digits,
        recipe=Cosine(2e-3, warmup=50, weight_decay=0.01),
        data="digits",
        outputs=("logits",),
        measure=Measure("accuracy", accuracy, 0.96),
        batch=32,
        epochs=10,
        short=Short(rows=1437, epochs=4, required=0.9),
    ),
    Example(
        program="fashion",
        model="fashion",
        page="fashion",
        twin=clothes.Fashion,
        recipe=Cosine(3e-3, warmup=100, weight_decay=0.05),
        data="fashion_mnist",
        outputs=("logits",),
        measure=Measure("accuracy", accuracy, 0.90),
        batch=128,
        epochs=5,
        short=Short(rows=2400, epochs=2, required=0.75),
    ),
    Example(
        program="siamese",
        model="siamese",
        page="siamese",
        twin=clothes.Siamese,
        recipe=Cosine(2e-3, warmup=200, weight_decay=0.05),
        data="fashion_mnist/pairs",
        outputs=("distance",),
        measure=Measure("accuracy", verification, 0.90),
        batch=128,
        epochs=3,
        short=Short(rows=1500, epochs=2, required=0.75),
    ),
    _autoencoder("autoencoder", "free", autoencoders.Dense, 2e-3, 10, 0.0105, Short(2800, 3, 0.05)),
    _autoencoder("autoencoder", "tied", autoencoders.Dense, 5e-3, 10, 0.0105, Short(2800, 3, 0.05)),
    _autoencoder("conv_autoencoder", "free", autoencoders.Convolutional, 4e-3, 3, 0.0125, Short(1500, 2, 0.06)),
    _autoencoder("conv_autoencoder", "tied", autoencoders.Convolutional, 4e-3, 3, 0.0125, Short(1500, 2, 0.06)),
    Example(
        program="denoiser",
        model="denoiser",
        page="autoencoders",
        twin=autoencoders.Denoiser,
        recipe=Cosine(4e-3, warmup=50, weight_decay=0),
        data="fashion_mnist/noisy",
        outputs=("restored",),
        measure=Measure("squared error", partial(squared_error, of="clean"), 0.02, more_is_better=False),
        batch=128,
        epochs=4,
        short=Short(rows=1500, epochs=2, required=0.05),
    ),
    Example(
        program="anomaly",
        model="anomaly",
        page="autoencoders",
        twin=autoencoders.Anomaly,
        recipe=Cosine(4e-3, warmup=50, weight_decay=0),
        data="fashion_mnist/trousers",
        judge="fashion_mnist",
        outputs=("error",),
        measure=Measure("area under the ROC curve", anomaly_auc, 0.95),
        batch=128,
        epochs=20,
        short=Short(rows=6000, epochs=2, required=0.95),
    ),
    _detector("separate", 0.84, None),
    _detector("shared", 0.87, Short(800, 3, 0.15, batch=16)),
    _vowels("separate"),
    _vowels("shared"),
    _shakespeare("unshared", 2.85),
    _shakespeare("shared", 3.0),
    _words("apart", words.Apart),
    _words("together", words.Together),
    _reviews("scratch", reviews.Scratch, 1e-3, 0.6, None),
    _reviews("transfer", reviews.Transfer, 1e-2, 0.75, Short(rows=128, epochs=3, required=0.6)),
)
