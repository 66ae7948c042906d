"""`wsdl explain`: the story of a code."""

from __future__ import annotations

import sys

import click

from wsdl.cli.terminal import Terminal, print_json, print_text
from wsdl.cli.verb import verb
from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.diagnostics import explain as pages
from wsdl.diagnostics.suggest import nearest


@verb
@click.argument("code", required=False)
def explain(code: str | None, as_json: bool) -> None:
    """What an error means, with an example; without CODE a list of all."""
    if code is None:
        _list(as_json)
        return
    try:
        text = pages.explain(code)
    except KeyError:
        raise CompileError([_unknown(code)]) from None
    if as_json:
        print_json({"code": code.strip().upper(), "title": pages.title(code), "text": text})
    else:
        _show(text)


def _list(as_json: bool) -> None:
    listed = [{"code": code, "title": pages.title(code)} for code in pages.codes()]
    if as_json:
        print_json({"codes": listed})
    else:
        print_text("".join(f"{page['code']}  {page['title']}\n" for page in listed))


def _show(text: str) -> None:
    """The page, laid out on a terminal and as it is written elsewhere."""
    terminal = Terminal.of(sys.stdout)
    if terminal.color and terminal.unicode:
        from rich.markdown import Markdown

        terminal.draw(Markdown(text), width=min(terminal.width or 80, 100))
    else:
        terminal.write(text)


def _unknown(code: str) -> Diagnostic:
    close = nearest(code.strip().upper(), pages.codes())
    help = f"did you mean `{close}`?" if close else "`wsdl explain` lists all codes"
    return Diagnostic("E0704", f"there is no code `{code}`", help=help)
