"""Checks the names in every body of a file, whether it is applied or not; shapes are checked later."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from wsdl.diagnostics import Label, Problems
from wsdl.diagnostics.span import Span
from wsdl.diagnostics.suggest import nearest
from wsdl.elaborate.bound_names import (
    ANY,
    BUILTINS,
    NUMBERS,
    OF_UPDATES,
    OF_WAYS,
    bound_names,
    check_capital,
    children,
    flattened,
    last_places,
    maps_matrices,
    names_in_indices,
    names_of,
    owned_places,
    paths_of,
    root_of,
    series_of,
    unknown_conversion,
    unknown_dtype,
    unknown_name,
)
from wsdl.elaborate.elsewhere import ELSEWHERE
from wsdl.elaborate.kinds import CONFIGURATION
from wsdl.elaborate.scopes import FileScope, standard_block
from wsdl.ir.references import Either, Places
from wsdl.ir.types import DTYPES
from wsdl.ops import NAMED
from wsdl.syntax import tree

Visit: TypeAlias = Callable[[tree.Node, Mapping[str, Places]], None]


class Look(NamedTuple):
    """What an editor looks at: some declarations. `visit` is called for each statement and name in them, except those
    of a `train`, with the names that are bound there."""

    declarations: Collection[tree.Declaration]
    visit: Visit


def check_names(scope: FileScope, problems: Problems, look: Look | None = None) -> None:
    """Report errors about names in a file whose imports are resolved."""
    declarations, visit = look or (scope.file.declarations, None)
    known: dict[str, Places] = {name: (definition.node.name.span,) for name, definition in scope.definitions.items()}
    for declaration in declarations:
        if isinstance(declaration, tree.Parameter | tree.Formula | tree.Share | tree.Freeze | tree.Load | tree.Require):
            _Body(scope, problems, ChainMap({}, known), visit=visit).statement(declaration)
        elif isinstance(declaration, tree.Variant):
            statements = [s for s in declaration.body if not isinstance(s, tree.Changes)]
            _Body(scope, problems, ChainMap({}, known), visit=visit).statements(statements)
        elif isinstance(declaration, tree.Let | tree.Layer):
            _Body(scope, problems, ChainMap({}, known), visit=visit).expression(declaration.value)
        elif isinstance(declaration, tree.Block | tree.Model):
            _Body(scope, problems, ChainMap({}, known), visit=visit).declaration(declaration)


@dataclass
class _Body:
    """Walks a body in the order of execution; `bound` are the names bound so far, `later` all those that it binds."""

    scope: FileScope
    problems: Problems
    bound: ChainMap[str, Places]  # with the last location that binds each; several after branches
    declared: ChainMap[str, Span] = field(default_factory=ChainMap)  # layers and parameters: can't be bound twice
    later: dict[str, Span] = field(default_factory=dict)
    owned: Mapping[str, Places] = field(default_factory=dict)  # the layers and parameters that the body declares
    body: Span | None = None  # the name of the block or model
    in_scan: bool = False
    may_end: bool = False  # in a scan that `until` can end
    of_way: bool = False  # of a block that may be a way of sharing
    visit: Visit | None = None

    def declaration(self, node: tree.Block | tree.Model) -> None:
        taken: dict[str, Span] = {}
        configuration = node.configuration if isinstance(node, tree.Block) else ()
        self.later, self.owned = bound_names(node.body), owned_places(node.body)
        self.body = node.name.span
        items: list[tree.Configuration | tree.Input] = [*configuration, *node.inputs]
        for item in items:
            if item.name.text in taken:
                self.problems.error(
                    "E0202",
                    item.name.span,
                    f"`{item.name.text}` is declared twice",
                    "declared again",
                    labels=[Label(taken[item.name.text], "declared first")],
                    help="give one of them another name",
                )
            taken.setdefault(item.name.text, item.name.span)
            if item.default is not None:
                self.expression(item.default)
            if isinstance(item, tree.Input):
                self.array(item, node)
            self.bound[item.name.text] = (item.name.span,)
        for parameter in configuration:
            check_capital(parameter.name, "constant", self.problems)
            for kind in parameter.types:
                self.configuration_type(kind)
            if {"layer", "block"} <= {kind.text for kind in parameter.types}:
                self.problems.error(
                    "E0229",
                    parameter.types[0].span.to(parameter.types[-1].span),
                    "a configuration is either a `layer` or a `block`",
                    "a call such as `Dense(64)` could mean both",
                    help=f"with `block`, the body creates its own layers: `layer f = {parameter.name.text}`",
                )
        for input_ in node.inputs:
            check_capital(input_.name, "tensor", self.problems)
            self.dtype(input_.type, any=isinstance(node, tree.Block))
            self.one_rest(input_.type)
            for dim in input_.type.dims:
                for name in names_of(dim):
                    if name.text in self.bound:
                        self.scope.references.add_places(name.span, self.bound[name.text])
                    self.bound.setdefault(name.text, (name.span,))
        self.of_way = isinstance(node, tree.Block) and maps_matrices(node)
        if self.of_way:
            for known in OF_WAYS:
                self.bound.setdefault(known, ())
        for output in node.outputs or ():
            self.dtype(output.type, any=isinstance(node, tree.Block))
            self.one_rest(output.type)
            self.array(output, node)
            for name in (n for dim in output.type.dims for n in names_of(dim)):
                self.scope.references.add_places(name.span, self.bound.get(name.text, ()))
        self.statements(node.body)
        if not any(isinstance(s, tree.Return) for s in flattened(node.body, into_scans=True)):
            what = "block" if isinstance(node, tree.Block) else "model"
            self.problems.error(
                "E0211",
                node.name.span,
                f"the {what} `{node.name.text}` returns nothing",
                "no `return` in its body",
                help="end the body with `return` and the result",
            )

    def one_rest(self, type: tree.Type) -> None:
        rests = [dim for dim in type.dims if isinstance(dim, tree.Ellipsis)]
        if len(rests) > 1:
            self.problems.error(
                "E0416",
                rests[1].span,
                "a type has at most one `...`",
                "a second one",
                labels=[Label(rests[0].span, "the first")],
                help="name each of the other dimensions",
            )

    def array(self, node: tree.Input | tree.Output, owner: tree.Block | tree.Model) -> None:
        """The size of an array of inputs or results. A free name in the inputs of a block is their number."""
        if node.count is None:
            return
        if isinstance(node.count, tree.Name) and isinstance(owner, tree.Block) and isinstance(node, tree.Input):
            self.bound.setdefault(node.count.text, (node.count.span,))
        self.expression(node.count)

    def configuration_type(self, kind: tree.Name) -> None:
        if kind.text in CONFIGURATION:
            return
        near = {"str": "string", "number": "float", "boolean": "bool", "integer": "int"}.get(kind.text)
        near = near or nearest(kind.text, CONFIGURATION)
        self.problems.error(
            "E0229",
            kind.span,
            f"there is no type `{kind.text}` for a configuration",
            help=f"the types are {', '.join(CONFIGURATION)}",
            near=near,
        )

    def dtype(self, type: tree.Type, any: bool = False) -> None:
        if type.dtype is not None and type.dtype.text not in (*DTYPES, *([ANY] if any else ())):
            unknown_dtype(type.dtype, self.problems)

    def statements(self, body: Sequence[tree.Statement]) -> None:
        for before, statement in pairwise(body):
            if isinstance(before, tree.Return):
                self.behind(before, statement.span.to(body[-1].span))
                break
        for statement in body:
            self.statement(statement)

    def behind(self, ended: tree.Return, rest: Span) -> None:
        """Report the statements behind a `return` of their body."""
        self.problems.error(
            "W0201",
            rest,
            "what is behind a `return` has no effect",
            "not reached",
            labels=[Label(ended.span, "ends the body")],
            help="move the `return` to the end, or remove what is behind it",
            severity="warning",
        )

    def statement(self, node: tree.Statement) -> None:
        if self.visit is not None:
            self.visit(node, self.bound)
        if isinstance(node, tree.Let):
            self.expression(node.value)
            check_capital(node.name, "constant", self.problems)
            self.bind(node.name)
        elif isinstance(node, tree.Assign):
            for value in node.values:
                self.expression(value)
            for target in node.targets:
                check_capital(target, "tensor", self.problems)
                self.bind(target)
        elif isinstance(node, tree.Layer):
            self.expression(node.value)
            if node.count is not None:
                self.expression(node.count)
            check_capital(node.name, "layer", self.problems)
            self.declare(node.name)
        elif isinstance(node, tree.Parameter):
            self.words_of_ways(node)
            self.dtype(node.type)
            for dim in node.type.dims:
                self.expression(dim)
            check_capital(node.name, "parameter" if node.kind == "param" else "state", self.problems)
            self.declare(node.name)
            for name in names_of(node.initializer) if node.initializer is not None else ():
                self.scope.references.add_places(name.span, self.bound.get(name.text, ()))
        elif isinstance(node, tree.Formula):
            if node.clause is not None:
                self.clause(node.clause)
            self.paths(node)
            self.expression(node.value)
        elif isinstance(node, tree.Share):
            self.share(node)
        elif isinstance(node, tree.Freeze | tree.Load):
            self.paths(node)
        elif isinstance(node, tree.Limit):
            self.expression(node.value)
        elif isinstance(node, tree.For):
            self.clause(node.clause)
            before = self.places_in(node.body)
            last = last_places(node.body)
            self.also({name: (last[name],) for name in before})  # bound by the previous iteration
            self.statements(node.body)
            self.also(before)
        elif isinstance(node, tree.If):
            self.expression(node.condition)
            self.branches(node)
        elif isinstance(node, tree.Scan):
            self.scan(node)
        elif isinstance(node, tree.Require):
            self.expression(node.condition)
        elif isinstance(node, tree.Loss):
            self.expression(node.value)
        elif isinstance(node, tree.Until):
            self.placed(node)
            self.expression(node.value)
        elif isinstance(node, tree.Update):
            self.update(node)
        elif isinstance(node, tree.Return | tree.Emit):
            self.placed(node)
            for value in node.values:
                self.expression(value)

    def clause(self, node: tree.Clause) -> None:
        for part in series_of(node):
            self.expression(part)
        for name in node.names:
            self.bind(name)

    def words_of_ways(self, node: tree.Parameter) -> None:
        """Report what only a parameter of a way of sharing may be."""
        word = "shared" if node.shared else "per" if node.extent else "nodecay" if node.nodecay else ""
        if word and not self.of_way:
            self.problems.error(
                "E0341",
                node.span,
                f"`{word}` belongs to the block of a way of sharing",
                "not declared in one",
                help="it maps a matrix to a matrix: `block Name(…)(base: [rows, columns]) -> [rows, columns]`",
            )

    def share(self, node: tree.Share) -> None:
        """A group, and the call of `share as BLOCK(…)`, in each iteration of its `for`."""
        inside = self.inside()
        if node.clause is not None:
            inside.clause(node.clause)
        inside.paths(node)
        if node.way is not None:
            inside.expression(node.way)

    def paths(self, node: tree.Statement) -> None:
        """The uses of names in the indices of paths, and of the layers and parameters of the body that they begin
        with."""
        if self.visit is not None:
            self.visit(node, self.bound)
        for path in paths_of(node):
            for name in names_in_indices(path):
                self.scope.references.add_places(name.span, self.bound.get(name.text, ()))
        # Other paths of a `share` or a `load` begin below these.
        whole = node.members if isinstance(node, tree.Share) else paths_of(node)
        for root in map(root_of, whole[:1] if isinstance(node, tree.Load) else whole):
            if isinstance(root, tree.Name):
                self.scope.references.add_places(root.span, self.owned.get(root.text, ()))

    def inside(self) -> _Body:
        """For names that are bound inside a part of the body only."""
        return replace(self, bound=self.bound.new_child())

    def update(self, node: tree.Update) -> None:
        numbers: dict[str, Places] = {name: () for name in OF_UPDATES if name not in self.bound}
        inside = replace(self, bound=self.bound.new_child(numbers))
        for part in (node.target, node.value, *([node.every] if node.every else [])):
            inside.expression(part)

    def branches(self, node: tree.If) -> None:
        before = self.places_in((*node.then, *node.otherwise))
        declared = self.declared
        self.declared = declared.new_child()
        self.statements(node.then)
        then, declared_then = self.places_in(node.then), self.declared.maps[0]
        self.bound.update(before)
        self.declared = declared.new_child()  # each branch may declare the same layer
        self.statements(node.otherwise)
        self.also(then)
        declared.update(declared_then)
        declared.update(self.declared.maps[0])
        self.declared = declared

    def places_in(self, body: Iterable[tree.Statement]) -> dict[str, Places]:
        """The names that a body binds, with the locations that have bound them so far."""
        return {name: self.bound[name] for name in bound_names(body) if name in self.bound}

    def also(self, *places: Mapping[str, Places]) -> None:
        """Add locations where names may be bound."""
        for name, spans in (item for some in places for item in some.items()):
            self.bound[name] = Either(spans, self.bound.get(name, ()))

    def scan(self, node: tree.Scan) -> None:
        steps = node.over.steps if isinstance(node.over, tree.Along) else ()
        for name in names_of(node.over.axis) if isinstance(node.over, tree.Along) else ():
            self.scope.references.add_places(name.span, self.bound.get(name.text, ()))
        if isinstance(node.over, tree.Numbers):
            self.expression(node.over.range.start)
            self.expression(node.over.range.stop)
        for binding in (*steps, *node.carried):
            self.expression(binding.value)
        inside = self.inside()
        inside.in_scan, inside.may_end = True, isinstance(node.over, tree.Numbers) and not node.reverse
        if isinstance(node.over, tree.Numbers):
            inside.bind(node.over.name)
        for binding in (*steps, *node.carried):
            inside.bind(binding.name)
        inside.statements(node.body)
        for name in (*(b.name for b in node.carried), *node.targets):
            self.bind(name)

    def placed(self, node: tree.Return | tree.Emit | tree.Until) -> None:
        if isinstance(node, tree.Until) and not self.may_end:
            self.problems.error(
                "E0242",
                node.span,
                "`until` ends a `scan` over numbers",
                "not in a scan that counts upwards",
                help="a `scan … along` takes all steps of its sequences; over numbers, `scan step in 0..t`, "
                "`gather(x, step, axis=1)` reads one"
                if self.in_scan
                else "write `scan step in 0..100 with h = x { … until done … }`",
            )
        if isinstance(node, tree.Emit) and not self.in_scan:
            self.problems.error(
                "E0212",
                node.span,
                "`emit` outside of a `scan`",
                "no `scan` around it",
                help="use `return` for the result of a body",
            )
        if isinstance(node, tree.Return) and self.in_scan:
            self.problems.error(
                "E0213",
                node.span,
                "`return` inside a `scan`",
                "a `scan` can't return early",
                help="use `emit` for a value of each step; after the `scan`, carried names have their final values",
            )

    def bind(self, name: tree.Name) -> None:
        if name.text in self.declared:
            self.declare(name)
        self.bound[name.text] = (name.span,)

    def declare(self, name: tree.Name) -> None:
        earlier = self.declared.get(name.text)
        if earlier is not None and earlier != name.span:
            self.problems.error(
                "E0202",
                name.span,
                f"a layer or parameter is already named `{name.text}`",
                "bound again",
                labels=[Label(earlier, "declared first")],
                help="give one of them another name",
            )
        self.declared[name.text] = name.span
        self.bound[name.text] = (name.span,)

    def expression(self, node: tree.Subscript) -> None:
        if isinstance(node, tree.Name):
            self.name(node)
            return
        if isinstance(node, tree.Comprehension):
            inside = self.inside()
            inside.clause(node.clause)
            inside.expression(node.element)
            return
        if isinstance(node, tree.Call):
            self.configuration(node)
        for child in children(node):
            if isinstance(node, tree.Call) and child is node.function and self.is_dtype(child):
                self.scope.unknown.add((self.body, node.function.span.text))
                unknown_conversion(node, self.problems, in_body=self.body is not None)
            else:
                self.expression(child)

    def configuration(self, node: tree.Call) -> None:
        """The names of the arguments that configure a block of a user, also where that is never applied."""
        name = node.function.text if isinstance(node.function, tree.Name) else ""
        definition = None if name in self.later else self.scope.definitions.get(name)
        if definition is not None and isinstance(definition.node, tree.Block):
            places = {configured.name.text: configured.name.span for configured in definition.node.configuration}
            for argument in node.arguments:
                if argument.name is not None:
                    self.scope.references.add(argument.name.span, places.get(argument.name.text))

    def is_dtype(self, node: tree.Subscript) -> bool:
        """Whether a node names a dtype, of this or another framework, and nothing in the file."""
        if not isinstance(node, tree.Name) or node.text in self.bound or node.text in self.later:
            return False
        return ELSEWHERE.get(node.text, node.text) in DTYPES and not self.scope.may_have(node.text)

    def name(self, node: tree.Name) -> None:
        name = node.text
        if self.visit is not None:
            self.visit(node, self.bound)
        known = (self.bound, NAMED, DTYPES, BUILTINS, NUMBERS)
        if any(name in names for names in known) or standard_block(name):
            if name in self.bound:
                self.scope.references.add_places(node.span, self.bound[name])
            else:
                self.scope.references.add(node.span, self.scope.place(name))
            return
        if name in self.later:
            self.problems.error(
                "E0205",
                node.span,
                f"`{name}` is used before it is bound",
                "not bound yet",
                labels=[Label(self.later[name], "bound here")],
                help="a body runs from top to bottom",
            )
        elif not self.scope.may_have(name):
            unknown_name(node, self.bound, self.problems)
        self.bound[name] = ()  # report it once in a body
        self.scope.unknown.add((self.body, name))
