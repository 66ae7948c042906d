"""`wsdl explain`: the page of an error code, an operation or a block."""

from __future__ import annotations

import sys
from contextlib import suppress

import click

from wsdl.cli.command import command
from wsdl.cli.terminal import Terminal, print_json, print_lines
from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.diagnostics import explain as codes
from wsdl.diagnostics.suggest import nearest


@command
@click.argument("what", metavar="[CODE | NAME]", required=False)
def explain(what: str | None, as_json: bool) -> None:
    """Explain an error code, an operation (`relu`) or a block (`Dense`, or PyTorch's `Linear`). Without an argument,
    list all codes."""
    if what is None:
        _list(as_json)
        return
    try:
        text = codes.explain(what)
        page = {"code": what.strip().upper(), "title": codes.title(what), "text": text}
    except KeyError:
        name, text = _reference_page(what.strip())
        page = {"name": name, "text": text}
    if as_json:
        print_json(page)
    else:
        _show(text)


def _list(as_json: bool) -> None:
    listed = [{"code": code, "title": codes.title(code)} for code in codes.codes()]
    if as_json:
        print_json({"codes": listed})
    else:
        print_lines(f"{page['code']}  {page['title']}" for page in listed)


def _reference_page(what: str) -> tuple[str, str]:
    """The name of an operation or block, and its page; `what` may be its name in PyTorch or Keras."""
    from wsdl.api import reference

    with suppress(KeyError):
        return what, reference.page(what)
    name, help = reference.elsewhere(what)
    if name:
        return name, f"In WSDL, `{what}` is called `{name}`.\n\n{reference.page(name)}"
    if not help:
        alike = [n for n in reference.names() if n[:1].isupper() == what[:1].isupper() or n.lower() == what.lower()]
        close = nearest(what.upper(), codes.codes()) or nearest(what, alike)
        help = f"did you mean `{close}`?" if close else "`wsdl explain` lists all codes, docs/reference the names"
    raise CompileError([Diagnostic("E0704", f"there is no code, operation or block `{what}`", help=help)])


def _show(text: str) -> None:
    """The page, rendered on a terminal, otherwise as Markdown."""
    terminal = Terminal.of(sys.stdout)
    if terminal.color and terminal.unicode:
        from rich.markdown import Markdown

        terminal.draw(Markdown(text), width=min(terminal.width or 80, 100))
    else:
        terminal.write(text)
