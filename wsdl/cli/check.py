"""`wsdl check`: the errors and warnings of programs, without compiling them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

import click

from wsdl import api
from wsdl.api import Binding, Checked
from wsdl.cli.command import command, dims, import_root, variant
from wsdl.cli.failures import exit_code
from wsdl.cli.terminal import note, print_json, print_lines, write_findings
from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.diagnostics.figures import count
from wsdl.diagnostics.render import Format, as_json


@command
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--output-format", "form", type=click.Choice(get_args(Format)), default="full", show_default=True,
              help="Format of the diagnostics.")  # fmt: skip
@click.option("--shapes", is_flag=True, help="Also print the type of every named tensor.")
@dims
@import_root
@variant
def check(
    files: tuple[str, ...],
    form: Format,
    shapes: bool,
    dims: Mapping[str, int],
    import_root: str | None,
    variant: str | None,
    as_json: bool,
) -> int:
    """Check programs with their variants: all errors and warnings, without compiling. `-` reads stdin."""
    once: dict[tuple[object, ...], Diagnostic] = {}  # a file that several files import is reported once
    bindings: list[Binding] = []
    for file in files:
        problems, program = _examined(file, dims, import_root, variant)
        once.update({(d.code, *d.location(), d.message): d for d in problems})
        bindings += program.bindings if program else ()
    diagnostics = list(once.values())
    if as_json or form == "json":
        _print_json(diagnostics, bindings if shapes else None)
        return exit_code(diagnostics)
    if shapes:
        print_lines(_shapes(bindings))
    write_findings(diagnostics, sys.stdout, form)
    if not diagnostics and form == "full" and sys.stderr.isatty():
        note(f"{count(len(files), 'file')} checked, no errors or warnings")
    return exit_code(diagnostics)


def _examined(
    file: str, dims: Mapping[str, int], import_root: str | None, variant: str | None
) -> tuple[Iterable[Diagnostic], Checked | None]:
    try:
        examined = api.examine(api.read_source(file), dims=dims, import_root=import_root, variant=variant)
        return examined.problems, examined.program
    except CompileError as error:
        return error.diagnostics, None


def _print_json(diagnostics: list[Diagnostic], bindings: list[Binding] | None) -> None:
    shapes: dict[str, Any] = {} if bindings is None else {"shapes": [_binding(b) for b in bindings]}
    print_json(as_json(diagnostics) | shapes)


def _binding(binding: Binding) -> dict[str, Any]:
    span = binding.span
    place = {"file": span.source.path, "line": span.line, "column": span.column}
    return {"layer": binding.path, "name": binding.name, **binding.type.as_json(), **place}


def _shapes(bindings: list[Binding]) -> Iterator[str]:
    """The names of each layer's body, in the order in which they are bound."""
    layers: dict[str, list[Binding]] = {}
    for binding in bindings:
        layers.setdefault(binding.path, []).append(binding)
    for path, bound in layers.items():
        width = max(len(b.name) for b in bound)
        yield path
        yield from (f"    {b.name:<{width}}  {b.type}" for b in bound)
    if layers:
        yield ""
