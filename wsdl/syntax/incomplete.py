"""An unfinished text around one place: the terminals that the grammar accepts there, and the declaration as it is with
a name or a string at that place.

What stands behind the place is read if it fits; otherwise the declaration ends there, with a short text that the parser
accepts. So the context of a place is that of a complete text, by the one grammar.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

from lark import Token, UnexpectedToken

from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Source, Span
from wsdl.syntax import parser, tree
from wsdl.syntax.layout import read

HERE = "here__"  # the name at the place

# What may end a declaration, in the order of preference.
_ENDINGS = {
    "RPAR": ")",
    "RSQB": "]",
    "RBRACE": "}",
    "LBRACE": "{",
    "EQUAL": "=",
    "INTO": "into",
    "IMPORT": "import",
    "ALONG": "along",
    "COLON": ":",
    "ARROW": "->",
    "IN": "in",
    "NAME": "x",
    "LPAR": "(",
    "STRING": '""',
}
_LONGEST = 100  # tokens of an ending


@dataclass(frozen=True)
class Incomplete:
    """`accepts` are the terminals that may begin at the place, and `start` is the offset of the declaration around it.

    `nodes` lead in this declaration, in a text of its own, to the name or the string at the place, the outermost first;
    they are empty where neither fits. A declaration whose head can't be read is a model without a name.
    """

    accepts: frozenset[str]
    start: int
    nodes: tuple[tree.Node, ...] = ()


def incomplete(source: Source, start: int, end: int, *, string: bool = False) -> Incomplete:
    """What stands from `start` to `end` is replaced, by a name or a string."""
    inserted, text = f'"{HERE}"' if string else HERE, source.text
    cut = _reading(Source(source.path, text[:start] + inserted), start)
    if cut is None:
        return Incomplete(frozenset(), start)
    with parser.lock:
        state = cut.state_before(start)
        accepts = frozenset(state.accepts()) if state is not None else frozenset[str]()
        terminal = "STRING" if string else "NAME"
        ending = _ending(state, terminal) if terminal in accepts else None
    if ending is not None:
        for rest in (text[end:], ending):
            nodes = _nodes(Source(source.path, text[:start] + inserted + rest), start)
            if nodes:
                return Incomplete(accepts, cut.chunk.start, nodes)
    return Incomplete(accepts, cut.chunk.start)


def _reading(source: Source, offset: int) -> parser.Reading | None:
    """The declaration around an offset, to be read."""
    layout = read(source, Problems())
    chunk = next((chunk for chunk in layout.chunks if chunk.start <= offset < chunk.end), None)
    return None if chunk is None else parser.Reading(source, layout, chunk, {}, Problems())


def _ending(state: Any, terminal: str) -> str | None:
    """A short text behind a name or a string that ends the declaration; `None` if there is none."""
    state = state.copy(deepcopy_values=False)
    state.parser_state.parse_conf = copy(state.parser_state.parse_conf)
    state.parser_state.parse_conf.callbacks = {}
    ending = [" "]
    state.feed_token(Token(terminal, ""))
    for _ in range(_LONGEST):
        if _fed(state, "$END") is not None:
            return " ".join(ending)
        fed = ((text, _fed(state, terminal)) for terminal, text in _ENDINGS.items())
        text, following = next(((text, f) for text, f in fed if f is not None), ("", None))
        if following is None:
            return None
        ending.append(text)
        state = following
    return None


def _fed(state: Any, terminal: str) -> Any:
    """The state behind a terminal, or `None` if it doesn't fit."""
    if terminal not in state.choices():
        return None
    following = state.copy(deepcopy_values=False)
    try:
        following.feed_token(Token(terminal, ""))
    except UnexpectedToken:
        return None
    return following


def _nodes(source: Source, offset: int) -> tuple[tree.Node, ...]:
    """The nodes around the name or string at an offset, in the declaration that has it; empty if it can't be read."""
    reading = _reading(source, offset)
    if reading is None:
        return ()
    with parser.lock:
        reading.run()
    whole = reading.partial
    if isinstance(whole, tuple):  # the statements of a body
        span = Span(source, reading.chunk.start, reading.chunk.end)
        whole = tree.Model(span, tree.Name(span, ""), (), None, whole)
    return () if whole is None else tuple(_way(whole, offset))


def _way(node: tree.Node, offset: int) -> Iterator[tree.Node]:
    """The nodes from one to the name or string at an offset; none if it isn't below."""
    if isinstance(node, tree.Name | tree.String) and node.span.start == offset:
        yield node
        return
    for field in node.fields:
        value = getattr(node, field)
        for child in value if isinstance(value, tuple) else (value,):
            if isinstance(child, tree.Node) and child.span.start <= offset < child.span.end:
                way = list(_way(child, offset))
                if way:
                    yield node
                    yield from way
                    return
