"""Matches the tensors of a file by the table of a `load`.

A line that names a tensor in full goes before patterns: these don't match the tensor again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from wsdl.diagnostics import Edit, Problems, deduplicated
from wsdl.diagnostics.figures import MOST_LISTED, count, listed
from wsdl.ir.graph import Slot, file_path, with_indices
from wsdl.ir.requests import LoadMapping, Part, PathPattern
from wsdl.ir.stages import Storage
from wsdl.ir.views import View
from wsdl.ir.weight_files import Fill
from wsdl.sharing.check_loads import below
from wsdl.sharing.load_patterns import counted, is_literal, numbers_of, path_of, path_text, regex, step_at
from wsdl.sharing.open_load import OpenLoad
from wsdl.sharing.paths import NotFound, viewed
from wsdl.sharing.similar_names import alike, of_several_parts, similar
from wsdl.sharing.targets import Targets


def by_table(load: OpenLoad, targets: Targets, storage: Storage, problems: Problems) -> list[Fill]:
    """The fills of the lines of a table. What is wrong with several lines in the same way is reported once."""
    literal = {mapping.pattern for mapping in load.request.mappings if is_literal(mapping)}
    fills: list[Fill] = []
    unmatched: list[LoadMapping] = []
    reported = Problems()
    for mapping in load.request.mappings:
        line = _Line(mapping, load, targets, storage, reported)
        matches = list(line.matches(literal))
        unmatched += [] if matches else [mapping]
        fills += line.fills(matches)
    for problem in deduplicated(reported):
        problems.add(problem)
    if unmatched:
        _report_no_match(unmatched, load, problems)
    return fills


class _Line:
    """One line of a table."""

    def __init__(
        self, mapping: LoadMapping, load: OpenLoad, targets: Targets, storage: Storage, problems: Problems
    ) -> None:
        self._mapping, self._load, self._problems = mapping, load, problems
        self._targets, self._storage = targets, storage

    def matches(self, literal: set[str]) -> Iterator[tuple[str, dict[str, str]]]:
        """The tensors that the line matches, each with the values of the placeholders; a pattern matches none of those
        that are `literal` in the table."""
        if is_literal(self._mapping):
            if self._mapping.pattern in self._load.listing.names:
                yield self._mapping.pattern, {}
            return
        pattern = regex(self._mapping.pattern, numbers_of(self._mapping))
        for name in self._load.names:
            if name not in literal and (match := pattern.fullmatch(name)):
                yield name, match.groupdict()

    def fills(self, matches: Sequence[tuple[str, dict[str, str]]]) -> list[Fill]:
        """The fills of the tensors that the line matches; reports one for which there is no parameter, if none has
        one."""
        fills: list[Fill] = []
        found, before = False, len(self._problems.errors)
        for name, values in matches:
            for all_values in self._counted(values):
                home = self._home(all_values)
                if home is None:
                    break
                found = True
                slot, part = home
                views = [step_at(view, all_values) for view in self._mapping.views]
                seen = self._load.seen(name, views, self._problems)
                if seen is not None:
                    fills += self._load.fill(name, seen, slot, part, self._storage, self._problems, self._mapping)
        if matches and not found and len(self._problems.errors) == before:
            self._report_astray(matches)
        return fills

    def _counted(self, values: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
        """The values of the placeholders: with each value of the number that is missing in the name, if one is."""
        name = counted(self._mapping)
        return iter([values]) if name is None else ({**values, name: str(number)} for number in itertools.count())

    def _home(self, values: Mapping[str, str]) -> tuple[Slot, View] | None:
        """The parameter that the line fills for values of the placeholders, and the part of it; `None` if there is
        none, or its views don't fit, which is reported."""
        path = below(self._load.request, path_of(self._mapping, values))
        last = max(number for number, step in enumerate(path.steps) if isinstance(step, Part)) + 1
        slot = self._slot(PathPattern(path.steps[:last], path.span))
        views = [step for step in path.steps[last:] if not isinstance(step, Part)]
        problems = self._problems if counted(self._mapping) is None else Problems()
        with suppress(NotFound):
            return None if slot is None else (slot, viewed(slot, views, problems))
        return None

    def _slot(self, path: PathPattern) -> Slot | None:
        with suppress(NotFound):
            target = self._targets.of(path, self._load.request.base, None)
            is_one = len(target.matches) == 1 and isinstance(target.matches[0].thing, Slot)
            if target.tensors and (is_one or (target.groups and not target.layers)):
                return target.tensors[0][0]
        return None

    def _report_astray(self, matches: Sequence[tuple[str, dict[str, str]]]) -> None:
        _, values = matches[0]
        number = counted(self._mapping)
        path = path_text(path_of(self._mapping, values if number is None else {**values, number: "0"}).steps)
        near = similar(file_path(f"{self._load.prefix}.{path}"), self._load.slots)
        self._problems.error(
            "E0507",
            self._mapping.path_span,
            f"there is no parameter `{with_indices(self._load.prefix)}.{path}`",
            f"did you mean `{self._load.slots[near].path}`?" if near else "",
        )


# -- lines that match nothing ------------------------------------------------------------------------------------------


def _report_no_match(unmatched: Sequence[LoadMapping], load: OpenLoad, problems: Problems) -> None:
    """Report one error for the whole table: often a part of each name differs in the file."""
    first, *others = unmatched
    near = {mapping.pattern: alike(mapping, load.names) for mapping in unmatched[: MOST_LISTED + 1]}
    lines = []
    for mapping in others:
        name = near.get(mapping.pattern)
        lines.append(f"`{mapping.pattern}`" + (f" (is it `{name}`?)" if name else ""))
    meant = near[first.pattern]
    problems.error(
        "E0506",
        first.span,
        f"no tensor of {load.request.file} has a name like `{first.pattern}`",
        details=[f"nor like {count(len(lines), 'more pattern')} of this table:", *listed(lines)] if lines else (),
        help=_why_nothing(first, load) or (f"the most similar name is `{meant}`" if meant else _INSPECT),
        fix=[Edit(first.pattern_span, f'"{meant}"')] if meant and is_literal(first) and not others else (),
    )


_INSPECT = "`wsdl inspect` lists the names in a file"


def _why_nothing(mapping: LoadMapping, load: OpenLoad) -> str | None:
    """Why a pattern matches nothing, where a tensor of the file shows it."""
    pattern = regex(mapping.pattern, numbers_of(mapping))
    if taken := next((name for name in load.listing.names if pattern.fullmatch(name)), None):
        return f"`{taken}` has a line of its own" if taken in load.names else f"the table ignores `{taken}`"
    if several := of_several_parts(mapping, load.names):
        placeholder, name = several
        return f"`{{{placeholder}}}` is one part of a name; for several, as in `{name}`, write `{{{placeholder}...}}`"
    return None
