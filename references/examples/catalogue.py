"""Every example with its PyTorch equivalent (`twin`) and the inputs on which both run; all checks use this table."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from torch import nn

from references.examples import autoencoders, images, mobile, sequences, transformers
from references.vision import networks

FOLDER = Path(__file__).parents[2] / "examples"
Size: TypeAlias = tuple[int, int]  # of a batch: the number of rows, and their length
Draw: TypeAlias = Callable[[Generator, Size], np.ndarray]


@dataclass(frozen=True, eq=False)
class Example:
    """`name` is that of the file, and of its model unless `model` is set."""

    name: str
    twin: Callable[[], nn.Module]
    inputs: dict[str, Draw]
    sizes: tuple[Size, ...]
    model: str = ""

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.wsd"

    @property
    def model_name(self) -> str:
        return self.model or self.name

    def draw(self, size: Size) -> dict[str, np.ndarray]:
        """Random inputs of a size, the same in every call."""
        rng = np.random.default_rng(list(size))
        return {name: draw(rng, size) for name, draw in self.inputs.items()}


def numbers(*shape: int) -> Draw:
    return lambda rng, size: rng.standard_normal((size[0], *shape)).astype(np.float32)


def frames(width: int, longer: int = 0) -> Draw:
    return lambda rng, size: rng.standard_normal((size[0], size[1] + longer, width)).astype(np.float32)


def ids(vocab: int) -> Draw:
    return lambda rng, size: rng.integers(0, vocab, size)


def present(rng: Generator, size: Size) -> np.ndarray:
    """A mask for sequences of different lengths, at least 1."""
    return np.arange(size[1]) < rng.integers(1, size[1] + 1, (size[0], 1))


def pictures(rng: Generator, size: Size) -> np.ndarray:
    """Color images, as high as the length and a little wider."""
    return rng.standard_normal((size[0], 3, size[1], size[1] + 10)).astype(np.float32)


def scans(rng: Generator, size: Size) -> np.ndarray:
    """Grayscale images whose sides are multiples of 16."""
    return rng.standard_normal((size[0], 1, 16 * size[1], 16 * size[1] + 32)).astype(np.float32)


BATCHES = ((1, 0), (2, 0), (7, 0))
SEQUENCES = ((1, 1), (2, 5), (3, 32))
ALBERT = {"ids": ids(8000), "mask": present}

EXAMPLES = (
    Example("lenet", images.LeNet, {"image": numbers(1, 28, 28)}, BATCHES),
    Example("resnet18", networks.resnet18, {"image": pictures}, ((1, 224), (2, 65), (3, 32))),
    Example(
        "siamese",
        images.Siamese,
        {"left": numbers(1, 28, 28), "right": numbers(1, 28, 28)},
        BATCHES,
    ),
    Example("siamese_bn", images.SiameseNorm, {"photo": numbers(1, 28, 28), "sketch": numbers(1, 28, 28)}, BATCHES),
    Example("tied_autoencoder", autoencoders.TiedAutoencoder, {"image": numbers(784)}, BATCHES, "autoencoder"),
    Example("deep_autoencoder", autoencoders.DeepAutoencoder, {"image": numbers(784)}, BATCHES),
    Example("conv_autoencoder", autoencoders.ConvAutoencoder, {"image": numbers(1, 28, 28)}, BATCHES),
    Example("gru_classifier", sequences.GRUClassifier, {"frames": frames(12)}, SEQUENCES),
    Example(
        "gru_siamese",
        sequences.GRUSiamese,
        {"left": frames(12), "right": frames(12, longer=3)},
        SEQUENCES,
    ),
    Example("tagger", sequences.Tagger, {"sentence": ids(5000)}, SEQUENCES),
    Example("lm", transformers.LM, {"ids": ids(8000)}, SEQUENCES),
    Example("albert_all", transformers.albert_all, ALBERT, SEQUENCES, "albert"),
    Example("albert_attention", transformers.albert_attention, ALBERT, SEQUENCES, "albert"),
    Example("albert_ffn", transformers.albert_ffn, ALBERT, SEQUENCES, "albert"),
    Example("multitask", sequences.MultiTask, {"letters": ids(27)}, SEQUENCES),
    Example("slimmable", images.Slimmable, {"image": numbers(784)}, BATCHES),
    Example("detector", images.Detector, {"image": numbers(3, 128, 128)}, ((1, 0), (2, 0))),
    Example("efficientdet", mobile.EfficientDet, {"image": numbers(3, 128, 128)}, ((1, 0), (2, 0))),
    Example("keywords", mobile.Keywords, {"sound": numbers(1, 49, 10)}, BATCHES),
    Example("unet", mobile.UNet, {"image": scans}, ((1, 1), (2, 3), (3, 2))),
)
