"""Name this layer: a block that is written inline gets a `layer` declaration above its statement.

It keeps the name that it has without one (`dense`, `dense_2`), so that stored tensors keep theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from lsprotocol.types import CodeActionKind

from wsdl.diagnostics import Edit
from wsdl.lsp.documents import Document
from wsdl.lsp.names import nodes_at
from wsdl.lsp.rewrites import Rewrite
from wsdl.syntax import tree

_AROUND = (tree.Assign, tree.Return)  # statements that run once in a body
_WITHIN = (
    tree.Comprehension,
    tree.For,
    tree.Scan,
)  # a layer in these is one of several, or declared in a body of theirs


def namings(document: Document, start: int, end: int) -> Iterator[Rewrite]:
    """For the innermost inline layer around an offset."""
    around = list(nodes_at(document.tree, start))
    if any(isinstance(node, _WITHIN) for node in around):
        return
    statement = next((node for node in around if isinstance(node, _AROUND)), None)
    if statement is None or end > statement.span.end:
        return
    for parent, call in reversed(list(pairwise(around))):
        applied = (isinstance(parent, tree.Pipe) and call is parent.stage) or (
            isinstance(parent, tree.Call) and call is parent.function
        )
        modules = document.index.modules_at(call.span) if applied and isinstance(call, tree.Call) else []
        if modules:
            name = modules[0].path.rpartition(".")[2]
            line = f"layer {name} = {call.span.text}\n{_indentation(statement)}"
            before = document.source.span(statement.span.start, statement.span.start)
            edits = (Edit(before, line), Edit(call.span, name))
            yield Rewrite(f"Name this layer `{name}`", CodeActionKind.RefactorExtract.value, edits)
            return


def _indentation(node: tree.Node) -> str:
    text = node.span.source.text
    return text[text.rfind("\n", 0, node.span.start) + 1 : node.span.start]
