"""The language server, `wsdl lsp`: what the compiler knows of a program, in an editor.

    server         the protocol: documents come in, diagnostics go out, each request goes to the function of its feature
    documents      the texts of open files, and what the compiler says of each version
    positions      offsets in a source as positions of the protocol, and back
    client         what the client can do; refused: requests that can't be fulfilled
    rewrites       changes that are offered (tie, name_layer, extract_block), and checked before they are made
    renaming       all places of a name; importers: the programs that have it; meaning: whether a program is the same

Every other file is one feature: a function from a document and the parameters of a request to the answer. All of them
read the checked program; none has rules of the language of its own.
"""

from __future__ import annotations

from wsdl.diagnostics.run_error import fail


def serve(import_root: str | None = None) -> int:
    """Serve one client on stdin and stdout until it ends the session; returns the exit code. Raises `RunError` if the
    package pygls is not installed."""
    try:
        import pygls  # noqa: F401 - its absence is reported here
    except ImportError:
        raise fail(
            "E0782",
            "the language server needs the package pygls, which is not installed",
            help="`pip install 'wsdl[lsp]'` installs it",
        ) from None
    from wsdl.lsp.server import Server

    return Server(import_root).run()
