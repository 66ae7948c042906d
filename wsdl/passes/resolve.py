"""Finds out what every name of a file stands for: its own declarations, its imports, the standard library.

What is wrong with names alone is reported here, for every body, whether it is applied or not; shapes come later.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TypeAlias

from wsdl.diagnostics import Label, Problems
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.types import DTYPES
from wsdl.ops import OPERATIONS
from wsdl.span import Source, Span
from wsdl.syntax import tree
from wsdl.syntax.parser import parse

Reader: TypeAlias = Callable[[str], "Source | None"]
VIEWS = ("T", "permute", "reshape", "flip")  # what follows a dot on a tensor
BUILTINS = ("len", "per_axis")  # computed when compiling


@dataclass(frozen=True, eq=False)
class Definition:
    """A declaration and the file whose names its body sees."""

    node: tree.Let | tree.Block | tree.Model | tree.Layer
    scope: FileScope

    @property
    def name(self) -> str:
        return self.node.name.text


@dataclass(eq=False)
class FileScope:
    """The names that a file's bodies see, its own and imported ones; the standard library and operations lie behind."""

    file: tree.File
    definitions: dict[str, Definition] = field(default_factory=dict)

    @property
    def source(self) -> Source:
        return self.file.source

    def find(self, name: str) -> Definition | None:
        return self.definitions.get(name) or standard_block(name)

    def models(self) -> list[Definition]:
        return [d for d in self.definitions.values() if isinstance(d.node, tree.Model) and d.scope is self]


@dataclass
class _Files:
    """The files of a program while their imports are followed."""

    problems: Problems
    read: Reader
    root: str
    scopes: dict[str, FileScope] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)


def resolve(source: Source, problems: Problems, read: Reader, import_root: str | None = None) -> FileScope:
    """Parse a file and those that it imports, and check their names.

    `read` gives the source of a path, or `None`. Imports stay inside `import_root`, by default the folder of the file.
    """
    root = posixpath.abspath(import_root if import_root is not None else posixpath.dirname(source.path))
    return _scope_of(source, _Files(problems, read, root))


# -- files -------------------------------------------------------------------------------------------------------------


def _scope_of(source: Source, files: _Files) -> FileScope:
    path = posixpath.abspath(source.path)
    before = len(files.problems.errors)
    scope = FileScope(parse(source, files.problems))
    files.scopes[path] = scope
    files.open.append(path)
    for declaration in scope.file.declarations:
        if isinstance(declaration, tree.Import):
            _import(declaration, scope, files)
        elif isinstance(declaration, tree.Let | tree.Block | tree.Model | tree.Layer):
            _define(declaration.name, Definition(declaration, scope), scope, files.problems)
    files.open.pop()
    if len(files.problems.errors) == before:  # a broken file would only give errors that follow from the first
        _check_names(scope, files.problems)
    return scope


def _define(name: tree.Name, definition: Definition, scope: FileScope, problems: Problems) -> None:
    earlier = scope.definitions.get(name.text)
    if earlier is not None:
        problems.error(
            "E0202",
            name.span,
            f"`{name.text}` is declared twice in this file",
            "declared again",
            labels=[Label(earlier.node.name.span, "declared first")],
            help="give one of them another name",
        )
        return
    capital = isinstance(definition.node, tree.Block)
    if capital != name.text[:1].isupper():
        kind = {tree.Let: "constant", tree.Block: "block", tree.Model: "model", tree.Layer: "layer"}[
            type(definition.node)
        ]
        better = name.text[:1].upper() + name.text[1:] if capital else name.text[:1].lower() + name.text[1:]
        problems.error(
            "E0203",
            name.span,
            f"the name of a {kind} starts with a {'capital' if capital else 'small'} letter",
            f"write `{better}`",
            help="capitalised names are blocks, which own weights; all other names start small",
        )
    scope.definitions[name.text] = definition


def _import(node: tree.Import, scope: FileScope, files: _Files) -> None:
    written = node.file.value
    folder = posixpath.dirname(posixpath.abspath(scope.source.path))
    path = posixpath.normpath(posixpath.join(folder, written))
    if not (written.startswith(("./", "../")) and written.endswith(".wsd")):
        files.problems.error(
            "E0206",
            node.file.span,
            "an import names a `.wsd` file by a relative path",
            "starts with `./` or `../` and ends with `.wsd`",
            help=f'write `"./{posixpath.basename(written).removesuffix(".wsd")}.wsd"`',
        )
    elif posixpath.commonpath([files.root, path]) != files.root:
        files.problems.error(
            "E0207",
            node.file.span,
            "this import leaves the project's folder",
            "outside of the folder of the file that is compiled",
            help="move the file into the folder, or allow a wider one with `--import-root`",
        )
    elif path in files.open:
        files.problems.error(
            "E0208",
            node.file.span,
            "these files import each other in a circle",
            "imported while it is being read itself",
            help="move what both need into a third file",
        )
    elif path in files.scopes:
        _take(node, files.scopes[path], scope, files.problems)
    elif (source := files.read(posixpath.join(posixpath.dirname(scope.source.path), written))) is None:
        files.problems.error(
            "E0209", node.file.span, f"there is no file `{written}`", "looked for beside the file that imports it"
        )
    else:
        _take(node, _scope_of(source, files), scope, files.problems)


def _take(node: tree.Import, other: FileScope, scope: FileScope, problems: Problems) -> None:
    offered = {n: d for n, d in other.definitions.items() if isinstance(d.node, tree.Block | tree.Let)}
    for name in node.names:
        if name.text in offered:
            _define(name, offered[name.text], scope, problems)
        else:
            problems.error(
                "E0210",
                name.span,
                f"`{node.file.value}` has no block or constant named `{name.text}`",
                _did_you_mean(name.text, offered),
            )


@cache
def _standard_index() -> dict[str, str]:
    """The blocks of the standard library: name -> file."""
    index: dict[str, str] = {}
    for entry in sorted(resources.files("wsdl").joinpath("std").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".wsd"):
            for name in re.findall(r"^block (\w+)", entry.read_text("utf-8"), re.MULTILINE):
                index[name] = entry.name
    return index


@cache
def _standard_scope(file: str) -> FileScope:
    text = resources.files("wsdl").joinpath("std", file).read_text("utf-8")
    problems = Problems()
    scope = _scope_of(Source(f"std/{file}", text, is_standard=True), _Files(problems, lambda _: None, "/"))
    assert not problems.errors, f"the standard library has an error: {problems.errors[0].message}"
    return scope


def standard_block(name: str) -> Definition | None:
    """A block of the standard library; its file is parsed when it is first asked for."""
    file = _standard_index().get(name)
    return _standard_scope(file).definitions[name] if file else None


def standard_blocks() -> list[str]:
    """The names of all blocks of the standard library."""
    return list(_standard_index())


# -- names in bodies ---------------------------------------------------------------------------------------------------


def _check_names(scope: FileScope, problems: Problems) -> None:
    known = set(scope.definitions)
    for declaration in scope.file.declarations:
        if isinstance(declaration, tree.Let | tree.Layer):
            _Body(scope, problems, set(known)).expression(declaration.value)
        elif isinstance(declaration, tree.Block | tree.Model):
            _Body(scope, problems, set(known)).declaration(declaration)


@dataclass
class _Body:
    """Walks a body in the order in which it runs; `bound` are the names known so far."""

    scope: FileScope
    problems: Problems
    bound: set[str]
    declared: dict[str, Span] = field(default_factory=dict)  # layers and parameters: these can't be bound twice
    in_scan: bool = False

    def declaration(self, node: tree.Block | tree.Model) -> None:
        taken: dict[str, Span] = {}
        configuration = node.configuration if isinstance(node, tree.Block) else ()
        for item in (*configuration, *node.inputs):
            if item.name.text in taken:
                self.problems.error(
                    "E0202",
                    item.name.span,
                    f"`{item.name.text}` is declared twice",
                    "declared again",
                    labels=[Label(taken[item.name.text], "declared first")],
                )
            taken[item.name.text] = item.name.span
            if item.default is not None:
                self.expression(item.default)
            self.bound.add(item.name.text)
        for input_ in node.inputs:
            for dim in input_.type.dims:
                self.bound |= {n.text for n in _names(dim)}
        self.statements(node.body)
        if not any(isinstance(s, tree.Return) for s in _flat(node.body)):
            kind = "block" if isinstance(node, tree.Block) else "model"
            self.problems.error(
                "E0211",
                node.name.span,
                f"the {kind} `{node.name.text}` returns nothing",
                "no `return` in its body",
                help="end the body with `return` and the result",
            )

    def statements(self, body: Iterable[tree.Statement]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, node: tree.Statement) -> None:
        if isinstance(node, tree.Let | tree.Assign):
            self.expression(node.value)
            for target in node.targets if isinstance(node, tree.Assign) else (node.name,):
                self.bind(target)
        elif isinstance(node, tree.Layer):
            self.expression(node.value)
            if node.count is not None:
                self.expression(node.count)
            self.declare(node.name)
        elif isinstance(node, tree.Parameter):
            for dim in node.type.dims:
                self.expression(dim)
            self.declare(node.name)
        elif isinstance(node, tree.For):
            values = node.clause.values
            for part in (values.start, values.stop) if isinstance(values, tree.Range) else (values,):
                self.expression(part)
            self.bind(node.clause.name)
            self.statements(node.body)
        elif isinstance(node, tree.If):
            self.expression(node.condition)
            declared = dict(self.declared)
            self.statements(node.then)
            self.declared, after = declared, self.declared  # each branch may declare the same layer
            self.statements(node.otherwise)
            self.declared = {**after, **self.declared}
        elif isinstance(node, tree.Scan):
            self.scan(node)
        elif isinstance(node, tree.Return | tree.Emit):
            self.placed(node)
            for value in node.values:
                self.expression(value)

    def scan(self, node: tree.Scan) -> None:
        for binding in (*node.steps, *node.carried):
            self.expression(binding.value)
        inside = _Body(self.scope, self.problems, set(self.bound), self.declared, in_scan=True)
        for binding in (*node.steps, *node.carried):
            inside.bind(binding.name)
        inside.statements(node.body)
        for name in (*(b.name for b in node.carried), *node.targets):
            self.bind(name)

    def placed(self, node: tree.Return | tree.Emit) -> None:
        if isinstance(node, tree.Emit) and not self.in_scan:
            self.problems.error(
                "E0212", node.span, "`emit` stands outside of a `scan`", help="use `return` for the result of a block"
            )
        if isinstance(node, tree.Return) and self.in_scan:
            self.problems.error(
                "E0213", node.span, "`return` stands inside a `scan`", help="use `emit` for a value at each step"
            )

    def bind(self, name: tree.Name) -> None:
        if name.text in self.declared:
            self.declare(name)
        self.bound.add(name.text)

    def declare(self, name: tree.Name) -> None:
        earlier = self.declared.get(name.text)
        if earlier is not None and earlier != name.span:
            self.problems.error(
                "E0202",
                name.span,
                f"`{name.text}` is the name of a layer or parameter already",
                "bound again",
                labels=[Label(earlier, "declared first")],
                help="give one of them another name",
            )
        self.declared[name.text] = name.span
        self.bound.add(name.text)

    def expression(self, node: tree.Subscript) -> None:
        if isinstance(node, tree.Name):
            self.name(node)
            return
        for child in _children(node):
            self.expression(child)

    def name(self, node: tree.Name) -> None:
        name = node.text
        if name in self.bound or name in OPERATIONS or name in DTYPES or name in BUILTINS or standard_block(name):
            return
        unknown_name(node, [*self.bound], self.problems)


def unknown_name(node: tree.Name, bound: Iterable[str], problems: Problems) -> None:
    """Report a name that stands for nothing, with the nearest one that does."""
    if node.text[:1].isupper():
        candidates = [*(b for b in bound if b[:1].isupper()), *standard_blocks()]
        message = f"there is no block named `{node.text}`"
    else:
        candidates = [*bound, *OPERATIONS, *BUILTINS]
        message = f"there is no `{node.text}` here"
    problems.error(
        "E0201",
        node.span,
        message,
        _did_you_mean(node.text, candidates) or "not bound before this place",
    )


def _did_you_mean(name: str, candidates: Iterable[str]) -> str:
    near = nearest(name, candidates)
    return f"did you mean `{near}`?" if near else ""


def _children(node: tree.Subscript) -> list[tree.Subscript]:
    if isinstance(node, tree.List):
        return list(node.items)
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
    return []


def _names(node: tree.Subscript) -> list[tree.Name]:
    return [node] if isinstance(node, tree.Name) else [n for child in _children(node) for n in _names(child)]


def _flat(body: Iterable[tree.Statement]) -> Iterable[tree.Statement]:
    for statement in body:
        yield statement
        if isinstance(statement, tree.If):
            yield from _flat((*statement.then, *statement.otherwise))
        elif isinstance(statement, tree.For):
            yield from _flat(statement.body)
