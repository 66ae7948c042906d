"""The page of each operation and block, generated from its docstring or doc comment: printed by `wsdl explain relu`,
written to `docs/reference/`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from wsdl.elaborate.elsewhere import ELSEWHERE, NO_NAMES, WRITTEN
from wsdl.elaborate.operations import signature
from wsdl.elaborate.scopes import standard_block, standard_blocks
from wsdl.ir.types import DTYPES
from wsdl.ops import FAMILIES, NAMED, Operation
from wsdl.syntax import tree


def names() -> list[str]:
    """The names of all operations and blocks that have a page, ordered by family and file."""
    return [*(name for _, operations in operation_families() for name in operations), *standard_blocks()]


def page(name: str) -> str:
    """The page of an operation or of a block, as Markdown; raises `KeyError` if there is none of this name."""
    if name in NAMED:
        return _operation_page(NAMED[name])
    definition = standard_block(name)
    if definition is None:
        raise KeyError(name)
    assert isinstance(definition.node, tree.Block)
    return _block_page(definition.node)


def elsewhere(name: str) -> tuple[str, str]:
    """The name in WSDL of PyTorch's or Keras's `name`, and how to write it; empty texts if unknown."""
    last = name.rpartition(".")[2]  # of `nn.Linear`
    called = ELSEWHERE.get(last, last if last != name else "")
    written, dtype = WRITTEN.get(last), called if called in DTYPES else last if last in DTYPES else None
    help = f"write it, for example, as `{written}`" if written else NO_NAMES.get(last, "")
    if dtype:
        help = f"the dtype `{dtype}` is described in docs/language.md, Types and dimensions"
    return (called if called in NAMED or standard_block(called) else ""), help


def operation_families() -> Iterator[tuple[str, list[str]]]:
    """The operations that a program can name, by family."""
    for family in FAMILIES:
        own = [o.name for o in NAMED.values() if o.family == family.__name__]
        if own:
            yield family.__name__.rpartition(".")[2], own


def block_files() -> dict[str, list[str]]:
    """The blocks of each file of the standard library."""
    files: dict[str, list[str]] = {}
    for name in standard_blocks():
        definition = standard_block(name)
        assert definition is not None
        files.setdefault(Path(definition.scope.source.path).stem, []).append(name)
    return files


def about(family: str) -> str:
    """The description of a family of operations."""
    return (import_module(f"wsdl.ops.{family}").__doc__ or "").strip()


# -- pages -------------------------------------------------------------------------------------------------------------


def _operation_page(operation: Operation) -> str:
    parts = [
        f"# {operation.name}",
        _code(signature(operation)),
        operation.text,
        "With the types of its operands and results:",
        _code("\n".join(operation.examples)),
    ]
    if operation.flat:
        parts.append(f"It has no gradient: {operation.flat}.")
    return "\n\n".join(parts) + "\n"


def _block_page(block: tree.Block) -> str:
    text, example = text_and_example(block)
    parts = [f"# {block.name.text}", _code(_head(block)), text, "For example:", _code(example)]
    return "\n\n".join([*parts, "Its definition:", _code(block.span.text)]) + "\n"


def text_and_example(block: tree.Block) -> tuple[str, str]:
    """The doc comment of a block: its text, and the example in its indented lines."""
    paragraphs = (block.doc or "").split("\n\n")
    prose = [p for p in paragraphs if not p.startswith("    ")]
    shown = [re.sub(r"^    ", "", p, flags=re.MULTILINE) for p in paragraphs if p.startswith("    ")]
    return "\n\n".join(prose).strip(), "\n\n".join(shown).rstrip()


def _head(block: tree.Block) -> str:
    """Its signature: the text up to the brace."""
    text = block.span.text
    head = text[: text.index("{\n")] if "{\n" in text else text
    return re.sub(r"^block ", "", head).strip()


def _code(text: str) -> str:
    return f"```wsd fragment\n{text}\n```"
