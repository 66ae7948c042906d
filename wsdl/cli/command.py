"""The decorator of commands, and the options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from wsdl.diagnostics import CompileError, Diagnostic, limits
from wsdl.options import COUNT, SEED, SIZE, Whole

if TYPE_CHECKING:
    from wsdl.ray import Workers

Function = TypeVar("Function", bound=Callable[..., Any])


_PATHS = {  # what the shell completes, by what stands for a value in the help
    "FILE": "file", "FILE...": "file", "CHECKPOINT...": "file", "D": "file", "E": "file", "W": "file", "X": "file",
    "Y": "file", "DIR": "dir", "RUN": "dir", "STUDY": "dir",
}  # fmt: skip


class Path(click.types.StringParamType):
    """A path, which may not exist: that is for the command to say. The shell completes it."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type=self._kind)]


def command(function: Callable[..., int | None]) -> click.Command:
    """A command with the option `--json`; `function` returns the exit code, `None` for 0."""
    declared = click.command(function.__name__, context_settings={"help_option_names": ["-h", "--help"]})(function)
    for parameter in declared.params:
        if parameter.metavar in _PATHS and parameter.type is click.STRING:
            parameter.type = Path(_PATHS[parameter.metavar])
    json = click.Option(["--json", "as_json"], is_flag=True, help="Print results and diagnostics as JSON on stdout.")
    declared.params.append(json)
    return declared


def whole(option: Whole) -> click.IntRange:
    """The type of an option that is an integer."""
    return click.IntRange(option.lowest, option.highest)


# -- options of several commands ---------------------------------------------------------------------------------------


def seed(function: Function) -> Function:
    return click.option(
        "--seed", type=whole(SEED), metavar="S", default=0, show_default=True, help="Seed of the initial values."
    )(function)


def weights(function: Function) -> Function:
    text = "Trained weights: a .safetensors, .pt, .onnx or .npz file."
    return click.option("--weights", metavar="W", help=text)(function)


def partial(function: Function) -> Function:
    text = "W may lack weights: these are as FILE loads or initializes them."
    return click.option("--partial", is_flag=True, help=text)(function)


def fit(function: Function) -> Function:
    text = "If FILE shares more than W, load the nearest weights; each may differ by SHARE of its norm."
    share = click.FloatRange(0, min_open=True)
    return click.option("--fit", type=share, metavar="SHARE", help=text)(function)


def workers(function: Function) -> Function:
    """`--workers` and `--cluster`, of which `workers_of` makes the workers."""
    options = [
        click.option("--workers", type=whole(COUNT), metavar="N", help="Run on N processes, by Ray."),
        click.option("--cluster", metavar="ADDRESS",
                     help="The Ray cluster of the workers, as host:6379.  [default: RAY_ADDRESS, or this machine]"),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def workers_of(count: int | None, cluster: str | None, threads: int | None) -> Workers | None:
    """The workers that the options name; `None` without `--workers`."""
    if count is None:
        if cluster is not None:
            raise CompileError([Diagnostic("E0704", "`--cluster` needs a number of workers", help="add `--workers 4`")])
        return None
    from wsdl.ray import Workers

    return Workers(count, threads or 1, cluster)


def dims(function: Function) -> Function:
    return click.option(
        "--dim", "dims", multiple=True, metavar="NAME=SIZE", callback=_dims, help="Fix a dynamic dimension."
    )(function)


def import_root(function: Function) -> Function:
    text = "Folder within which imports must stay.  [default: that of FILE]"
    return click.option("--import-root", metavar="DIR", help=text)(function)


def variant(function: Function) -> Function:
    return click.option("--variant", metavar="NAME", help="A variant that FILE declares.")(function)


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
