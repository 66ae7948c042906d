"""One test for many small cases: what pytest and its workers do for a test takes longer than such a case."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, TypeVar

import pytest

Case = TypeVar("Case")
Test = Callable[..., None]


def together(
    name: str, cases: Iterable[Case], *, by: Callable[[Case], str], ids: Callable[[Case], str] = str
) -> Callable[[Test], Test]:
    """Makes a test of one case, its argument `name`, a test of each group of cases, which `by` names.

    All cases of a group are tried, with the same fixtures; each that fails is shown, with its id. None may be skipped.
    """
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(by(case), []).append(case)

    def decorated(test: Test) -> Test:
        @wraps(test)
        def tested(**fixtures: Any) -> None:
            group, failures = fixtures.pop("cases"), list[BaseException]()
            for case in group:
                try:
                    test(**{name: case}, **fixtures)
                except (Exception, pytest.fail.Exception) as failure:
                    failure.add_note(f"with {name} = {ids(case)}")
                    failures.append(failure)
            if failures:
                raise BaseExceptionGroup(f"{len(failures)} of {len(group)} cases", failures)

        signature = inspect.signature(test)
        parameters = [p.replace(name="cases") if p.name == name else p for p in signature.parameters.values()]
        tested.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined] # pytest reads it
        return pytest.mark.parametrize("cases", groups.values(), ids=groups.keys())(tested)

    return decorated
