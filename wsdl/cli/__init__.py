"""The command `wsdl`: one file per verb, each loaded when it is asked for.

What goes wrong anywhere below arrives here as an exception and leaves as a finding and an exit code: 0 clean,
1 findings in a program, 2 a file, a flag or data (codes E07xx), 3 a bug of ours, 130 on Ctrl-C.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from wsdl import process
from wsdl.cli.failures import CLEAN, USAGE, failure, show
from wsdl.cli.terminal import flush_stdout, require_stdout
from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.diagnostics.suggest import nearest

GARBAGE = 100_000  # so many objects more, and Python looks for garbage
VERBS = ("new", "check", "fmt", "compile", "run", "train", "eval", "inspect", "graph", "explain")


class Verbs(click.Group):
    """The group of all verbs. Only the one that is asked for is imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = getattr(import_module(f"wsdl.cli.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS and not args[0].startswith("-"):
            close = nearest(args[0], VERBS)
            help = f"did you mean `wsdl {close}`?" if close else f"the verbs are {', '.join(VERBS)}"
            raise CompileError([Diagnostic("E0704", f"there is no verb `{args[0]}`", help=help)])
        return super().resolve_command(ctx, args)


@click.group(
    cls=Verbs, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}, epilog=
    "Exit codes: 0 clean, 1 findings, 2 a wrong file or flag, 3 a bug of wsdl, 130 interrupted."
)  # fmt: skip
@click.option("--version", is_flag=True, is_eager=True, help="Show the version of wsdl and of what it runs on.")
@click.pass_context
def wsdl(ctx: click.Context, version: bool) -> int:
    """Neural networks in which weight sharing is a first-class thing, compiled to ONNX."""
    if version:
        from wsdl.cli.version import versions

        click.echo(versions())
        ctx.exit()
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        return USAGE
    return CLEAN


def main() -> NoReturn:
    """The command in this process, which it ends."""
    process.run(lambda: begin(sys.argv[1:]))


def begin(arguments: Sequence[str]) -> int:
    """`execute` for a process that does nothing else. What it makes it keeps to its end, so there is little garbage to
    look for."""
    gc.set_threshold(GARBAGE)
    return execute(arguments)


def execute(arguments: Sequence[str]) -> int:
    """Run one command line; gives its exit code."""
    try:
        require_stdout()
        code: int = wsdl.main(list(arguments), prog_name="wsdl", standalone_mode=False) or CLEAN
        flush_stdout()
        return code
    except (KeyboardInterrupt, click.Abort):
        return process.interrupted()
    except SystemExit:
        if process.received():
            raise
        return CLEAN  # click ends so when nobody reads its help
    except Exception as error:
        if process.received():
            return process.interrupted()
        diagnostics, code = failure(error)
        show(diagnostics, arguments)
        return code
