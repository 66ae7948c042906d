"""Programs that are compiled once for many tests, and with the weights of a PyTorch module."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

import wsdl
from wsdl.diagnostics.span import Source
from wsdl.ir.graph import file_path

Array = NDArray[Any]


@lru_cache(maxsize=100)
def compiled_once(text: str, name: str = "m", **options: Any) -> wsdl.Program:
    """The program of the text, `<name>.wsd`, compiled once for all tests in a row that want it."""
    return wsdl.compile(Source(f"{name}.wsd", text), **options)


def compiled(text: str, weights: Mapping[str, Array], model: str = "m") -> wsdl.Program:
    """The program of a text, the weights named by their paths below the model; none may be missing."""
    program = wsdl.compile(Source(f"{model}.wsd", text), weights={f"{model}.{n}": a for n, a in weights.items()})
    for tensor in program.inventory.stored.values():
        paths = [file_path(use.path).removeprefix(f"{model}.") for use in tensor.uses]
        assert any(path in weights for path in paths), f"no weights for {tensor.name}"
    return program
