"""How much of a `load` table that a person wrote `wsdl match` proposes, by what is in the parameters then."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import wsdl
from wsdl import compiler
from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Source
from wsdl.matching.pairing import SURE, Sure


@dataclass(frozen=True)
class Measured:
    """Of the stored tensors of a program that its `load`s fill, how many have the same values by what is proposed: by
    how sure that is, `right` and `wrong`; `missing` are filled by nothing."""

    right: Counter[Sure]
    wrong: Counter[Sure]
    missing: int
    lines: int  # of the tables as written
    proposed: int  # lines of those that are proposed

    @property
    def share(self) -> float:
        total = self.right.total() + self.wrong.total() + self.missing
        return self.right.total() / total


def measured(source: Source) -> Measured:
    """Compare what the `load`s of a program fill with what is proposed without them. Their files are there."""
    loads = compiler.check(source, Problems()).loads
    truth = wsdl.compile(source)
    wanted = {name: array for name, array in truth.stored.items() if name not in truth.drawn}
    bare = source.text
    for request in sorted(loads, key=lambda request: -request.span.start):
        bare = bare[: request.span.start] + bare[request.span.end :]
    folder = Path(source.path).parent
    program = folder / "bare.wsd"
    program.write_text(bare, "utf-8")
    files = dict.fromkeys(str(folder / file) for request in loads for file in request.files)
    proposal = wsdl.match(program, list(files))
    text = Source(str(program), f"{bare}\n{proposal.text}")
    filled, storage = wsdl.compile(text), compiler.store(compiler.check(text, Problems()), Problems())
    assert storage is not None
    how = {name: match.sure for path, match in proposal.filled.items() for name in storage.readings[path].tensors}
    right, wrong = Counter[Sure](), Counter[Sure]()
    for name, array in wanted.items():
        if name in how:
            (right if np.array_equal(array, filled.stored[name]) else wrong)[how[name]] += 1
    mappings = sum(len(request.mappings) for request in loads)
    return Measured(right, wrong, len(wanted) - right.total() - wrong.total(), mappings, len(proposal.lines))


def by_sureness(counts: Counter[Sure]) -> str:
    """`40 certain, 2 likely`."""
    return ", ".join(f"{counts[sure]} {sure}" for sure in reversed(SURE) if counts[sure]) or "0"
