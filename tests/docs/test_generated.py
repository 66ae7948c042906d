"""Reference pages that are generated: the command line from its options, the Python API from its docstrings, the index
of diagnostics from their pages. `pytest tests/docs --update-golden` writes them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from functools import cached_property

import click

import wsdl
from tests.docs.page import ROOT
from tests.golden import Golden
from wsdl import api
from wsdl.cli import COMMANDS
from wsdl.cli import wsdl as command_line
from wsdl.diagnostics.explain import codes, title
from wsdl.runtime.session import Session
from wsdl.runtime.trainer import Trainer, Trainers
from wsdl.runtime.training_state import Stateful
from wsdl.studies import Variant

FOLDER = ROOT / "docs" / "reference"
NOTE = "<!-- written by `pytest tests/docs --update-golden` -->\n\n"


def table(headers: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in [headers, *rows]]
    return "".join([lines[0], "|---" * lines[0].replace("\\|", "").count("| ") + "|\n", *lines[1:]])


# -- the command line --------------------------------------------------------------------------------------------------

CODES = """\
## Exit codes

| code | meaning |
|---|---|
| 0 | success; there may be warnings and notes |
| 1 | errors in a program, or weights that are stored twice |
| 2 | a wrong file, option, or data (codes E07xx) |
| 3 | a bug in `wsdl`: please report it |
| 130 | interrupted by Ctrl-C or SIGTERM |

Results go to stdout, messages and progress to stderr. With `--json` stdout has [one JSON document](json.md),
diagnostics included.
`NO_COLOR` and `FORCE_COLOR` are honored.
"""


def test_command_line(golden: Golden) -> None:
    context = click.Context(command_line, info_name="wsdl")
    text = "# Command line\n\n" + NOTE
    for name in COMMANDS:
        command = command_line.get_command(context, name)
        assert command is not None
        own = click.Context(command, info_name=f"wsdl {name}", **command.context_settings)
        usage = re.sub(r"\s+", " ", own.get_usage().removeprefix("Usage: "))
        help = unwrapped(inspect.cleandoc(command.help or ""))
        text += f"## `wsdl {name}`\n\n{help}\n\n```text\n{usage}\n```\n\n"
        options = [option for option in command.params if isinstance(option, click.Option)]
        text += table(["option", "meaning"], map(row_of_option, options)) + "\n"
    golden(FOLDER / "command-line.md", text + CODES)


def row_of_option(option: click.Option) -> list[str]:
    words = [f"`{'`, `'.join([*option.opts, *option.secondary_opts])}`"]
    if isinstance(option.type, click.Choice):
        words.append(" ".join(f"`{choice}`" for choice in option.type.choices))
    elif option.metavar:
        words.append(f"`{option.metavar}`")
    help = option.help or ""
    assert help, option.name
    default = option.default
    if option.show_default and not option.is_flag:
        help += f" Default: `{default}`."
    return [" ".join(words), re.sub(r" +\[default: (.*)\]", r" Default: \1.", help) + " Required." * option.required]


def unwrapped(text: str) -> str:
    return re.sub(r"(?<!\n)\n *(?!\n|- | )", " ", text.strip())


# -- diagnostics -------------------------------------------------------------------------------------------------------

FAMILIES = {
    "E01": "Syntax", "E02": "Names, blocks and arguments", "E03": "Sharing", "E04": "Types and shapes",
    "E05": "Weights and files", "E06": "Limits", "E07": "Files, options, data and machines", "E08": "Training",
    "W": "Warnings", "N": "Notes",
}  # fmt: skip


def test_diagnostics(golden: Golden) -> None:
    text = "# Errors, warnings and notes\n\n" + NOTE
    text += (
        "`wsdl explain E0312` prints a page; each has a program that causes the message, and the same program fixed.\n"
    )
    listed: list[str] = []
    for prefix, family in FAMILIES.items():
        own = [code for code in codes() if code.startswith(prefix)]
        rows = [[f"[{code}](../../wsdl/diagnostics/codes/{code}.md)", title(code)] for code in own]
        text += f"\n## {family}\n\n" + table(["code", "meaning"], rows)
        listed += own
    assert sorted(listed) == list(codes())
    golden(FOLDER / "errors.md", text)


# -- the Python API ----------------------------------------------------------------------------------------------------

FUNCTIONS = (wsdl.compile, wsdl.check, wsdl.format, wsdl.load, wsdl.match, wsdl.fit, wsdl.study)
CLASSES = (
    wsdl.Program,
    wsdl.Model,
    Session,
    Trainer,
    Trainers,
    wsdl.Proposal,
    wsdl.Study,
    Variant,
    wsdl.Callback,
    api.MLflow,
    api.WeightsAndBiases,
    wsdl.Diagnostic,
    wsdl.CompileError,
    wsdl.RunError,
)
BY_PROGRAM = (Session, Trainer, Trainers)  # whose constructors a user never calls
INTERNAL = {
    "make_step",
    "checkpoint",
    "restore",
    "protos",
    "values",
    "wants_total",
    "place",
    "summary",
    "findings",
    "header",
    "settings",
    "with_run",
}


def test_python(golden: Golden) -> None:
    assert {f.__name__ for f in (*FUNCTIONS, *CLASSES)} >= set(wsdl.__all__) - {"__version__"}
    text = "# Python API\n\n" + NOTE
    text += "`import wsdl` is cheap: NumPy, ONNX and ONNX Runtime are imported when they are needed.\n"
    for function in FUNCTIONS:
        text += f"\n## `wsdl.{function.__name__}`\n\n" + entry(function.__name__, function)
    for kind in CLASSES:
        public = f"wsdl.{kind.__name__}" if kind.__name__ in wsdl.__all__ else kind.__name__
        text += f"\n## `{public}`\n\n{documentation(kind)}\n"
        inherited = vars(Stateful) if issubclass(kind, Stateful) else {}
        for name, member in {**vars(kind), **inherited}.items():
            hidden = INTERNAL | {"models"} if inherited else INTERNAL
            if name.startswith("_") or name in hidden or not inspect.getdoc(member):
                continue
            if isinstance(member, property | cached_property):
                text += f"\n### `{name}`\n\n{documentation(member)}\n"
            elif inspect.isfunction(member):
                text += f"\n### `{name}`\n\n" + entry(name, member)
    golden(FOLDER / "python.md", text)


def entry(name: str, function: object) -> str:
    assert callable(function)
    signature = inspect.signature(function)
    parameters = [shown(p) for p in signature.parameters.values() if p.name != "self"]
    keywords = [p.kind is p.KEYWORD_ONLY for p in signature.parameters.values() if p.name != "self"]
    if True in keywords and not any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values()):
        parameters.insert(keywords.index(True), "*")
    line = f"{name}({', '.join(parameters)}) -> {signature.return_annotation}"
    if len(line) > 100:
        line = f"{name}(\n" + "".join(f"    {p},\n" for p in parameters) + f") -> {signature.return_annotation}"
    return f"```python fragment\n{line}\n```\n\n{documentation(function)}\n"


def shown(p: inspect.Parameter) -> str:
    name = f"*{p.name}" if p.kind is p.VAR_POSITIONAL else p.name
    return f"{name}: {p.annotation}" + ("" if p.default is p.empty else f" = {p.default!r}")


def documentation(thing: object) -> str:
    return unwrapped(inspect.getdoc(thing) or "")
