"""A file with weights, whatever its format: what tensors are in it, and the tensors one at a time.

What is wrong with it comes as a `WeightsError` with E0501. NumPy is imported when a tensor is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.weight_files import Listing


class WeightsError(CompileError):
    """A file of weights that can't be read, or doesn't fit."""


def broken(path: str | Path, reason: str, help: str | None = None) -> WeightsError:
    """E0501 for a file."""
    return WeightsError([Diagnostic("E0501", reason, file=str(path), help=help)])


@dataclass
class Source(Listing):
    """An opened file: its listing, and a way to each tensor. `stored` is the file as it is, where the tensors listed
    here are those of parameters."""

    reader: Callable[[str], Any] = field(kw_only=True)
    metadata: dict[str, str] = field(default_factory=dict)
    stored: Source | None = None

    def read(self, name: str) -> Any:
        """A tensor as a NumPy array, memory-mapped where that is possible; it may be read-only."""
        stored_name = self.stored_name(name)
        if stored_name not in self.tensors:
            close = nearest(name, self.names)
            raise broken(self.path, f"there is no tensor `{name}`", f"did you mean `{close}`?" if close else None)
        try:
            return self.reader(stored_name)
        except (WeightsError, MemoryError):
            raise
        except Exception as error:  # each format has its own ways to be damaged
            raise broken(self.path, f"the tensor `{name}` can't be read: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """An exception in a few words of lower case."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = text.strip().partition("\n")[0]
    return (text[:1].lower() + text[1:]) or type(error).__name__
