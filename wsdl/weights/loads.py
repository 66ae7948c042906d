"""Opens the files of a program's `load` statements and checks their listings against the parameters. No tensor is
read, so NumPy isn't needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wsdl.diagnostics import Problems
from wsdl.ir.stages import Storage
from wsdl.ir.weight_files import Fill
from wsdl.sharing.match_weights import match_weights
from wsdl.weights.open_source import open_source
from wsdl.weights.recorded import by_slots
from wsdl.weights.source import Source, WeightsError


@dataclass(frozen=True)
class Loads:
    """The `load`s of a program, matched with the listings of their files."""

    fills: list[Fill]
    sources: dict[str, Source]


def open_loads(storage: Storage, problems: Problems, *, missing: bool = False) -> Loads:
    """Open the files of all `load`s; their paths are relative to the folder of the source file.

    With `missing`, a file that doesn't exist is a note, and the `load`s aren't checked further.
    """
    sources: dict[str, Source] = {}
    opened = []
    for request in storage.checked.loads:
        path = str(Path(request.file_span.source.path).parent / request.file)
        if missing and not Path(path).exists():
            problems.error(
                "N0502",
                request.file_span,
                f"`{request.file}` is not here, so what it fills is not checked",
                help="compiling and running need the file",
                severity="note",
            )
            continue
        try:
            sources[path] = sources.get(path) or by_slots(open_source(path))
            opened.append((request, sources[path]))
        except WeightsError as error:
            for d in error.diagnostics:
                problems.error(d.code, request.file_span, f"{request.file}: {d.message}", help=d.help)
    if len(opened) < len(storage.checked.loads):
        return Loads([], sources)
    return Loads(match_weights(storage, opened, problems), sources)
