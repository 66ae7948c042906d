"""`wsdl graph`: the picture of a program."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from wsdl import api
from wsdl.cli.command import command, dims, import_root, variant, whole
from wsdl.cli.failures import writing
from wsdl.cli.terminal import note, print_json, print_text
from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.options import COUNT

STDOUT = "-"


@command
@click.argument("file", metavar="FILE")
@click.option(
    "-o", "--output", metavar="FILE", default=STDOUT, help="Output file: .svg, .html or .dot; - writes DOT to stdout."
)
@click.option("--depth", type=whole(COUNT), metavar="N", help="Show layers down to this depth.")
@dims
@import_root
@variant
def graph(
    file: str,
    output: str,
    depth: int | None,
    dims: Mapping[str, int],
    import_root: str | None,
    variant: str | None,
    as_json: bool,
) -> None:
    """Draw a program as a graph, in which a shared tensor is one node."""
    if output != STDOUT and Path(output).suffix not in (".svg", ".html", ".dot"):
        help = "write `-o g.svg` for a picture, `-o g.html` for a page to click in, `-o g.dot` for the graph itself"
        raise CompileError([Diagnostic("E0704", f"a picture can't be written as `{output}`", help=help)])
    dot = api.graph(file, depth=depth, dims=dims, import_root=import_root, variant=variant)
    if output == STDOUT:
        if as_json:
            print_json({"dot": dot})
        else:
            print_text(dot)
        return
    with writing(output):
        api.write_picture(dot, output)
    if as_json:
        print_json({"files": [output]})
    else:
        note(f"wrote {output}")
