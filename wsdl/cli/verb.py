"""What the verbs have in common: how a verb is declared, and the options that several of them take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from wsdl import limits
from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.options import SEED, SIZE, Whole

Function = TypeVar("Function", bound=Callable[..., Any])


def verb(function: Callable[..., int | None]) -> click.Command:
    """A verb of the command line, with `--json`; gives its exit code, where that isn't 0."""
    command = click.command(function.__name__, context_settings={"help_option_names": ["-h", "--help"]})(function)
    json = click.Option(["--json", "as_json"], is_flag=True, help="Everything as JSON on stdout, errors too.")
    command.params.append(json)
    return command


def whole(option: Whole) -> click.IntRange:
    """The type of a flag that is a whole number."""
    return click.IntRange(option.lowest, option.highest)


# -- options of several verbs ------------------------------------------------------------------------------------------


def seed(function: Function) -> Function:
    return click.option(
        "--seed", type=whole(SEED), metavar="S", default=0, show_default=True, help="For the initial values."
    )(function)


def weights(function: Function) -> Function:
    text = "Weights to use: a .safetensors, .onnx or .npz file."
    return click.option("--weights", metavar="W", help=text)(function)


def dims(function: Function) -> Function:
    return click.option(
        "--dim", "dims", multiple=True, metavar="NAME=SIZE", callback=_dims, help="Give a run-time dimension a value."
    )(function)


def import_root(function: Function) -> Function:
    text = "The folder that imports may not leave; by default that of the file."
    return click.option("--import-root", metavar="DIR", help=text)(function)


def _dims(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    dims: dict[str, int] = {}
    for value in values:
        name, _, size = value.partition("=")
        if (
            not name.isidentifier()
            or not size.isdecimal()
            or len(size) > limits.DIGITS
            or not SIZE.lowest <= int(size) <= SIZE.highest
        ):
            message = f"`--dim {value[:60]}` is not a name and a size of at least 1"
            raise CompileError([Diagnostic("E0704", message, help="write `--dim n=8`")])
        dims[name] = int(size)
    return dims
