"""The layers and parameters of imported files.

They are created where they are first needed, by a name that the program imports or by a block of their file: once, for
all who need them. Of what imported files say about layers (`share`, `freeze`, `load`, `param PATH = …`) the program has
the statements whose layers it has.
"""

from __future__ import annotations

from collections.abc import Iterable

from wsdl.diagnostics import Label
from wsdl.elaborate.bound_names import names_of
from wsdl.elaborate.context import Context
from wsdl.elaborate.declarations import declare_in_file
from wsdl.elaborate.evaluate import run
from wsdl.elaborate.items import Frame
from wsdl.elaborate.program_builder import FileRequests
from wsdl.elaborate.scopes import Definition, FileScope
from wsdl.syntax import tree

_WITH_PATHS = (tree.Layer, tree.Parameter, tree.Model)


def is_there(definition: Definition, node: tree.Name, context: Context) -> bool:
    """Create what a name of an imported file stands for, unless it exists. Returns whether it does then; reports a name
    that two files declare."""
    own = context.root.definition.scope.definitions.get(definition.name)
    other = context.of_imported.get(definition.name, definition)
    if own is not None and own.node is not definition.node and isinstance(own.node, _WITH_PATHS):
        other = own
    if other.node is definition.node:
        if definition.name not in context.of_imported:
            context.of_imported[definition.name] = definition
            declare_in_file(definition, context)
        return True
    if not context.report.is_reported(node.span):
        context.error(
            "E0247",
            other.node.name.span,
            f"two files of the program declare `{definition.name}`",
            "declared here",
            labels=[Label(definition.node.name.span, "and here"), Label(node.span, "needed here")],
            help="a layer of a file has its name in the whole program: rename one of them",
        )
    return False


# -- what a file says about its layers ---------------------------------------------------------------------------------


def imported_requests(context: Context) -> None:
    """Record what imported files say about layers of the program, before what it says itself."""
    own, context.mode.variant = context.mode.variant, FileRequests()
    requests = context.mode.variant
    for scope in _imported(context.root.definition.scope, {}):
        run(_about_needed(scope, context), Frame(context.root, scope, {}, context.where.dtype), context)
    context.mode.variant = own
    program = context.program
    program.groups[:0], program.ways[:0], program.freezes[:0] = requests.groups, requests.ways, requests.freezes
    program.loads[:0], program.copies[:0] = requests.loads, requests.copies


def _imported(scope: FileScope, seen: dict[FileScope, None]) -> Iterable[FileScope]:
    """The files that a file imports, those that they import first; `seen` has those so far."""
    for other in scope.imported:
        if other not in seen:
            _imported(other, seen)
            seen[other] = None
    return seen


def _about_needed(scope: FileScope, context: Context) -> Iterable[tree.Statement]:
    """The statements of an imported file about layers that the program has: a `share` of those members, a `freeze` of
    those paths, any other statement if it names no other layer."""
    missing = {name for name, definition in scope.definitions.items() if _is_missing(definition, context)}

    def present(paths: Iterable[tree.Expression]) -> tuple[tree.Expression, ...]:
        return tuple(path for path in paths if not any(name.text in missing for name in names_of(path)))

    shares: list[tree.Statement] = []
    for share in (node for node in scope.file.declarations if isinstance(node, tree.Share)):
        members = present(share.members)
        if len(members) > 1 or members == share.members:
            shares.append(share if members == share.members else share.replaced(members=members))
        elif share.name is not None:
            missing.add(share.name.text)
    others: list[tree.Statement] = []
    for node in scope.file.declarations:
        if isinstance(node, tree.Freeze):
            paths = present(node.paths)
            others += [node.replaced(paths=paths)] if paths else []
        elif isinstance(node, tree.Load):
            others += [node] if present([node.target]) else []
        elif isinstance(node, tree.Copy):
            others += [node] if len(present([node.source, node.target])) == 2 else []
        elif isinstance(node, tree.Formula):
            others += [node] if len(present([node.target, node.value])) == 2 else []
    return [*shares, *others]


def _is_missing(definition: Definition, context: Context) -> bool:
    """Whether a name of a file is that of a layer that the program doesn't have."""
    if not isinstance(definition.node, _WITH_PATHS):
        return False
    created = context.of_imported.get(definition.name)
    return created is None or created.node is not definition.node
