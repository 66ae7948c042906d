"""The command `wsdl`: one file for each command, imported on use.

Exceptions become diagnostics and an exit code: 0 success, 1 errors in a program, 2 a wrong file, option or data (codes
E07xx), 3 a bug in wsdl, 130 on Ctrl-C.
"""

from __future__ import annotations

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

COMMANDS = (
    "new",
    "check",
    "fmt",
    "compile",
    "run",
    "train",
    "eval",
    "study",
    "inspect",
    "match",
    "graph",
    "explain",
    "lsp",
)


class Commands(click.Group):
    """All commands, imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"wsdl.cli.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            close = nearest(args[0], COMMANDS)
            help = f"did you mean `wsdl {close}`?" if close else f"the commands are {', '.join(COMMANDS)}"
            raise CompileError([Diagnostic("E0704", f"there is no command `{args[0]}`", help=help)])
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}, epilog=
    "Exit codes: 0 success, 1 errors, 2 a wrong file or option, 3 a bug in wsdl, 130 interrupted."
)  # fmt: skip
@click.option("--version", is_flag=True, is_eager=True, help="Show the versions of wsdl and its runtime.")
@click.pass_context
def wsdl(ctx: click.Context, version: bool) -> int:
    """A declarative language for neural networks with weight sharing, compiled to ONNX."""
    if version:
        from wsdl.cli.version import versions

        click.echo(versions())
        ctx.exit()
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        return USAGE
    return CLEAN


def main() -> NoReturn:
    """Run the command line of this process, and exit."""
    process.run(lambda: execute(sys.argv[1:]))


def execute(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
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
        return CLEAN  # raised by click when the reader of its help has closed the pipe
    except Exception as error:
        if process.received():
            return process.interrupted()
        diagnostics, code = failure(error)
        show(diagnostics, arguments)
        return code
