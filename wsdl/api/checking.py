"""Checks and formats a program, without importing NumPy or ONNX."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from wsdl import compiler
from wsdl.api.sources import source_of
from wsdl.compiler import SourceOptions
from wsdl.diagnostics import CompileError, Diagnostic, Problems
from wsdl.diagnostics.span import Source
from wsdl.elaborate.records import Memory
from wsdl.ir.stages import Checked, Storage
from wsdl.options import DIMS, NAME, PATH, Optional, takes
from wsdl.syntax.read import read_import


@dataclass(frozen=True, eq=False)
class Examined:
    """The diagnostics of a program `alone`; the program as far as it could be checked, `None` if it couldn't be read;
    and what it stores, `None` if it has errors. `of_variants` tells whether its variants are asked about too."""

    alone: Problems
    program: Checked | None = None
    storage: Storage | None = None
    of_variants: bool = False

    @cached_property
    def problems(self) -> Problems:
        """All diagnostics. Variants are checked when they are first asked for."""
        problems = self.alone.copy()
        if self.program is not None and self.of_variants:
            compiler.check_variants(self.program, problems)
        return problems


@takes(dims=Optional(DIMS), variant=Optional(NAME))
def check(
    path_or_source: str | os.PathLike[str] | Source,
    *,
    dims: Mapping[str, int] | None = None,
    variant: str | None = None,
) -> list[Diagnostic]:
    """All errors, warnings and notes of a file or source text, with all of its variants or one `variant`, in the order
    of their locations. Never raises `CompileError`."""
    return list(examine(path_or_source, dims=dims, variant=variant).problems)


@takes(dims=Optional(DIMS), import_root=Optional(PATH), variant=Optional(NAME))
def examine(
    path_or_source: str | os.PathLike[str] | Source,
    *,
    dims: Mapping[str, int] | None = None,
    import_root: str | None = None,
    variant: str | None = None,
    read: Callable[[str], Source | None] = read_import,
    memory: Memory | None = None,
) -> Examined:
    """Check a file with all of its variants or one `variant`. `read` returns the source of an imported file, or `None`
    if there is none. `memory`, the same one for each version of a text, makes the next check faster."""
    problems = Problems()
    try:
        program = compiler.check(
            source_of(path_or_source), problems, SourceOptions(dims or {}, import_root), read, memory
        )
        program = compiler.with_variant(program, variant, problems)
        storage = compiler.store(program, problems)
        if storage is not None:
            compiler.check_loads(storage, problems)
        return Examined(problems, program, storage, of_variants=variant is None)
    except CompileError as error:
        for diagnostic in error.diagnostics:
            problems.add(diagnostic)
        return Examined(problems)


def format(source: str | Source) -> str:
    """Source text, formatted. Raises `CompileError` if it doesn't parse."""
    from wsdl.syntax.formatter import format_source

    problems = Problems()
    text = format_source(source if isinstance(source, Source) else Source("<text>", source), problems)
    if text is None:
        raise CompileError(problems)
    return text


def stored(
    path: str | os.PathLike[str] | Source,
    dims: Mapping[str, int] | None,
    import_root: str | None,
    variant: str | None,
) -> Storage:
    """The `Storage` of a program, or of a variant of it. Raises `CompileError` if there are errors."""
    examined = examine(path, dims=dims, import_root=import_root, variant=variant)
    if examined.storage is None or examined.alone.errors:
        raise CompileError(examined.alone)
    return examined.storage
