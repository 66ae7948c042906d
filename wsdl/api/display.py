"""What a notebook shows of a program."""

from __future__ import annotations

from html import escape

from wsdl.api.listing import families
from wsdl.diagnostics.figures import MOST_LISTED, size
from wsdl.diagnostics.html import html_table
from wsdl.diagnostics.run_error import RunError
from wsdl.ir.inventory import Inventory
from wsdl.ir.stages import Storage
from wsdl.ir.summary import summary


def program_as_html(storage: Storage, inventory: Inventory) -> str:
    """The signatures of the models, the picture if Graphviz is there, the layers, and what is shared by what."""
    layers = summary(storage, inventory)
    headers, *rows = layers.cells()
    sizes = inventory.sizes()
    parts = [f"<pre>{escape(chr(10).join(map(inventory.signature, inventory.models)))}</pre>"]
    parts += [svg] if (svg := _svg(storage)) else []
    parts.append(html_table(headers, rows, numbers=[headers.index("parameters")]))
    shared = [(f.label, f.shared_by, size(f.bytes), size(f.saved)) for f in families(inventory)]
    if shared:
        parts.append(html_table(("shared", "by", "stored", "saved"), shared[:MOST_LISTED], numbers=(2, 3)))
    without = (
        f", {size(sizes.bytes_without_sharing)} without sharing" if sizes.bytes_without_sharing != sizes.bytes else ""
    )
    parts.append(f"<p>{sizes.parameters:,} parameters, {size(sizes.bytes)}{without}</p>")
    return f'<div style="overflow-x:auto">{"".join(parts)}</div>'


def _svg(storage: Storage) -> str:
    from wsdl.pictures.dot import dot
    from wsdl.pictures.graphviz import svg_from_dot
    from wsdl.pictures.picture import picture

    try:
        drawn = svg_from_dot(dot(picture(storage)))
    except RunError:
        return ""
    return drawn[drawn.index("<svg") :]
