"""How much of a `load` table that a person wrote `wsdl match` proposes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import nn

from references.published import Published
from references.vision.catalogue import Network
from wsdl import compiler
from wsdl.diagnostics import Problems
from wsdl.diagnostics.span import Source
from wsdl.ir.stages import Storage
from wsdl.ir.views import View
from wsdl.ir.weight_files import Listing, TensorInfo
from wsdl.matching.pairing import SURE, Sure
from wsdl.matching.proposal import propose
from wsdl.sharing.match_weights import match_weights
from wsdl.weights.open_source import open_source

Fills = set[tuple[str, str, bytes]]  # stored tensor, tensor of the file, which elements become which


@dataclass(frozen=True)
class Measured:
    """Of the stored tensors of a program that its `load`s fill, how many are filled with the same by what is proposed:
    by how sure that is, `right` and `wrong`; `missing` are filled by nothing."""

    right: Counter[Sure]
    wrong: Counter[Sure]
    missing: int
    lines: int  # of the tables as written
    proposed: int  # lines of those that are proposed

    @property
    def total(self) -> int:
        return self.right.total() + self.wrong.total() + self.missing

    @property
    def share(self) -> float:
        return self.right.total() / self.total


def of_published(published: Published, folder: Path) -> Measured:
    """An example of `examples/transformers/`, and what `save_pretrained` of its class writes into a folder."""
    return of_program(published.source(folder, published.twin()))


def of_network(network: Network) -> Measured:
    """An example of `examples/vision/`, and the names and shapes of its twin."""
    with torch.device("meta"):
        module: nn.Module = network.make()
    dtypes = {torch.float32: "f32", torch.int64: "i64"}
    tensors = {n: TensorInfo(dtypes[t.dtype], tuple(t.shape)) for n, t in module.state_dict().items()}
    return measured(Source(str(network.path), network.path.read_text("utf-8")), Listing(network.weights, tensors))


def of_program(source: Source) -> Measured:
    """A program whose one file of weights is there."""
    [file] = {file for request in _stored(source).checked.loads for file in request.files}
    return measured(source, open_source(Path(source.path).parent / file))


def measured(source: Source, listing: Listing) -> Measured:
    """Compare what the `load`s of a program fill with what is proposed for the program without them."""
    storage, bare = _stored(source), source.text
    loads = storage.checked.loads
    for request in sorted(loads, key=lambda request: -request.span.start):
        bare = bare[: request.span.start] + bare[request.span.end :]
    proposal = propose(_stored(Source(source.path, bare)), listing, f'"{loads[0].files[0]}"')
    proposed = _stored(Source(source.path, f"{bare}\n{proposal.text}"))
    wanted, found = _fills(storage, listing), _fills(proposed, listing)
    how = {name: match.sure for path, match in proposal.filled.items() for name in storage.readings[path].tensors}
    right, wrong = Counter[Sure](), Counter[Sure]()
    names = {name for name, *_ in wanted}
    for name in names & how.keys():
        own = {fill for fill in wanted if fill[0] == name}
        (right if own <= found else wrong)[how[name]] += 1
    mappings = sum(len(request.mappings) for request in loads)
    lines = sum(len(load.lines) for load in proposal.loads if not load.by_name)
    return Measured(right, wrong, len(names - how.keys()), mappings, lines)


def _stored(source: Source) -> Storage:
    problems = Problems()
    storage = compiler.store(compiler.check(source, problems), problems)
    assert storage is not None, problems.errors
    return storage


def _fills(storage: Storage, listing: Listing) -> Fills:
    """What the `load`s of a program fill with what. They are valid."""
    problems = Problems()
    fills = match_weights(storage, [(request, listing) for request in storage.checked.loads], problems)
    assert not problems.errors, problems.errors
    return {(str(f.stored), f.tensor, _elements(f.view, f.seen or View.identity(f.view.shape))) for f in fills}


def _elements(part: View, seen: View) -> bytes:
    """Which elements of a stored tensor become which of a tensor of the file; empty where both are read as they are."""
    if part.is_identity and seen.is_identity:
        return b""
    into, of = (view.of(np.arange(prod(view.source)).reshape(view.source)).ravel() for view in (part, seen))
    order = np.argsort(into)
    return into[order].tobytes() + of[order].tobytes()


def by_sureness(counts: Counter[Sure]) -> str:
    """`40 certain, 2 likely`."""
    return ", ".join(f"{counts[sure]} {sure}" for sure in reversed(SURE) if counts[sure]) or "0"
