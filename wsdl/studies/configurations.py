"""The configurations that a study compares: a program and its variants, each with several values of its constants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from wsdl import compiler
from wsdl.compiler import SourceOptions
from wsdl.diagnostics import CompileError, Diagnostic, Problems
from wsdl.diagnostics.span import Source
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.stages import BASE
from wsdl.syntax import tree
from wsdl.syntax.parser import parse


@dataclass(frozen=True)
class Configuration:
    """A program that is trained: `source` is the file with these constants and without other variants. `base` is the
    name of the configuration that it is compared with; its own name for a base."""

    name: str
    variant: str | None
    constants: Mapping[str, str]
    source: Source
    base: str


def configurations(
    source: Source,
    variants: Sequence[str] | None,
    constants: Mapping[str, Sequence[str]],
    options: SourceOptions,
    against: str | None = None,
) -> list[Configuration]:
    """The program without a variant and its variants, by default all, each with every combination of the values of
    the constants that it reads.

    A configuration is compared with the one of the variant `against`, by default of the base, that has the same
    constants. Raises `CompileError` for errors in the program, unknown variants (E0710), unknown constants, values
    that are not expressions, and constants that nothing reads (E0726).
    """
    _check(source, constants)
    names = [None, *_variants(source, variants, against, options)]
    alone = {name: without_variants(source, name) for name in names}
    reads = {name: constants_read(text, options) if constants else set() for name, text in alone.items()}
    for unread in constants.keys() - set().union(*reads.values()):
        message = f"no program of this study reads the constant `{unread}`, so its values make no difference"
        raise _error(source, message, f"leave out `--let {unread}=…`")
    combinations = [
        (name, values)
        for name in names
        for values in _combinations({n: v for n, v in constants.items() if n in reads[name]})
    ]
    compared = None if against == BASE else against
    bases = [values for name, values in combinations if name == compared]
    return [
        Configuration(
            _name(name, values),
            name,
            values,
            with_constants(alone[name], values),
            _name(compared, next(base for base in bases if name == compared or _agree(base, values))),
        )
        for name, values in combinations
    ]


def _agree(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether the constants that both read have the same values."""
    return all(other.get(name, value) == value for name, value in one.items())


def _variants(source: Source, chosen: Sequence[str] | None, against: str | None, options: SourceOptions) -> list[str]:
    """The names of the variants that are trained, without `base`."""
    problems = Problems()
    program = compiler.check(source, problems, options)
    for name in (*(chosen or ()), against or BASE):
        compiler.with_variant(program, name, problems)
    if problems.errors:
        raise CompileError(problems)
    return [name for name in program.variants if chosen is None or name in (*chosen, against)]


def without_variants(source: Source, except_name: str | None) -> Source:
    """The text of a file without its variants, except the one named. Line numbers stay the same."""
    text = source.text
    for declaration in parse(source, Problems()).declarations:
        if isinstance(declaration, tree.Variant) and declaration.name.text != except_name:
            span = declaration.span
            blank = "".join("\n" if letter == "\n" else " " for letter in span.text)
            text = text[: span.start] + blank + text[span.end :]
    return replace(source, text=text)


def with_constants(source: Source, constants: Mapping[str, str]) -> Source:
    """The text of a file in which some of its `let`s have other values. Line numbers stay the same."""
    text = source.text
    for let in reversed(_lets(source)):
        value = let.value.span
        if let.name.text in constants:
            lines = "\n" * value.text.count("\n")
            text = text[: value.start] + constants[let.name.text] + lines + text[value.end :]
    return replace(source, text=text)


def _name(variant: str | None, constants: Mapping[str, str]) -> str:
    return " ".join([variant or BASE, *(f"{name}={value}" for name, value in constants.items())])


def _combinations(constants: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    for values in product(*constants.values()):
        yield dict(zip(constants, values, strict=True))


# -- constants ---------------------------------------------------------------------------------------------------------


def _lets(source: Source) -> list[tree.Let]:
    return [d for d in parse(source, Problems()).declarations if isinstance(d, tree.Let)]


def constants_read(source: Source, options: SourceOptions) -> set[str]:
    """The names of the `let`s of a file that something other than a `let` reads, directly or through other `let`s.

    A name that is not resolved, such as an index in a path, counts as a read of the constant with that name.
    """
    problems = Problems()
    uses = compiler.check(source, problems, options).references.definitions
    if problems.errors:
        raise CompileError(problems)
    declarations = parse(source, Problems()).declarations
    lets = {d.name.text: d for d in declarations if isinstance(d, tree.Let)}

    def read_in(part: object) -> set[str]:
        constants = [(name, lets[name.text].name.span) for name in _names_in(part) if name.text in lets]
        return {name.text for name, let in constants if let in uses.get(name.span, (let,))}

    read = read_in([d for d in declarations if not isinstance(d, tree.Let)])
    todo = list(read)
    while todo:
        new = read_in(lets[todo.pop()].value) - read
        read |= new
        todo += new
    return read


def _names_in(part: object) -> Iterator[tree.Name]:
    """The names in a part of a tree, except those that it declares and those of arguments and members."""
    if isinstance(part, tree.Name):
        yield part
    elif isinstance(part, tree.Node):
        bound = {"name", "names"} | ({"targets"} if isinstance(part, tree.Assign | tree.Scan) else set())
        for field in part.fields:
            if field not in bound:
                yield from _names_in(getattr(part, field))
    elif isinstance(part, list | tuple):
        for item in part:
            yield from _names_in(item)


def _check(source: Source, constants: Mapping[str, Sequence[str]]) -> None:
    """Raises `CompileError` if a name is not a constant of the file, or a value not an expression."""
    declared = [let.name.text for let in _lets(source)]
    for name, values in constants.items():
        if name not in declared:
            close = nearest(name, declared)
            listed = ", ".join(f"`{n}`" for n in declared) or "none"
            help = f"did you mean `{close}`?" if close else f"its constants are {listed}"
            raise _error(source, f"this file declares no constant `{name}`", help)
        for value in values:
            if not is_expression(value):
                raise _error(
                    source, f"`{value}`, a value of `{name}`, is not an expression", f"write `--let {name}=2,4,8`"
                )
        if len(set(values)) < len(values):
            raise _error(source, f"`{name}` lists a value twice", "list each value once")


def is_expression(text: str) -> bool:
    """Whether a text is an expression on one line."""
    problems = Problems()
    declarations = parse(Source("<value>", f"let x = {text}\n"), problems).declarations
    return "\n" not in text and "#" not in text and not problems.diagnostics and len(declarations) == 1


def split(values: str) -> list[str]:
    """`2, [4, 8]` → `2` and `[4, 8]`: split at the commas outside of brackets."""
    parts, depth = [""], 0
    for letter in values:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _error(source: Source, message: str, help: str) -> CompileError:
    return CompileError([Diagnostic("E0726", message, file=source.path, help=help)])
