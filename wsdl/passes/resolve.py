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
from typing import NamedTuple, TypeAlias

from wsdl.diagnostics import Edit, Label, Problems
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.types import DTYPES
from wsdl.ops import OPERATIONS
from wsdl.span import Source, Span
from wsdl.syntax import tree
from wsdl.syntax.parser import parse

Reader: TypeAlias = Callable[[str], "Source | None"]
VIEWS = ("T", "permute", "reshape", "flip")  # what follows a dot on a tensor
BUILTINS = ("len", "per_axis")  # computed when compiling
MOST_SUGGESTIONS = 50  # nobody reads more, and each takes a while to find
CONFIGURATION_TYPES = ("int", "float", "bool", "string", "list", "layer", "none")

# What PyTorch, Keras and NumPy call things that have another name here.
ELSEWHERE = {
    "Linear": "Dense", "FullyConnected": "Dense", "MultiheadAttention": "Attention", "MultiHeadAttention": "Attention",
    "BatchNorm1d": "BatchNorm", "BatchNorm2d": "BatchNorm", "BatchNorm3d": "BatchNorm",
    "BatchNormalization": "BatchNorm", "LayerNormalization": "LayerNorm", "InstanceNorm1d": "InstanceNorm",
    "InstanceNorm2d": "InstanceNorm", "InstanceNorm3d": "InstanceNorm", "Conv2DTranspose": "ConvTranspose2d",
    "SimpleRNN": "RNN", "TransformerEncoderLayer": "EncoderLayer", "BasicBlock": "ResNetBlock",
    "MaxPool1d": "max_pool", "MaxPool2d": "max_pool", "MaxPool3d": "max_pool", "MaxPooling2D": "max_pool",
    "AvgPool1d": "avg_pool", "AvgPool2d": "avg_pool", "AvgPool3d": "avg_pool", "AveragePooling2D": "avg_pool",
    "Upsample": "resize", "SiLU": "silu", "LeakyReLU": "leaky_relu", "cat": "concat", "concatenate": "concat",
    "view": "reshape", "swish": "silu", "clamp": "clip", "dot": "matmul", "average": "mean", "interpolate": "resize",
    "float32": "f32", "float": "f32", "float64": "f64", "double": "f64", "float16": "f16", "half": "f16",
    "bfloat16": "bf16", "int8": "i8", "int16": "i16", "int32": "i32", "int": "i32", "int64": "i64", "long": "i64",
    "uint8": "u8", "byte": "u8",
}  # fmt: skip


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
    places: dict[str, Span] = field(default_factory=dict)  # where a name was declared in this file, or imported
    lost: set[str] = field(default_factory=set)  # names that an import, reported as wrong, was to bring
    is_partial: bool = False  # declarations with syntax errors are missing
    unknown: set[tuple[Span | None, str]] = field(default_factory=set)  # body, name: was reported

    @property
    def source(self) -> Source:
        return self.file.source

    def may_have(self, name: str) -> bool:
        """Is a name that is not found perhaps one that a reported mistake took away?"""
        return self.is_partial or name in self.lost

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
    open: list[_Open] = field(default_factory=list)


class _Open(NamedTuple):
    """A file that is being read, and the import that asked for it."""

    path: str
    asked: Span | None


def resolve(source: Source, problems: Problems, read: Reader, import_root: str | None = None) -> FileScope:
    """Parse a file and those that it imports, and check their names.

    `read` gives the source of a path, or `None`. Imports stay inside `import_root`, by default the folder of the file.
    """
    root = posixpath.abspath(import_root if import_root is not None else posixpath.dirname(source.path))
    return _scope_of(source, _Files(problems, read, root))


# -- files -------------------------------------------------------------------------------------------------------------


def _scope_of(source: Source, files: _Files, asked: Span | None = None) -> FileScope:
    path = posixpath.abspath(source.path)
    before = len(files.problems.errors)
    scope = FileScope(parse(source, files.problems))
    scope.is_partial = len(files.problems.errors) > before
    files.scopes[path] = scope
    files.open.append(_Open(path, asked))
    for declaration in scope.file.declarations:
        if isinstance(declaration, tree.Import):
            _import(declaration, scope, files)
        elif isinstance(declaration, tree.Let | tree.Block | tree.Model | tree.Layer):
            _check_capital(declaration.name, _KINDS[type(declaration)], files.problems)
            _define(declaration.name, Definition(declaration, scope), scope, files.problems)
    files.open.pop()
    _check_names(scope, files.problems)
    return scope


_KINDS: dict[type, str] = {tree.Let: "constant", tree.Block: "block", tree.Model: "model", tree.Layer: "layer"}


def _define(name: tree.Name, definition: Definition, scope: FileScope, problems: Problems) -> None:
    if name.text in scope.definitions:
        problems.error(
            "E0202",
            name.span,
            f"`{name.text}` is declared twice in this file",
            "declared again",
            labels=[Label(scope.places[name.text], "declared first")],
            help="give one of them another name",
        )
        return
    scope.definitions[name.text] = definition
    scope.places[name.text] = name.span


def _check_capital(name: tree.Name, kind: str, problems: Problems) -> None:
    capital = kind == "block"
    if capital == name.text[:1].isupper() or (capital and not name.text[:1].islower()):
        return
    better = name.text[:1].upper() + name.text[1:] if capital else name.text[:1].lower() + name.text[1:]
    problems.error(
        "E0203",
        name.span,
        f"the name of a {kind} starts with a {'capital' if capital else 'small'} letter",
        f"write `{better}`",
        help="capitalised names are blocks, which own weights; all other names start small",
    )


def _import(node: tree.Import, scope: FileScope, files: _Files) -> None:
    other = _imported(node, scope, files)
    if other is None:
        scope.lost |= {name.text for name in node.names}
    else:
        _take(node, other, scope, files.problems)


def _imported(node: tree.Import, scope: FileScope, files: _Files) -> FileScope | None:
    """The file that an import names; `None` where that was reported."""
    written = node.file.value
    path = posixpath.normpath(posixpath.join(posixpath.dirname(posixpath.abspath(scope.source.path)), written))
    if not (written.startswith(("./", "../")) and written.endswith(".wsd")):
        better = "./" + written.lstrip("/") if not written.startswith(("./", "../")) else written
        files.problems.error(
            "E0206",
            node.file.span,
            "an import names a `.wsd` file by a relative path",
            "starts with `./` or `../` and ends with `.wsd`",
            help=f'write `"{better.removesuffix(".wsd")}.wsd"`; the standard library needs no import',
        )
    elif posixpath.commonpath([files.root, path]) != files.root:
        files.problems.error(
            "E0207",
            node.file.span,
            "this import leaves the project's folder",
            "outside of the folder of the file that is compiled",
            help="move the file into the folder, or allow a wider one with `--import-root`",
        )
    elif any(path == opened.path for opened in files.open):
        _report_circle(node, path, files)
    elif path in files.scopes:
        return files.scopes[path]
    else:
        shown = posixpath.normpath(posixpath.join(posixpath.dirname(scope.source.path), written))
        source = files.read(shown)
        if source is not None:
            return _scope_of(source, files, node.file.span)
        files.problems.error(
            "E0209",
            node.file.span,
            f"there is no file `{written}`",
            f"looked for as `{shown}`",
            help="the path starts at the folder of the file that imports",
        )
    return None


def _report_circle(node: tree.Import, path: str, files: _Files) -> None:
    first = next(i for i, opened in enumerate(files.open) if opened.path == path)
    way = [opened.asked for opened in files.open[first + 1 :] if opened.asked is not None]
    files.problems.error(
        "E0208",
        node.file.span,
        "these files import each other in a circle" if way else "this file imports itself",
        "leads back to a file that is still being read" if way else "",
        labels=[Label(span, "the circle comes by here") for span in way],
        help="move what both need into a third file" if way else "remove the import: a file sees its own names",
    )


def _take(node: tree.Import, other: FileScope, scope: FileScope, problems: Problems) -> None:
    offered = {n: d for n, d in other.definitions.items() if isinstance(d.node, tree.Block | tree.Let)}
    for name in node.names:
        if name.text in offered:
            _define(name, offered[name.text], scope, problems)
            continue
        scope.lost.add(name.text)
        if other.may_have(name.text):
            continue
        near = nearest(name.text, offered)
        has = other.definitions.get(name.text)
        problems.error(
            "E0210",
            name.span,
            f"`{node.file.value}` has no block or constant named `{name.text}`",
            f"did you mean `{near}`?" if near else f"it has {_listed(offered)}",
            labels=[Label(has.node.name.span, f"a {_KINDS[type(has.node)]} can't be imported")] if has else (),
            fix=[Edit(name.span, near)] if near else (),
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


@cache
def _standard_index() -> dict[str, str]:
    """The blocks of the standard library: name -> file."""
    index: dict[str, str] = {}
    for entry in sorted((resources.files("wsdl") / "std").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".wsd"):
            for name in re.findall(r"^block (\w+)", entry.read_text("utf-8"), re.MULTILINE):
                index[name] = entry.name
    return index


@cache
def _standard_scope(file: str) -> FileScope:
    text = (resources.files("wsdl") / "std" / file).read_text("utf-8")
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
    """Walks a body in the order in which it runs; `bound` are the names known so far, `later` those that it binds
    somewhere."""

    scope: FileScope
    problems: Problems
    bound: set[str]
    declared: dict[str, Span] = field(default_factory=dict)  # layers and parameters: these can't be bound twice
    later: dict[str, Span] = field(default_factory=dict)
    body: Span | None = None  # the name of the block or model
    in_scan: bool = False

    def declaration(self, node: tree.Block | tree.Model) -> None:
        taken: dict[str, Span] = {}
        configuration = node.configuration if isinstance(node, tree.Block) else ()
        self.later = bound_names(node.body)
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
            self.bound.add(item.name.text)
        for parameter in configuration:
            _check_capital(parameter.name, "constant", self.problems)
            for kind in parameter.types:
                self.configuration_type(kind)
        for input_ in node.inputs:
            _check_capital(input_.name, "tensor", self.problems)
            self.dtype(input_.type)
            for dim in input_.type.dims:
                self.bound |= {n.text for n in _names(dim)}
        for output in node.outputs or ():
            self.dtype(output.type)
        self.statements(node.body)
        if not any(isinstance(s, tree.Return) for s in _flat(node.body, into_scans=True)):
            what = "block" if isinstance(node, tree.Block) else "model"
            self.problems.error(
                "E0211",
                node.name.span,
                f"the {what} `{node.name.text}` returns nothing",
                "no `return` in its body",
                help="end the body with `return` and the result",
            )

    def configuration_type(self, kind: tree.Name) -> None:
        if kind.text in CONFIGURATION_TYPES:
            return
        near = {"str": "string", "number": "float", "boolean": "bool"}.get(kind.text)
        near = near or nearest(kind.text, CONFIGURATION_TYPES)
        self.problems.error(
            "E0229",
            kind.span,
            f"there is no type `{kind.text}` for a configuration",
            f"did you mean `{near}`?" if near else "",
            help=f"the types are {', '.join(CONFIGURATION_TYPES)}",
            fix=[Edit(kind.span, near)] if near else (),
        )

    def dtype(self, type: tree.Type) -> None:
        if type.dtype is not None and type.dtype.text not in DTYPES:
            unknown_dtype(type.dtype, self.problems)

    def statements(self, body: Iterable[tree.Statement]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, node: tree.Statement) -> None:
        if isinstance(node, tree.Let | tree.Assign):
            self.expression(node.value)
            for target in node.targets if isinstance(node, tree.Assign) else (node.name,):
                _check_capital(target, "tensor" if isinstance(node, tree.Assign) else "constant", self.problems)
                self.bind(target)
        elif isinstance(node, tree.Layer):
            self.expression(node.value)
            if node.count is not None:
                self.expression(node.count)
            _check_capital(node.name, "layer", self.problems)
            self.declare(node.name)
        elif isinstance(node, tree.Parameter):
            self.dtype(node.type)
            for dim in node.type.dims:
                self.expression(dim)
            _check_capital(node.name, "parameter" if node.kind == "param" else "state", self.problems)
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
        inside = _Body(self.scope, self.problems, set(self.bound), self.declared, self.later, self.body, in_scan=True)
        for binding in (*node.steps, *node.carried):
            inside.bind(binding.name)
        inside.statements(node.body)
        for name in (*(b.name for b in node.carried), *node.targets):
            self.bind(name)

    def placed(self, node: tree.Return | tree.Emit) -> None:
        if isinstance(node, tree.Emit) and not self.in_scan:
            self.problems.error(
                "E0212",
                node.span,
                "`emit` stands outside of a `scan`",
                "no `scan` around it",
                help="use `return` for the result of a body",
            )
        if isinstance(node, tree.Return) and self.in_scan:
            self.problems.error(
                "E0213",
                node.span,
                "`return` stands inside a `scan`",
                "the body of a `scan` runs to its end",
                help="use `emit` for a value of each step; what is carried is known under its name afterwards",
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
        self.bound.add(name)  # once in a body is enough
        self.scope.unknown.add((self.body, name))


def unknown_name(node: tree.Name, bound: Iterable[str], problems: Problems) -> None:
    """Report a name that stands for nothing, with the nearest one that does."""
    capital = node.text[:1].isupper()
    called = ELSEWHERE.get(node.text)
    near = _meant(node.text, list(bound)) if len(problems) < MOST_SUGGESTIONS else None
    problems.error(
        "E0201",
        node.span,
        f"there is no block named `{node.text}`" if capital else f"there is no `{node.text}` here",
        f"is called `{called}` here"
        if called
        else f"did you mean `{near}`?"
        if near
        else "not bound before this place",
        fix=[Edit(node.span, called or near or "")] if called or near else (),
    )


def _meant(name: str, bound: list[str]) -> str | None:
    """The name that was probably meant: one of the file's own, or one of the language's."""
    capital = name[:1].isupper()
    own = [n for n in bound if n[:1].isupper() == capital]
    everything = [*bound, *standard_blocks(), *OPERATIONS, *BUILTINS]
    alike = [n for n in everything if n.lower() == name.lower() or n[:1].isupper() == capital]
    return nearest(name, own) or nearest(name, alike) or nearest(name, DTYPES)


def unknown_dtype(node: tree.Name, problems: Problems) -> None:
    """Report what is written as a dtype and is none."""
    near = ELSEWHERE.get(node.text) or nearest(node.text, DTYPES)
    near = near if near in DTYPES else None
    problems.error(
        "E0404",
        node.span,
        f"there is no dtype `{node.text}`",
        f"did you mean `{near}`?" if near else "",
        help=f"the dtypes are {', '.join(DTYPES)}",
        fix=[Edit(node.span, near)] if near else (),
    )


def bound_names(body: Iterable[tree.Statement]) -> dict[str, Span]:
    """The names that a body binds, with the first place of each."""
    found: dict[str, Span] = {}
    for statement in _flat(body):
        names: tuple[tree.Name, ...]
        if isinstance(statement, tree.Assign):
            names = statement.targets
        elif isinstance(statement, tree.Scan):
            names = (*(binding.name for binding in statement.carried), *statement.targets)
        elif isinstance(statement, tree.Let | tree.Layer | tree.Parameter):
            names = (statement.name,)
        else:
            continue
        for name in names:
            found.setdefault(name.text, name.span)
    return found


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


def _flat(body: Iterable[tree.Statement], into_scans: bool = False) -> Iterable[tree.Statement]:
    for statement in body:
        yield statement
        if isinstance(statement, tree.If):
            yield from _flat((*statement.then, *statement.otherwise), into_scans)
        elif isinstance(statement, tree.For) or (into_scans and isinstance(statement, tree.Scan)):
            yield from _flat(statement.body, into_scans)
