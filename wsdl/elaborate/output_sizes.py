"""What the sizes of a model's outputs are called where others see them: in files, manifests, tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wsdl.elaborate.context import Context
from wsdl.elaborate.evaluate import evaluate
from wsdl.elaborate.items import Frame, Item, as_dim
from wsdl.ir.dims import Dim
from wsdl.ir.graph import Value
from wsdl.syntax import tree

LONGEST = 24  # characters of a computed size without a declared name


def output_sizes(node: tree.Model, frame: Frame, outputs: Mapping[str, Item], context: Context) -> dict[str, Dim]:
    """The declared forms of computed sizes, by the text of the computed ones: `m` of a result `f32[n, m]`. A long one
    that isn't declared is called by its output and axis, `y_dim1`. The names of the inputs' sizes stay."""
    found: dict[str, Dim] = {}
    for declared, size in _declared(node, outputs):
        if size.constant is None and size.name not in context.builder.sizes:
            item = Dim.symbol(declared.text) if isinstance(declared, tree.Name) else evaluate(declared, frame, context)
            dim = as_dim(item)
            if dim is not None and dim.constant is None:
                found.setdefault(str(size), dim)
    for name, item in outputs.items():
        for value in item if isinstance(item, list) else [item]:
            for axis, size in enumerate(value.type.shape if isinstance(value, Value) else ()):
                if size.constant is None and len(str(size)) > LONGEST:
                    found.setdefault(str(size), Dim.symbol(f"{name}_dim{axis}"))
    return {text: dim for text, dim in found.items() if text != str(dim)}


def _declared(node: tree.Model, outputs: Mapping[str, Item]) -> Iterator[tuple[tree.Expression, Dim]]:
    """The declared dimensions of the results with the computed ones."""
    for output, item in zip(node.outputs or (), outputs.values(), strict=False):
        first = item[0] if isinstance(item, list) and item else item
        if isinstance(first, Value):
            for declared, size in zip(output.type.dims, first.type.shape, strict=False):
                if isinstance(declared, tree.Ellipsis):
                    break  # what follows stands at another axis
                yield declared, size
