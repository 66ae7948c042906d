"""Pairs families of the file with families of the program: an assignment problem whose scores are the similarity of
names, the agreement on the layers around them, and the order.

Agreement is known of a first assignment, so the problem is solved several times, each with what the one before has
shown. Families whose shapes don't fit are never paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from wsdl.ir.views import View
from wsdl.matching.assignment import assignment
from wsdl.matching.conventions import LEAVES
from wsdl.matching.families import Family
from wsdl.matching.layouts import is_transposed, views
from wsdl.matching.similarity import Agreement, Layers, Similarity, places

Sure: TypeAlias = Literal["guess", "likely", "certain"]
SURE: tuple[Sure, ...] = ("guess", "likely", "certain")
ROUNDS = 3
CLEAR, DISTINCT = 0.55, 0.12  # of names: how similar they are, and how much more than any other that would fit
FAINT = 0.2
FEWER = 0.5  # what a pair counts whose program has fewer layers than the file, relative to others


@dataclass(frozen=True, eq=False)
class Pairing:
    """A family of the file that fills one of the program, through a view of each tensor. If it has more members, its
    first ones do."""

    file: Family
    program: Family
    view: View
    sure: Sure


def paired(file: Sequence[Family], program: Sequence[Family], in_order: bool) -> list[Pairing]:
    """The pairs of families, in the order of the program. `in_order`: the file has its tensors in the order in which
    the network was made, not that of the alphabet."""
    named = any(family.parts[-1] in LEAVES for family in file)  # else names say nothing
    found = _fitting(file, program, named)
    names, layers = Similarity(file, program), Layers(file, program)
    similar = {(i, j): names(file[i], program[j]) for i, j in found}
    place_in_file, place = places(file, named), places(program, named)
    scores = {}
    for i, j in found:
        near = 1 - (place_in_file[file[i]] - place[program[j]]) ** 2
        in_words = similar[i, j] + 0.3 * layers(file[i], program[j]) if named else 0.01
        scores[i, j] = in_words + (0.1 if in_order else 0.03) * near
        if len(file[i].entries) > len(program[j].entries):
            scores[i, j] *= FEWER
    chosen = assignment(scores)
    agreed = dict.fromkeys(found, 0.0)
    for _ in range(ROUNDS if named else 0):
        agreement = Agreement({(file[i], program[j]): scores[i, j] for i, j in chosen.items()})
        agreed = {(i, j): agreement(file[i], program[j]) for i, j in found}
        following = assignment({pair: score + 0.6 * agreed[pair] for pair, score in scores.items()})
        if following == chosen:
            break
        chosen = following
    rows, columns = _alternatives(similar)
    return [
        Pairing(
            file[i],
            program[j],
            found[i, j],
            "likely"
            if len(file[i].entries) > len(program[j].entries)
            else "certain"
            if file[i].parts in (program[j].parts, program[j].parts[1:])  # below the name of the model
            else _sure((i, j), similar, agreed, rows, columns),
        )
        for i, j in sorted(chosen.items(), key=lambda pair: pair[1])
    ]


def _fitting(file: Sequence[Family], program: Sequence[Family], named: bool) -> dict[tuple[int, int], View]:
    """The pairs of families whose kinds and shapes fit, and the view of the file's tensors that has the other shape.
    Where tensors are not `named`, weights aren't told from biases."""
    found: dict[tuple[int, int], View] = {}
    by_kind: dict[object, list[int]] = {}
    for j, family in enumerate(program):
        by_kind.setdefault(family.kind[not named :], []).append(j)
    for i, family in enumerate(file):
        transposed = is_transposed(family.entries[0].name)
        for j in by_kind.get(family.kind[not named :], ()):
            fewer = len(family.entries) > len(program[j].entries) > 1
            if (family.pieces and program[j].pieces) or not (fewer or len(family.entries) == len(program[j].entries)):
                continue
            view = next(views(family.shape, program[j].shape, transposed), None)
            if view is not None:
                found[i, j] = view
    return found


def _alternatives(
    similar: Mapping[tuple[int, int], float],
) -> tuple[dict[int, list[tuple[int, float]]], dict[int, list[tuple[int, float]]]]:
    """The similarities of the pairs of each row, and of each column."""
    rows: dict[int, list[tuple[int, float]]] = {}
    columns: dict[int, list[tuple[int, float]]] = {}
    for (i, j), value in similar.items():
        rows.setdefault(i, []).append((j, value))
        columns.setdefault(j, []).append((i, value))
    return rows, columns


def _sure(
    pair: tuple[int, int],
    similar: Mapping[tuple[int, int], float],
    agreed: Mapping[tuple[int, int], float],
    rows: Mapping[int, list[tuple[int, float]]],
    columns: Mapping[int, list[tuple[int, float]]],
) -> Sure:
    i, j = pair
    others = [value for k, value in rows[i] if k != j] + [value for k, value in columns[j] if k != i]
    own, margin = similar[pair], similar[pair] - max(others, default=0.0)
    if (own >= CLEAR and margin >= DISTINCT) or (not others and own >= FAINT):
        return "certain"
    if not others or (own >= FAINT and (margin > 0 or agreed[pair] >= CLEAR)):
        return "likely"
    return "guess"
