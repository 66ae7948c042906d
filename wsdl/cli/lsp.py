"""`wsdl lsp`: the language server."""

from __future__ import annotations

import click

from wsdl.cli.command import import_root


@click.command("lsp", context_settings={"help_option_names": ["-h", "--help"]})
@import_root
def lsp(import_root: str | None) -> int:
    """The language server, on stdin and stdout, for an editor to start (docs/editors.md)."""
    from wsdl.lsp import serve

    return serve(import_root)
