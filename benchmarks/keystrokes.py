"""What the compiler does after a keystroke in an editor: `python -m benchmarks.keystrokes [EXAMPLE…]`.

A document of the language server is given a text with one more space in the middle of its longest declaration, so that
this is parsed again and all below it moves. Then the program is asked for, as hover, hints and completion do; what is
completed there, the slowest of these answers; and the diagnostics with those of all variants, which are published when
the keys rest. The lower quartile of CPU time, each with what is before it.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from lsprotocol import types

from wsdl.lsp.completion import completion
from wsdl.lsp.documents import Document, Documents
from wsdl.process import GARBAGE
from wsdl.syntax import tree

EXAMPLES = Path(__file__).parents[1] / "examples"
KEYSTROKES = 13  # the first one fills the memory
MOST, MOST_OF_LARGE = 0.050, 0.300  # seconds for an example, and for `large()`
SHOWN = 12


class Taken(NamedTuple):
    """Seconds of CPU time: until the program is known, a completion, and all diagnostics."""

    name: str
    program: float
    completion: float
    diagnostics: float


def large(blocks: int = 200, models: int = 25) -> str:
    """A program of some 2,000 lines: models of eight blocks each."""
    parts = [
        f"""\
## Block {i} of many.
block Part{i}(width: int, rate: float = 0.1)(x: f32[n, d]) -> f32[n, d] {{
    layer up = Dense(width)
    layer down = Dense(d)
    h = x |> up |> gelu
    h = h |> dropout(rate) |> down
    return x + {i + 1} * h
}}
"""
        for i in range(blocks)
    ]
    each = blocks // models
    for m in range(models):
        own = range(m * each, (m + 1) * each)
        layers = [f"    layer part{i} = Part{i}(width={64 + 8 * (i % 5)})" for i in own]
        lines = [f"    h = part{i}(h)" for i in own]
        shared = f"    share {{ part{own[0]}.up, part{own[5]}.up }}"
        head = f"model m{m}(x: f32[n, 32]) -> (y: f32[n, 4]) {{"
        parts.append("\n".join([head, *layers, shared, "    h = x", *lines, "    return h |> Dense(4)", "}", ""]))
    return "\n".join(parts)


def keystrokes(name: str, path: Path, text: str) -> Taken:
    """The time after a keystroke in a text."""
    documents, uri = Documents(), path.absolute().as_uri()

    def typed(text: str) -> Document:
        documents.put(uri, text, None)
        document = documents.get(uri)
        assert document is not None
        return document

    at = _middle(typed(text).tree.declarations)
    taken = []
    for count in range(KEYSTROKES):
        document = typed(text[:at] + " " * count + text[at:])
        start = time.process_time()
        assert document.examined.storage is not None, document.problems.errors
        program = time.process_time()
        place = types.CompletionParams(types.TextDocumentIdentifier(uri), document.positions.position(at))
        completion(document, place)
        completed = time.process_time()
        assert document.problems is not None
        taken.append((program - start, completed - start, time.process_time() - start))
    return Taken(name, *(sorted(times[1:])[KEYSTROKES // 4] for times in zip(*taken, strict=True)))


def _middle(declarations: Iterable[tree.Declaration]) -> int:
    """The end of a line in the middle of the longest declaration."""
    span = max((node.span for node in declarations), key=lambda span: span.end - span.start)
    text = span.source.text
    return max(text.rfind("\n", span.start, (span.start + span.end) // 2), span.start)


def main(names: list[str]) -> None:
    gc.set_threshold(GARBAGE)  # as `wsdl lsp` does
    paths = {path.relative_to(EXAMPLES).with_suffix("").as_posix(): path for path in EXAMPLES.rglob("*.wsd")}
    of_examples = [keystrokes(n, p, p.read_text("utf-8")) for n, p in sorted(paths.items()) if not names or n in names]
    text = large()
    of_large = keystrokes(f"{text.count(chr(10)):,} lines", EXAMPLES / "large.wsd", text)
    print(f"{'milliseconds of CPU':<32}{'program':>10}{'completion':>13}{'diagnostics':>13}")
    longest = sorted(of_examples, key=lambda taken: -taken.diagnostics)[:SHOWN]
    for name, program, completed, diagnostics in (*longest, of_large):
        print(f"{name:<32}{1000 * program:>10.1f}{1000 * completed:>13.1f}{1000 * diagnostics:>13.1f}")
    print(f"sum of {len(of_examples)} examples: {sum(taken.program for taken in of_examples):.2f} s")
    missed = [taken for taken in of_examples if taken.program > MOST]
    missed += [of_large] if of_large.diagnostics > MOST_OF_LARGE else []
    print("\n".join(f"missed: {taken.name}" for taken in missed) or "all aims are reached")


if __name__ == "__main__":
    main(sys.argv[1:])
