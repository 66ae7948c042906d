"""A weights file of any format: its listing, and its tensors one at a time.

A damaged file raises `WeightsError` with E0501. NumPy is imported when a tensor is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.weight_files import Listing


class WeightsError(CompileError):
    """A weights file that can't be read, or doesn't match the program."""


def broken(path: str | Path, reason: str, help: str | None = None, details: Sequence[str] = ()) -> WeightsError:
    """The error E0501 for a file."""
    return WeightsError([Diagnostic("E0501", reason, file=str(path), help=help, details=tuple(details))])


@dataclass
class Source(Listing):
    """An open file: its listing, and a reader of tensors. If the listing has parameters, which are computed from the
    tensors of the file, `stored` is the file itself. `dictionaries` are the paths of those that a file consists of,
    each with the number of tensors in it; formats without nesting have none."""

    reader: Callable[[str], Any] = field(kw_only=True)
    metadata: dict[str, str] = field(default_factory=dict)
    stored: Source | None = None
    dictionaries: Mapping[str, int] = field(default_factory=dict)

    def read(self, name: str) -> Any:
        """A tensor as a NumPy array, memory-mapped if possible; it may be read-only."""
        stored_name = self.stored_name(name)
        if stored_name not in self.tensors:
            close = nearest(name, self.names)
            raise broken(self.path, f"there is no tensor `{name}`", f"did you mean `{close}`?" if close else None)
        try:
            return self.reader(stored_name)
        except (WeightsError, MemoryError):
            raise
        except Exception as error:  # each format has other errors
            raise broken(self.path, f"the tensor `{name}` can't be read: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """The message of an exception, short and in lower case."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = text.strip().partition("\n")[0]
    return (text[:1].lower() + text[1:]) or type(error).__name__
