"""The ways from a network to an ONNX file: ours, and both exporters of PyTorch."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

import wsdl

Arrays = dict[str, NDArray[Any]]
Axes = dict[str, dict[int, str]]  # dynamic dimensions by input and place
Way = Callable[[Path], Path]  # writes into a folder; the file


def ours(path: Path, model: str, weights: Arrays | None = None) -> Way:
    """From the text of a program; with `weights`, else with initial values."""

    def compile(folder: Path) -> Path:
        wsdl.compile(path, weights=weights).save(folder, model=model)
        return folder / f"{model}.onnx"

    return compile


def theirs(twin: Any, arrays: Arrays, axes: Axes, *, dynamo: bool) -> Way:
    """With PyTorch's exporter: the one that traces TorchScript, or the one over `torch.export` (its default)."""
    import torch

    examples = tuple(torch.from_numpy(array) for array in arrays.values())
    if dynamo:
        places = tuple(dict.fromkeys(axes.get(name, {}), torch.export.Dim.AUTO) for name in arrays)
        how: dict[str, Any] = {"dynamic_shapes": places, "verbose": False}
    else:
        how = {"dynamic_axes": axes}

    def export(folder: Path) -> Path:
        path = folder / "theirs.onnx"
        with _quiet():
            torch.onnx.export(twin, examples, os.fspath(path), dynamo=dynamo, input_names=list(arrays), **how)
        return path

    return export


def axes_of(path: Path, model: str) -> Axes:
    """The dynamic dimensions of a program's inputs."""
    inputs = wsdl.compile(path).models[model].inputs
    return {
        name: {i: str(dim) for i, dim in enumerate(type.shape) if dim.constant is None} for name, type in inputs.items()
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Nothing is written to the terminal, not by what isn't Python either."""
    sys.stdout.flush()
    sys.stderr.flush()
    terminal = [(number, os.dup(number)) for number in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    logging.disable(logging.WARNING)
    try:
        for number, _ in terminal:
            os.dup2(nowhere, number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, kept in terminal:
            os.dup2(kept, number)
            os.close(kept)
        os.close(nowhere)
        logging.disable(logging.NOTSET)
