"""Opens the files of a program's `load` statements and checks their listings against the parameters. No tensor is
read, so NumPy isn't needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wsdl.diagnostics import Problems
from wsdl.ir.requests import LoadRequest
from wsdl.ir.stages import Storage
from wsdl.ir.weight_files import Fill
from wsdl.sharing.match_weights import match_weights
from wsdl.weights.open_source import open_source
from wsdl.weights.parts import part_at, together
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
    opened_files: dict[str, Source] = {}
    opened = []
    for request in storage.checked.loads:
        folder = Path(request.file_span.source.path).parent
        absent = [file for file in request.files if not (folder / file).exists()]
        if missing and absent:
            problems.error(
                "N0502",
                request.file_span,
                f"`{absent[0]}` is not here, so what it fills is not checked",
                help="compiling and running need the file",
                severity="note",
            )
            continue
        try:
            source = _opened(folder, request, opened_files)
            opened.append((request, sources.setdefault(source.path, source)))
        except WeightsError as error:
            for d in error.diagnostics:
                span = request.at.span if d.code == "E0530" and request.at else request.file_span
                file = next((f"{file}: " for file in request.files if str(folder / file) == d.file), "")
                problems.error(d.code, span, f"{file}{d.message}", details=d.details, help=d.help)
    if len(opened) < len(storage.checked.loads):
        return Loads([], sources)
    return Loads(match_weights(storage, opened, problems), sources)


def _opened(folder: Path, request: LoadRequest, opened: dict[str, Source]) -> Source:
    """What a `load` reads; `opened` has the files that are open already. Raises `WeightsError`."""
    for path in (str(folder / file) for file in request.files):
        opened[path] = opened.get(path) or by_slots(open_source(path))
    source = together([opened[str(folder / file)] for file in request.files])
    return part_at(source, None if request.at is None else request.at.path)
