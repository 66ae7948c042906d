"""Proposes how a file of weights fills a program."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from wsdl import compiler
from wsdl.api.sources import program_in, require_file, write_files
from wsdl.compiler import SourceOptions
from wsdl.diagnostics import CompileError, Diagnostic, Problems
from wsdl.diagnostics.span import Source as Text
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.stages import Storage
from wsdl.matching.another_network import another_network
from wsdl.matching.proposal import Proposal, propose
from wsdl.options import DIMS, NAME, PATH, Optional, takes
from wsdl.weights.source import Source

Checkpoint: TypeAlias = "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]"


@takes(path=PATH, at=Optional(NAME), into=Optional(NAME), dims=Optional(DIMS), import_root=Optional(PATH),
       variant=Optional(NAME))  # fmt: skip
def match(
    path: str | os.PathLike[str],
    checkpoint: Checkpoint,
    *,
    at: str | None = None,
    into: str | None = None,
    dims: Mapping[str, int] | None = None,
    import_root: str | None = None,
    variant: str | None = None,
) -> Proposal:
    """Propose `load` statements that fill a program from a file of weights, or from several: by names, shapes and the
    conventions of other frameworks. `into` is the path of a layer or model, the rest is left out; `at` a path in the
    file. Statements `load` that the program has already don't matter. The proposal is for a person to read; its `text`
    is valid at the end of the program. Raises `CompileError` if the weights seem to be those of another network."""
    text = program_in(path)
    files = [checkpoint] if isinstance(checkpoint, str | os.PathLike) else list(checkpoint)
    for file in files:
        require_file(file)
    storage = _stored(text, dims, import_root, variant)
    if into is not None:
        _require_layer(into, storage, text)
    source = _opened(files, at)
    folder = Path(text.path).parent
    proposal = propose(
        storage, source, _written(files, folder, at), into or "", lambda one, other: _equal(source, one, other)
    )
    part = f"`{into}`" if into else f"`{os.path.basename(text.path)}`"
    if (error := another_network(proposal, os.fspath(files[0]), part)) is not None:
        raise CompileError([error])
    return proposal


def _stored(text: Text, dims: Mapping[str, int] | None, import_root: str | None, variant: str | None) -> Storage:
    problems = Problems()
    program = compiler.check(text, problems, SourceOptions(dims or {}, import_root))
    storage = compiler.store(compiler.with_variant(program, variant, problems), problems)
    if storage is None or problems.errors:
        raise CompileError(problems)
    return storage


def _require_layer(path: str, storage: Storage, text: Text) -> None:
    """Raises `CompileError` unless a path is that of a layer, a model or an array of layers."""
    modules = [module.path for root in storage.checked.roots() for module in root.modules()]
    known = {*modules, *(path.rpartition("[")[0] for path in modules if path.endswith("]"))}
    if path not in known:
        near = nearest(path, known)
        help = f"did you mean `{near}`?" if near else "`wsdl inspect` lists the paths of a program"
        raise CompileError([Diagnostic("E0536", f"there is no layer `{path}`", file=text.path, help=help)])


def _opened(files: Sequence[str | os.PathLike[str]], at: str | None) -> Source:
    from wsdl.weights.open_source import open_source
    from wsdl.weights.parts import part_at, together
    from wsdl.weights.recorded import by_slots

    return part_at(together([by_slots(open_source(os.fspath(file))) for file in files]), at)


def _written(files: Sequence[str | os.PathLike[str]], folder: Path, at: str | None) -> str:
    """What stands behind `load`: paths relative to the folder of the program."""
    names = [f'"{Path(os.path.relpath(file, folder)).as_posix()}"' for file in files]
    return (names[0] if len(names) == 1 else f"[{', '.join(names)}]") + (f' at "{at}"' if at is not None else "")


def _equal(source: Source, one: str, other: str) -> bool:
    import numpy as np

    return bool(np.array_equal(source.read(one), source.read(other)))


@takes(path=PATH)
def write_proposal(path: str | os.PathLike[str], proposal: Proposal) -> None:
    """Put the statements of a proposal at the end of a program. Raises `CompileError` if it loads weights into these
    layers already."""
    text = program_in(path)
    for request in compiler.check(text, Problems()).loads:
        target = request.target.span.text
        if any(
            f"{load.target}.".startswith(f"{target}.") or target.startswith(f"{load.target}.")
            for load in proposal.loads
        ):
            message = f"the program loads weights into `{target}` already"
            help = "remove that `load`, or compare it with the proposal by hand: leave out `--write`"
            raise CompileError([Diagnostic("E0537", message, request.span, help=help)])
    write_files({path: f"{text.text.rstrip()}\n\n{proposal.text}".encode()})
