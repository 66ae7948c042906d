"""Runs the blocks of a page, one after another, in a folder of their own.

| block | what it must do |
|---|---|
| `python` | run; the names of a page's blocks are common to them |
| `output` | be what the Python block above it printed |
| `console` | each `$ command`, or program that was built, exits with 0 and prints the lines that are shown below it |
| `console error` | the same, but the last command does not exit with 0 |
| `wsd`, `wsd fixed` | be clean and in canonical layout; it need not have a model |
| `wsd error` | report the code that its note names, on the page of a code that code, else any |
| `… fragment` | is part of something, and only shown (`python fragment`, `wsd fragment`, `console fragment`) |
| `sh` | name targets of the Makefile where it says `make` |
| `json` | be JSON |

Other languages are only shown, but every block names its own.
`make golden` writes what commands and Python print into the page, where it differs; read it.
In what is compared, `...` stands for anything: for a part of a line, or alone on its line for any number of lines.
Notes above a block: `file: PATH` writes it there, `same as: PATH` asks that it is that file of the repository,
`error: CODE` names what must be reported, `skip: REASON` leaves it out. `shows: TEXT` of an `html` block is what its
`<output>` comes to show in Chromium.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import re
import shlex
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from website.blocks import Block, blocks

ROOT = Path(__file__).parents[2]
SHOWN = {"text", "ebnf", "lark", "dot", "js", "cpp", "yaml", "diff", "html", "cmake", "toml", "lua", "elisp"}
SECONDS = 300
# What a console block may start with; what changes the machine, such as installing, belongs in a `sh` block.
PROGRAMS = {
    "wsdl",
    "python",
    "node",
    "g++",
    "cat",
    "cp",
    "diff",
    "echo",
    "head",
    "ls",
    "mkdir",
    "tail",
    "wc",
    "true",
    "false",
}


SHELL = re.compile(r"[|<>&;$*?`#\\\\]")  # what only a shell understands


class Mismatch(AssertionError):
    """What a block says is not so."""


def named(block: Block) -> str:
    """The file that a block is: named by a comment before it, or behind its language; empty for none."""
    mark = next((mark for mark in block.marks if mark.endswith(".wsd")), "")
    return block.note.get("file") or Path(block.note.get("same as", "")).name or mark


class Page:
    """A page that is being run in the folder `cwd`."""

    def __init__(self, path: Path, cwd: Path, *, update: bool = False) -> None:
        self.path = path
        self.cwd = cwd
        self.update = update  # the page gets what its commands print, where that differs
        self.outputs: dict[tuple[int, str], str] = {}  # by the line of a block and what it shows
        self.names: dict[str, Any] = {"__name__": "__page__"}
        self.printed = ""
        self.runners: dict[str, Callable[[Block], None]] = {
            "python": self.run_python,
            "output": self.compare_output,
            "console": self.run_console,
            "wsd": self.check_wsd,
            "json": self.check_json,
            "sh": self.check_shell,
            "bash": self.check_shell,
        }

    def failures(self) -> list[str]:
        """Every block that is not as the page says, with its place."""
        found = []
        shown = list(blocks(self.path.read_text(encoding="utf-8")))
        for block in shown:  # a file may be shown below the program that imports it
            if any(mark.endswith(".wsd") for mark in block.marks):
                self.write(named(block), block.text)
        for block in shown:
            try:
                self.run(block)
            except Mismatch as mismatch:
                found.append(f"{self.path}:{block.line}: {mismatch}")
        self.forget()
        return found

    def updated(self) -> str:
        """The text of the page with what was printed now."""
        lines = self.path.read_text(encoding="utf-8").split("\n")
        for (line, shown), output in sorted(self.outputs.items(), reverse=True):  # so that lines keep their numbers
            rest = "\n".join(lines[line:])
            lines[line:] = rest.replace(shown, output, 1).split("\n")
        return "\n".join(lines)

    def forget(self) -> None:
        """Drop what the blocks made now, and not during another test; a page may leave files to Python to close."""
        if len(self.names) == 1:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            self.names.clear()
            gc.collect()
        gc.freeze()  # what is left is not searched after the next page

    def run(self, block: Block) -> None:
        if "skip" in block.note:
            return
        if "same as" in block.note:
            self.compare_file(block)
        name = named(block)
        if name:
            self.write(name, block.text)
        if block.language in self.runners:
            if "fragment" not in block.marks and (not name or block.language == "wsd"):
                self.runners[block.language](block)
        elif block.language not in SHOWN:
            raise Mismatch(f"a block of unknown language {block.language!r}; plain text is `text`")

    def write(self, name: str, text: str) -> Path:
        path = self.cwd / name
        if not path.resolve().is_relative_to(self.cwd.resolve()):
            raise Mismatch(f"the file {name} would lie outside the page's folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def compare_file(self, block: Block) -> None:
        path = ROOT / block.note["same as"]
        if not path.is_file() or path.read_text(encoding="utf-8") != block.text:
            raise Mismatch(f"this block is not the same as {block.note['same as']}")

    def run_python(self, block: Block) -> None:
        code = compile("\n" * block.line + block.text, str(self.path), "exec")
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                exec(code, self.names)
        except Exception as error:
            raise Mismatch(f"the block raised\n{traceback.format_exc()}") from error
        self.printed = printed.getvalue()

    def compare_output(self, block: Block) -> None:
        self.compare(block, block.text, self.printed)

    def run_console(self, block: Block) -> None:
        steps = commands(block.text)
        for i, (command, shown) in enumerate(steps):
            program = command.split(" ")[0]
            if program not in PROGRAMS and not program.startswith("./"):
                raise Mismatch(f"a console block doesn't run `{command}`; show it in a `sh` block")
            code, output = answer(command, self.cwd)
            fails = "error" in block.marks and i == len(steps) - 1
            if (code != 0) != fails:
                raise Mismatch(f"`{command}` exited with {code}:\n{output}")
            if shown:
                self.compare(block, shown, output, command)

    def compare(self, block: Block, shown: str, output: str, command: str = "the block") -> None:
        try:
            compare(shown, output, command)
        except Mismatch:
            if not self.update:
                raise
            output = re.sub(r"[ \t]+$", "", output, flags=re.MULTILINE).strip("\n")
            self.outputs[block.line, shown] = output + "\n" * (len(shown) - len(shown.rstrip("\n")))

    def check_wsd(self, block: Block) -> None:
        alone = "example.wsd" if self.path.parent.name == "codes" else f"line{block.line}.wsd"
        path = self.write(named(block) or alone, block.text)
        _, output = wsdl(["check", path.name, "--output-format", "json"], path.parent)
        try:
            found = {d["code"]: d["message"] for d in json.loads(output)["diagnostics"]}
        except (ValueError, KeyError) as error:
            raise Mismatch(f"`wsdl check` gave no JSON:\n{output}") from error
        told = "".join(f"\n  {code}: {message}" for code, message in found.items()) or " nothing"
        if "error" in block.marks or "error" in block.note:
            expected = block.note.get("error") or (self.path.stem if self.path.parent.name == "codes" else None)
            if not found or (expected is not None and expected not in found):
                raise Mismatch(f"must report {expected or 'something'}, but reports{told}")
            return
        if found:
            raise Mismatch(f"must be clean, but reports{told}")
        if (difference := wsdl(["fmt", path.name, "--diff"], path.parent)) != (0, ""):
            raise Mismatch(f"is not in the canonical layout:\n{difference[1]}")

    def check_json(self, block: Block) -> None:
        try:
            json.loads(block.text)
        except ValueError as error:
            raise Mismatch(f"is not JSON: {error}") from error

    def check_shell(self, block: Block) -> None:
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
        for target in re.findall(r"^\s*(?:\$ )?make ([\w-]+)", block.text, re.MULTILINE):
            if target not in targets:
                raise Mismatch(f"there is no `make {target}`")


def commands(text: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with the lines shown below it; `\\` at the end of a line goes on."""
    steps: list[tuple[str, str]] = []
    for line in text.splitlines(keepends=True):
        if line.startswith("$ "):
            steps.append((line[2:].rstrip("\n"), ""))
        elif not steps:
            raise Mismatch("a console block begins with `$ command`")
        elif steps[-1][0].endswith("\\") and not steps[-1][1]:
            steps[-1] = (steps[-1][0] + "\n" + line.rstrip("\n"), "")
        else:
            steps[-1] = (steps[-1][0], steps[-1][1] + line)
    return steps


def compare(shown: str, output: str, command: str = "the block") -> None:
    """Is this the output that the page shows?"""
    shown, output = (re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE).strip("\n") for text in (shown, output))
    pattern = ""
    for line in shown.split("\n"):
        if line.strip() == "...":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += "[^\n]*?".join(re.escape(part) for part in line.split("...")) + "\n"
    if re.fullmatch(pattern, output + "\n") is None:
        raise Mismatch(f"{command} printed\n{output}\nbut the page shows\n{shown}")


def environment() -> dict[str, str]:
    """As in a plain terminal, with the `wsdl` of this Python on the PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path, "NO_COLOR": "1", "COLUMNS": "100", "TERM": "dumb", "PYTHONIOENCODING": "utf-8"}


def answer(command: str, cwd: Path) -> tuple[int, str]:
    """The exit code of a command, and what it writes to stdout and stderr."""
    on_one_line = command.replace("\\\n", " ")
    if command.startswith("wsdl ") and not SHELL.search(on_one_line):
        return wsdl(shlex.split(on_one_line)[1:], cwd)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
        check=False,
    )
    return done.returncode, done.stdout.decode("utf-8", errors="replace")


def wsdl(arguments: list[str], cwd: Path) -> tuple[int, str]:
    """The same for `wsdl`, in this process: it would begin anew for each of many blocks."""
    from wsdl.cli import execute

    printed = io.StringIO()
    with (
        contextlib.chdir(cwd),
        mock.patch.dict(os.environ, environment()),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
    ):
        code = execute(arguments)
    return code, printed.getvalue()
