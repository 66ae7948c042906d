"""Stored tensors, as lists and as pictures."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from wsdl import compiler
from wsdl.api.checking import stored
from wsdl.api.sources import program_in, require, require_file, write_files
from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.ir.inventory import Inventory
from wsdl.ir.weight_files import is_weights
from wsdl.options import COUNT, DIMS, NAME, PATH, Optional, takes


@takes(path=PATH, dims=Optional(DIMS), import_root=Optional(PATH), variant=Optional(NAME))
def inspect(
    path: str | os.PathLike[str],
    *,
    dims: Mapping[str, int] | None = None,
    import_root: str | None = None,
    variant: str | None = None,
) -> Inventory:
    """The stored tensors of a program or a variant of it, of any ONNX file, or of a weights file."""
    require(path)
    if variant is not None and is_weights(path):
        message = "only a program has variants; this file contains one of them"
        raise CompileError([Diagnostic("E0704", message, file=os.fspath(path), help="leave out `--variant`")])
    if Path(path).suffix.lower() == ".onnx":
        require_file(path)
        from wsdl.onnx.inspect import inventory_of_onnx

        return inventory_of_onnx(path)
    if is_weights(path):
        from wsdl.onnx.inspect import inventory_of_weights

        return inventory_of_weights(path)
    return compiler.inventory(stored(program_in(path), dims, import_root, variant))


@takes(path=PATH, depth=Optional(COUNT), dims=Optional(DIMS), import_root=Optional(PATH), variant=Optional(NAME))
def graph(
    path: str | os.PathLike[str],
    *,
    depth: int | None = None,
    dims: Mapping[str, int] | None = None,
    import_root: str | None = None,
    variant: str | None = None,
) -> str:
    """The picture of a program, or of a variant of it, as DOT text; layers are opened down to `depth`."""
    from wsdl.pictures.dot import dot
    from wsdl.pictures.picture import picture

    return dot(picture(stored(path, dims, import_root, variant), depth))


@takes(dot=NAME, path=PATH)
def write_picture(dot: str, path: str | os.PathLike[str]) -> None:
    """Write DOT text, or to a `.svg` file its rendering by Graphviz, to a `.html` file a page with that."""
    from wsdl.pictures.graphviz import svg_from_dot
    from wsdl.pictures.page import page

    target = Path(path)
    text = svg_from_dot(dot) if target.suffix in (".svg", ".html") else dot
    if target.suffix == ".html":
        text = page(text, target.stem)
    write_files({path: text.encode()})
