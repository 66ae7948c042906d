"""Reads a file and its imports, and resolves the names in them."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from wsdl.diagnostics import CompileError, Label, Problems, limits
from wsdl.diagnostics.span import Source, Span
from wsdl.diagnostics.suggest import nearest
from wsdl.elaborate.bound_names import check_capital
from wsdl.elaborate.check_names import Look, check_names
from wsdl.elaborate.scopes import Definition, FileScope
from wsdl.ir.references import References
from wsdl.ir.stages import BASE
from wsdl.syntax import tree
from wsdl.syntax.parser import parse

Reader: TypeAlias = Callable[[str], "Source | None"]


@dataclass
class _Files:
    """The files of a program while their imports are followed."""

    problems: Problems
    read: Reader
    root: str
    scopes: dict[str, FileScope] = field(default_factory=dict)
    open: list[_Open] = field(default_factory=list)
    references: References = field(default_factory=References)


class _Open(NamedTuple):
    """A file that is being read, and the import that refers to it."""

    path: str
    asked: Span | None


def resolve(source: Source, problems: Problems, read: Reader, import_root: str | None = None) -> FileScope:
    """Parse a file and those that it imports, and check their names.

    `read` returns the source of a path, or `None`. Imports stay inside `import_root`, by default the folder of the
    file.
    """
    return _scope_of(source, _files(source, problems, read, import_root))


def resolve_file(file: tree.File, problems: Problems, read: Reader, import_root: str | None, look: Look) -> FileScope:
    """The same for a file that is already parsed, of which only the names of some declarations are checked."""
    return _scope_of_file(file, _files(file.source, problems, read, import_root), look=look)


def _files(source: Source, problems: Problems, read: Reader, import_root: str | None) -> _Files:
    root = posixpath.abspath(import_root if import_root is not None else posixpath.dirname(source.path))
    return _Files(problems, read, root)


# -- files -------------------------------------------------------------------------------------------------------------


def _scope_of(source: Source, files: _Files, asked: Span | None = None) -> FileScope:
    before = len(files.problems.errors)
    file = parse(source, files.problems)
    return _scope_of_file(file, files, asked, is_partial=len(files.problems.errors) > before)


def _scope_of_file(
    file: tree.File,
    files: _Files,
    asked: Span | None = None,
    look: Look | None = None,
    is_partial: bool = False,
) -> FileScope:
    path = posixpath.abspath(file.source.path)
    scope = FileScope(file, references=files.references, is_partial=is_partial)
    files.scopes[path] = scope
    files.open.append(_Open(path, asked))
    for declaration in scope.file.declarations:
        if isinstance(declaration, tree.Import):
            _import(declaration, scope, files)
        elif isinstance(declaration, tree.Let | tree.Block | tree.Model | tree.Layer | tree.Parameter):
            check_capital(declaration.name, _KINDS[type(declaration)], files.problems)
            _define(declaration.name, Definition(declaration, scope), scope, files.problems)
        elif isinstance(declaration, tree.Variant):
            check_capital(declaration.name, "variant", files.problems)
            _define_variant(declaration, scope, files.problems)
    files.open.pop()
    check_names(scope, files.problems, look)
    return scope


_KINDS: dict[type, str] = {
    tree.Let: "constant",
    tree.Block: "block",
    tree.Model: "model",
    tree.Layer: "layer",
    tree.Parameter: "parameter",
}


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


def _define_variant(node: tree.Variant, scope: FileScope, problems: Problems) -> None:
    name, earlier = node.name, scope.variants.get(node.name.text)
    if name.text == BASE:
        problems.error(
            "E0245",
            name.span,
            f"`{BASE}` is the program without a variant",
            "can't be a variant's name",
            help="rename it, or move its lines to file level",
        )
    elif earlier is not None:
        problems.error(
            "E0202",
            name.span,
            f"the variant `{name.text}` is declared twice",
            "declared again",
            labels=[Label(earlier.name.span, "declared first")],
            help="give one of them another name, or write all lines into one",
        )
    else:
        scope.variants[name.text] = node


def _import(node: tree.Import, scope: FileScope, files: _Files) -> None:
    other = _imported(node, scope, files)
    if other is None:
        scope.lost |= {name.text for name in node.names}
    else:
        scope.imported.append(other)
        _take(node, other, scope, files.problems)


def _imported(node: tree.Import, scope: FileScope, files: _Files) -> FileScope | None:
    """The imported file; `None` after reporting an error."""
    written = node.file.value
    path = posixpath.normpath(posixpath.join(posixpath.dirname(posixpath.abspath(scope.source.path)), written))
    if not (written.startswith(("./", "../")) and written.endswith(".wsd")) or "\0" in written:
        better = "./" + written.lstrip("/") if not written.startswith(("./", "../")) else written
        files.problems.error(
            "E0206",
            node.file.span,
            "an import names a `.wsd` file by a relative path",
            "starts with `./` or `../` and ends with `.wsd`",
            help=f'write `"{better.removesuffix(".wsd")}.wsd"`; the standard library needs no import',
        )
    elif not _is_inside(path, files.root):
        files.problems.error(
            "E0207",
            node.file.span,
            "this import leaves the project's folder",
            "outside of the folder of the file that is compiled",
            help="move the file into the folder, or allow a wider one with `--import-root`",
        )
    elif any(path == opened.path for opened in files.open):
        _report_circle(node, path, files)
    elif len(files.open) >= limits.IMPORTS:
        files.problems.error(
            "E0602",
            node.file.span,
            f"imports are nested too deeply: more than {limits.IMPORTS} files",
            "the limit is exceeded here",
            help="import from fewer, larger files",
        )
    elif path in files.scopes:
        return files.scopes[path]
    else:
        shown = posixpath.normpath(posixpath.join(posixpath.dirname(scope.source.path), written))
        try:
            source = files.read(shown)
        except CompileError as error:
            for diagnostic in error.diagnostics:
                message = f"`{written}` can't be imported: {diagnostic.message}"
                files.problems.error(diagnostic.code, node.file.span, message, help=diagnostic.help)
            return None
        if source is not None:
            return _scope_of(source, files, node.file.span)
        files.problems.error(
            "E0209",
            node.file.span,
            f"there is no file `{written}`",
            f"resolved to `{shown}`",
            help="the path is relative to the folder of the importing file",
        )
    return None


def _is_inside(path: str, root: str) -> bool:
    """Whether a path is below a folder, both as written and with links resolved."""
    real = os.path.realpath(root)
    return posixpath.commonpath([root, path]) == root and os.path.commonpath([real, os.path.realpath(path)]) == real


def _report_circle(node: tree.Import, path: str, files: _Files) -> None:
    first = next(i for i, opened in enumerate(files.open) if opened.path == path)
    way = [opened.asked for opened in files.open[first + 1 :] if opened.asked is not None]
    files.problems.error(
        "E0208",
        node.file.span,
        "these files import each other in a circle" if way else "this file imports itself",
        "leads back to a file that is still being read" if way else "",
        labels=[Label(span, "part of the circle") for span in way],
        help="move the common parts into a third file" if way else "remove the import: a file sees its own names",
    )


def _take(node: tree.Import, other: FileScope, scope: FileScope, problems: Problems) -> None:
    offered = {n: d for n, d in other.definitions.items() if not isinstance(d.node, tree.Model)}
    for name in node.names:
        if name.text in offered:
            _define(name, offered[name.text], scope, problems)
            scope.references.add(name.span, offered[name.text].node.name.span)
            continue
        scope.lost.add(name.text)
        if other.may_have(name.text):
            continue
        near = nearest(name.text, offered)
        has = other.definitions.get(name.text)
        variant = other.variants.get(name.text)
        problems.error(
            "E0210",
            name.span,
            f"`{node.file.value}` has no block, constant or layer named `{name.text}`",
            f"it has {_listed(offered)}",
            labels=[Label(has.node.name.span, f"a {_KINDS[type(has.node)]} can't be imported")]
            if has
            else [Label(variant.name.span, "a variant can't be imported")]
            if variant
            else (),
            near=near,
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"
