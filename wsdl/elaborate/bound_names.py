"""Names in programs: where each is bound, and suggestions for unknown names."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, nan, pi

from wsdl.diagnostics import Edit, Problems
from wsdl.diagnostics.span import Span
from wsdl.diagnostics.suggest import nearest
from wsdl.elaborate.elsewhere import ELSEWHERE, NO_NAMES, WRITTEN
from wsdl.elaborate.scopes import standard_blocks
from wsdl.ir.types import DTYPES
from wsdl.ops import NAMED
from wsdl.syntax import tree

VIEWS = ("T", "permute", "reshape", "flip")  # names that may follow a dot on a tensor
PARTS = ("shape", "rank", "dtype")  # facts about a tensor, which may follow a dot too
BUILTINS = ("len", "per_axis", "frozen")  # functions that are computed when compiling
NUMBERS = {"inf": inf, "nan": nan, "pi": pi}  # constants of the language
OF_WAYS = ("rows", "columns", "axes", "member", "members")  # names bound in the body of a way of sharing
OF_UPDATES = ("step", "total_steps")  # names bound on the right side of an `update`
MOST_SUGGESTIONS = 50  # each takes time to compute


def unknown_name(node: tree.Name, bound: Iterable[str], problems: Problems) -> None:
    """Report an unknown name, with the nearest known one."""
    capital = node.text[:1].isupper()
    called = ELSEWHERE.get(node.text)
    help = NO_NAMES.get(node.text)
    if node.text in WRITTEN:
        help = f"write it, for example, as `{WRITTEN[node.text]}`"
    near = _meant(node.text, list(bound)) if help is None and len(problems) < MOST_SUGGESTIONS else None
    problems.error(
        "E0201",
        node.span,
        f"there is no block named `{node.text}`" if capital else f"there is no `{node.text}` in scope",
        f"is called `{called}` in WSDL" if called else f"did you mean `{near}`?" if near else "not bound before this",
        help=help,
        fix=[Edit(node.span, called or near or "")] if called or near else (),
    )


def unknown_conversion(call: tree.Call, problems: Problems, in_body: bool = True) -> None:
    """Report a call of a dtype, such as `int(x)` and `float(x)` in Python."""
    dtype = ELSEWHERE.get(call.function.span.text, call.function.span.text)
    value = call.arguments[0].value if len(call.arguments) == 1 and call.arguments[0].name is None else None
    instead = f"cast({value.span.text if value else 'x'}, {dtype})"
    help = f"to convert a tensor write `{instead}`"
    if dtype.startswith("i"):
        help += "; `floor(…)` and `round(…)` of a constant are integers"
    if isinstance(value, tree.Number):
        instead = str(float(value.value) if dtype.startswith(("f", "bf")) else int(value.value))
        help = f"write the converted number: `{instead}`"
    elif not in_body:
        help = "constants need no conversion: integers and floats can be mixed; `floor(…)` and `round(…)` are integers"
    problems.error(
        "E0201",
        call.function.span,
        f"there is no function `{call.function.span.text}`",
        f"`{dtype}` is a dtype",
        help=help,
        fix=[Edit(call.span, instead)] if value and (in_body or isinstance(value, tree.Number)) else (),
    )


def _meant(name: str, bound: list[str]) -> str | None:
    """The name that was probably meant: one of the file, otherwise one of the language."""
    capital = name[:1].isupper()
    own = [n for n in bound if n[:1].isupper() == capital]
    everything = [*bound, *standard_blocks(), *NAMED, *BUILTINS, *NUMBERS]
    alike = [n for n in everything if n.lower() == name.lower() or n[:1].isupper() == capital]
    return nearest(name, own) or nearest(name, alike) or nearest(name, DTYPES)


ANY = "any"  # in the signature of a block: any dtype
ANY_SIZE = "_"  # in a signature: any size, each time another


def unknown_dtype(node: tree.Name, problems: Problems) -> None:
    """Report an invalid dtype."""
    if node.text == ANY:
        message, label = "a dtype is required here", "`any` is only allowed in the signature of a block"
        problems.error("E0404", node.span, message, label, help=f"the dtypes are {', '.join(DTYPES)}")
        return
    near = ELSEWHERE.get(node.text) or nearest(node.text, DTYPES)
    near = near if near in DTYPES else None
    problems.error(
        "E0404",
        node.span,
        f"there is no dtype `{node.text}`",
        help=f"the dtypes are {', '.join(DTYPES)}",
        near=near,
    )


def check_capital(name: tree.Name, kind: str, problems: Problems) -> None:
    """Blocks begin with a capital letter, and nothing else does."""
    capital = kind == "block"
    if capital == name.text[:1].isupper() or (capital and not name.text[:1].islower()):
        return
    better = name.text[:1].upper() + name.text[1:] if capital else name.text[:1].lower() + name.text[1:]
    problems.error(
        "E0203",
        name.span,
        f"the name of a {kind} must start with a {'capital' if capital else 'lower-case'} letter",
        f"write `{better}`",
        help="only blocks, which own weights, have capitalized names",
    )


def maps_matrices(block: tree.Block) -> bool:
    """Whether a block can be a way of sharing: with one matrix or nothing as input, and one matrix as result."""
    outputs = block.outputs or ()
    matrices = [*(i.type for i in block.inputs), *(o.type for o in outputs)]
    named = all(isinstance(dim, tree.Name) for type_ in matrices for dim in type_.dims)
    return len(block.inputs) <= 1 and len(outputs) == 1 and named and all(len(m.dims) == 2 for m in matrices)


# -- names in the tree -------------------------------------------------------------------------------------------------


def bound_names(body: Iterable[tree.Statement]) -> dict[str, Span]:
    """The names that a body binds, with the first location of each."""
    spans: dict[str, Span] = {}
    for name in _bound(body):
        spans.setdefault(name.text, name.span)
    return spans


def last_places(body: Iterable[tree.Statement]) -> dict[str, Span]:
    """The names that a body binds, with the last location of each."""
    return {name.text: name.span for name in _bound(body)}


def owned_places(body: Iterable[tree.Statement]) -> dict[str, tuple[Span, ...]]:
    """The layers and parameters that a body declares, with their locations: one in each branch."""
    places: dict[str, tuple[Span, ...]] = {}
    for statement in flattened(body):
        if isinstance(statement, tree.Layer | tree.Parameter):
            places[statement.name.text] = (*places.get(statement.name.text, ()), statement.name.span)
    return places


def _bound(body: Iterable[tree.Statement]) -> Iterable[tree.Name]:
    for statement in flattened(body):
        if isinstance(statement, tree.Assign):
            yield from statement.targets
        elif isinstance(statement, tree.For):
            yield from statement.clause.names
        elif isinstance(statement, tree.Scan):
            yield from (*(binding.name for binding in statement.carried), *statement.targets)
        elif isinstance(statement, tree.Let | tree.Layer | tree.Parameter):
            yield statement.name


def children(node: tree.Subscript) -> list[tree.Subscript]:
    """The expressions that an expression is made of."""
    if isinstance(node, tree.List):
        return list(node.items)
    if isinstance(node, tree.Comprehension):
        return [node.element, *series_of(node.clause)]
    if isinstance(node, tree.Unary):
        return [node.operand]
    if isinstance(node, tree.Binary):
        return [node.left, node.right]
    if isinstance(node, tree.Pipe):
        return [node.value, node.stage]
    if isinstance(node, tree.Call):
        return [node.function, *(a.value for a in node.arguments)]
    if isinstance(node, tree.Field):
        return [node.object]
    if isinstance(node, tree.Index):
        return [node.object, *node.subscripts]
    if isinstance(node, tree.Slice):
        return [part for part in (node.start, node.stop, node.step) if part is not None]
    if isinstance(node, tree.Ellipsis):
        return [] if node.name is None else [node.name]
    return []


def series_of(clause: tree.Clause) -> Iterable[tree.Expression]:
    """The expressions in the head of a `for`."""
    for values in clause.series:
        yield from (values.start, values.stop) if isinstance(values, tree.Range) else (values,)


def paths_of(node: tree.Node) -> tuple[tree.Expression, ...]:
    """The paths of layers and parameters in a statement."""
    if isinstance(node, tree.Share):
        return (*node.members, *node.exceptions)
    if isinstance(node, tree.Freeze | tree.LearningRate):
        return node.paths
    if isinstance(node, tree.Load):
        in_table = (path for mapping in node.mappings for path in (mapping.source, mapping.target))
        return (node.target, *node.exceptions, *in_table)
    return (node.target,) if isinstance(node, tree.Formula) else ()


def root_of(path: tree.Subscript) -> tree.Subscript:
    """What a path begins with."""
    while isinstance(path, tree.Field | tree.Index | tree.Call):
        path = path.function if isinstance(path, tree.Call) else path.object
    return path


def names_in_indices(path: tree.Subscript) -> list[tree.Name]:
    """The names in the indices and views of a path; all others in it are those of layers and parameters."""
    parts = children(path)
    return names_in_indices(parts[0]) + [name for node in parts[1:] for name in names_of(node)] if parts else []


def names_of(node: tree.Subscript) -> list[tree.Name]:
    """All names in an expression."""
    return [node] if isinstance(node, tree.Name) else [n for child in children(node) for n in names_of(child)]


def flattened(body: Iterable[tree.Statement], into_scans: bool = False) -> Iterable[tree.Statement]:
    """The statements of a body with those in its branches and loops, in order."""
    for statement in body:
        yield statement
        if isinstance(statement, tree.If):
            yield from flattened((*statement.then, *statement.otherwise), into_scans)
        elif isinstance(statement, tree.For) or (into_scans and isinstance(statement, tree.Scan)):
            yield from flattened(statement.body, into_scans)
