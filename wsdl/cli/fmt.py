"""`wsdl fmt`: format source files."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from difflib import unified_diff

import click

from wsdl import api
from wsdl.cli.command import command
from wsdl.cli.failures import CLEAN, FINDINGS, exit_code, writing
from wsdl.cli.terminal import note, print_bytes, print_json, print_text, write_findings
from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.diagnostics.render import as_json as findings_as_json

STDIN = "-"


@dataclass(frozen=True)
class Formatted:
    """A text before and after formatting."""

    file: str
    before: str
    after: str

    @property
    def changed(self) -> bool:
        return self.before != self.after

    def diff(self) -> str:
        """The changes in the format of `diff -u`; empty if there are none."""
        before, after = (text.splitlines(keepends=True) for text in (self.before, self.after))
        lines = unified_diff(before, after, self.file, f"{self.file} (formatted)")
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


@command
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Write nothing; print the changes.")
def fmt(files: tuple[str, ...], check: bool, diff: bool, as_json: bool) -> int:
    """Format source files; `-` reads stdin and writes stdout."""
    done: list[Formatted] = []
    diagnostics: list[Diagnostic] = []
    for file in files:
        try:
            formatted = _format(file)
        except CompileError as error:
            diagnostics += error.diagnostics
            continue
        done.append(formatted)
        if not (check or diff or (as_json and file == STDIN)):
            _keep(formatted)
    if as_json:
        texts = [
            {"file": f.file, "changed": f.changed, **({"text": f.after} if f.file == "<stdin>" else {})} for f in done
        ]
        print_json({"files": texts, **findings_as_json(diagnostics)})
    else:
        _tell(done, check, diff)
        write_findings(diagnostics, sys.stderr)
    would_change = check and any(formatted.changed for formatted in done)
    return exit_code(diagnostics) or (FINDINGS if would_change else CLEAN)


def _format(file: str) -> Formatted:
    source = api.read_source(file)
    return Formatted(source.path, source.text, api.format(source))


def _keep(formatted: Formatted) -> None:
    """Write the new text to its file if it differs, or to stdout."""
    if formatted.file == "<stdin>":
        print_bytes(formatted.after.encode())
    elif formatted.changed:
        with writing(formatted.file):
            api.write_files({os.path.realpath(formatted.file): formatted.after.encode()})


def _tell(done: list[Formatted], check: bool, diff: bool) -> None:
    changed = [formatted for formatted in done if formatted.changed]
    if diff:
        print_text("".join(formatted.diff() for formatted in changed))
    for formatted in changed:
        if check:
            note(f"would reformat {formatted.file}")
        elif not diff and formatted.file != "<stdin>":
            note(f"reformatted {formatted.file}")
