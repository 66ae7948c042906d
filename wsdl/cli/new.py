"""`wsdl new`: a folder with a first model, ready to run."""

from __future__ import annotations

import io
import os
import shlex
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from wsdl import api
from wsdl.api import TensorType
from wsdl.cli.command import command
from wsdl.cli.failures import writing
from wsdl.cli.terminal import note, print_json, print_lines
from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.diagnostics.span import Source

EXAMPLES = ("siamese", "lenet", "tied_autoencoder", "lm")
ROWS = 8  # of the generated inputs


@command
@click.argument("directory", metavar="DIR")
@click.option(
    "--example", type=click.Choice(EXAMPLES), default=EXAMPLES[0], show_default=True, help="The model to start with."
)
def new(directory: str, example: str, as_json: bool) -> None:
    """Create a folder with a first model, ready to run."""
    folder = Path(directory)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        reason = "the folder is not empty" if folder.is_dir() else "there is a file of this name"
        help = "choose another name; `wsdl new` overwrites nothing"
        raise CompileError([Diagnostic("E0707", reason, file=directory, help=help)])
    contents = _contents(example)
    with writing(directory):
        api.write_files({folder / name: data for name, data in contents.items()})
    created = [os.path.join(directory, name) for name in contents]
    if as_json:
        print_json({"files": created})
        return
    for path in created:
        note(f"wrote {path}")
    print_lines([f"cd {shlex.quote(directory)}", f"wsdl compile {example}.wsd -o build"])


def _contents(example: str) -> dict[str, bytes]:
    """The files of the folder: the program, inputs for it, and a README."""
    folder = files("wsdl.cli") / "examples"
    name = f"{example}.wsd"
    program = (folder / name).read_text(encoding="utf-8")
    checked = api.examine(Source(name, program)).program
    assert checked is not None
    [model], [training] = checked.models.values(), checked.trainings.values()
    page = (folder / "README.md").read_text(encoding="utf-8")
    page = page.format(title=example, doc=model.doc)
    return {
        name: program.encode(),
        "example.npz": _inputs({v.name: v.type for v in training.evaluation.graph.inputs}),
        "README.md": page.encode(),
    }


def _inputs(types: Mapping[str, TensorType]) -> bytes:
    """Arrays for the model's inputs and targets: values from 0 to 1, or small indices."""
    import numpy as np

    generator = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for name, type in types.items():
        shape = [ROWS if dim.constant is None else dim.constant for dim in type.shape]
        arrays[name] = generator.random(shape, np.float32) if type.is_float else generator.integers(0, 10, shape)
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()
