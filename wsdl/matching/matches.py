"""From the tensors of a file and the parameters of a program to pairs of these.

First families are paired as wholes: repeated layers with repeated layers, and layers whose matrices the other side has
in one (`qkv`) by their parts. Files may have a shared tensor once or under each of its names, so this is done for all
parameters, then for one of each tensor that is not filled. Then what is left is paired tensor by tensor. At last a
tensor may fill a second parameter, where networks often have one matrix in two places.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from wsdl.ir.views import View
from wsdl.matching.conventions import CUT, FUSED, TIED
from wsdl.matching.families import Entry, Family, Parts, families, joined
from wsdl.matching.layouts import cut, rows
from wsdl.matching.names import raw_parts
from wsdl.matching.pairing import CLEAR, SURE, Pairing, Sure, paired
from wsdl.matching.similarity import Similarity


@dataclass(frozen=True)
class Match:
    """A tensor of the file and the parameter that it fills, each through a view."""

    tensor: str
    seen: View
    parameter: str
    part: View
    sure: Sure


def matches(file: Sequence[Entry], program: Sequence[Entry], in_order: bool) -> list[Match]:
    """The matches, in the order of the program's entries. Each entry of it is filled at most once, or by parts."""
    found = _by_families(families(file), families(program), in_order)
    for repeated in (True, False):
        file_left, program_left = unmatched(file, program, found)
        found += _by_families(
            families(file_left, repeated=repeated), families(program_left, repeated=repeated), in_order
        )
    found += _cut(*unmatched(file, program, found))
    found += _tied(file, program, found)
    order = {entry.name: entry.order for entry in program}
    return sorted(_alike_in_a_layer(found), key=lambda match: order[match.parameter])


def unmatched(
    file: Iterable[Entry], program: Sequence[Entry], found: Iterable[Match]
) -> tuple[list[Entry], list[Entry]]:
    """The tensors that fill nothing; and of each tensor of the program that is not filled the first parameter."""
    used, filled = {m.tensor for m in found}, {m.parameter for m in found}
    stored = {entry.tensor for entry in program if entry.name in filled}
    first = {entry.tensor: entry for entry in reversed(program) if entry.tensor not in stored}
    return [entry for entry in file if entry.name not in used], [*reversed(first.values())]


def _by_families(file: list[Family], program: list[Family], in_order: bool) -> list[Match]:
    """The matches of the pairs of families; what no pair fills from several families is paired without these."""
    fused_file, fused_program = _fused(file, program)
    pairs = paired(fused_file, fused_program, in_order)
    return [match for pair in pairs for match in _matches_of(pair)]


def _fused(file: list[Family], program: list[Family]) -> tuple[list[Family], list[Family]]:
    """Both sides, with the layers whose matrices the other side has in one as one family each."""
    in_file, in_program = ({f.layer[-1] for f in side if f.layer} for side in (file, program))
    for word in FUSED:
        if word in in_file and word not in in_program:
            program = _joined(program, word)
        elif word in in_program and word not in in_file:
            file = _joined(file, word)
    return file, program


def _joined(side: list[Family], word: str) -> list[Family]:
    """The families of one side, of which those that a layer called `word` has in one are joined."""
    found: dict[tuple[Parts, str], dict[str, Family]] = {}
    for family in side:
        if family.layer and family.layer[-1] in FUSED[word] and not family.pieces:
            found.setdefault((family.layer[:-1], family.parts[-1]), {})[family.layer[-1]] = family
    groups = [
        {part: members[part] for part in FUSED[word]}
        for members in found.values()
        if len(members) == len(FUSED[word])
        and len({(len(m.entries), m.shape[1:]) for m in members.values()}) == 1
    ]  # fmt: skip
    inside = {family for members in groups for family in members.values()}
    return [*(family for family in side if family not in inside), *(joined(members, word) for members in groups)]


def _matches_of(pair: Pairing) -> list[Match]:
    """The matches of the entries of a pair of families, in the order of the numbers of repeated layers."""
    matches: list[Match] = []
    start = 0
    if pair.program.pieces:
        for piece in pair.program.pieces:
            stop = start + piece.shape[0]
            for source, target in zip(pair.file.entries, piece.entries, strict=False):
                whole = View.identity(target.shape)
                matches.append(Match(source.name, rows(pair.view, start, stop), target.name, whole, pair.sure))
            start = stop
    elif pair.file.pieces:
        for piece in pair.file.pieces:
            stop = start + piece.shape[0]
            for source, target in zip(piece.entries, pair.program.entries, strict=False):
                part = rows(View.identity(target.shape), start, stop)
                matches.append(Match(source.name, View.identity(source.shape), target.name, part, pair.sure))
            start = stop
    else:
        for source, target in zip(pair.file.entries, pair.program.entries, strict=False):
            matches.append(Match(source.name, pair.view, target.name, View.identity(target.shape), pair.sure))
    return matches


def _cut(file_left: Sequence[Entry], program_left: Sequence[Entry]) -> list[Match]:
    """The matches of embeddings of which the file has more rows than the program."""
    file, program = families(file_left, repeated=False), families(program_left, repeated=False)
    names = Similarity(file, program)
    found: list[Match] = []
    for target in program:
        entry = target.entries[0]
        which = next((which for word, which in CUT.items() if word in target.words), None)
        for source in sorted(file, key=lambda family: -names(family, target)) if which else ():
            view = cut(source.shape, entry.shape, last=which == "last")
            if view is not None and source.kind == target.kind and names(source, target) > CLEAR:
                found.append(Match(source.entries[0].name, view, entry.name, View.identity(entry.shape), "likely"))
                break
    return found


def _tied(file: Sequence[Entry], program: Sequence[Entry], found: Sequence[Match]) -> list[Match]:
    """Second matches of tensors that files often have once for two layers: an embedding and the last layer."""
    shapes = {entry.name: entry.shape for entry in file}
    words = {family.entries[0].name: family.words for family in families(program, repeated=False)}
    ties: list[Match] = []
    for entry in unmatched(file, program, found)[1]:
        whole = View.identity(entry.shape)
        for own, other in TIED:
            if own in words[entry.name]:
                sources = (m.tensor for m in found if m.seen == whole and other in words[m.parameter])
                ties += [
                    Match(name, whole, entry.name, whole, "likely") for name in sources if shapes[name] == entry.shape
                ][:1]
                break
    return ties


def _alike_in_a_layer(found: Iterable[Match]) -> list[Match]:
    """The same matches; those of one pair of layers are as sure as the surest of them."""
    surest: dict[tuple[str, str], Sure] = {}
    found = list(found)
    for match in found:
        key = _layers(match)
        surest[key] = max(surest.get(key, "guess"), match.sure, key=SURE.index)
    return [replace(match, sure=surest[_layers(match)]) for match in found]


def _layers(match: Match) -> tuple[str, str]:
    return ".".join(raw_parts(match.tensor)[:-1]) or match.tensor, match.parameter.rpartition(".")[0]
