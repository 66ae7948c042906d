"""Checks the names of `--dim n=8`: they must be dynamic dimensions in a model's signature."""

from __future__ import annotations

from collections.abc import Iterable

from wsdl.diagnostics import Diagnostic, Problems
from wsdl.diagnostics.suggest import nearest
from wsdl.elaborate.scopes import FileScope
from wsdl.elaborate.signatures import names_in
from wsdl.syntax import tree


def check_dims(scope: FileScope, dims: Iterable[str], problems: Problems) -> None:
    """Report each name that isn't a dynamic dimension of any model."""
    known = run_time_dims(scope)
    for name in dims:
        if name not in known:
            close = nearest(name, known)
            listed = ", ".join(f"`{n}`" for n in known) or "none"
            help = f"did you mean `{close}`?" if close else f"the dynamic dimensions are {listed}"
            message = f"no model has a dynamic dimension `{name}`"
            problems.add(Diagnostic("E0706", message, file=scope.source.path, help=help))


def run_time_dims(scope: FileScope) -> list[str]:
    """The unbound names in the models' signatures, in source order."""
    dims = [
        name.text
        for definition in scope.models()
        if isinstance(definition.node, tree.Model)
        for declared in definition.node.inputs
        for dim in declared.type.dims
        for name in names_in(dim)
        if name.text not in scope.definitions
    ]
    return list(dict.fromkeys(dims))
