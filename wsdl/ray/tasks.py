"""Tasks on workers: what has no result because its worker was lost is repeated on another one."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.ray import errors
from wsdl.ray.cluster import Request, require_running

Item = TypeVar("Item")
Result = TypeVar("Result")
RETRIES = 3  # of a task whose worker was lost
POLL_SECONDS = 0.2
STOP_SECONDS = 30.0  # for tasks to save what they have when they are cancelled


@dataclass(frozen=True)
class Failed:
    """A `CompileError` of a task. It is returned, since Ray would wrap what is raised."""

    kind: type[CompileError]
    diagnostics: list[Diagnostic]

    @property
    def error(self) -> CompileError:
        return self.kind(self.diagnostics)


def results(
    ray: Any,
    workers: Request,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    name: Callable[[Item], str],
    meanwhile: Callable[[], None] = lambda: None,
) -> Generator[tuple[Item, Result | Failed], None, None]:
    """Call a function with each item, one at a time on each worker; yields the results in the order in which they come.

    `Failed` stands for the result of an item with a `CompileError`, or whose worker was lost several times (E0745, with
    the `name` of the item). `meanwhile` is called several times a second. Closing the generator cancels what runs:
    tasks get a `KeyboardInterrupt`, and some time to save.
    """
    task = ray.remote(num_cpus=workers.threads, max_retries=RETRIES)(_called)
    folder, waiting = os.getcwd(), iter(items)
    running: dict[Any, Item] = {}
    try:
        while True:
            for item in islice(waiting, workers.count - len(running)):
                running[task.options(name=name(item)).remote(function, item, folder)] = item
            if not running:
                return
            require_running(ray)
            ready, _ = ray.wait(list(running), num_returns=1, timeout=POLL_SECONDS)
            meanwhile()
            for reference in ready:
                yield running[reference], _result(ray, reference, name(running[reference]))
                del running[reference]
    finally:
        for reference in running:
            ray.cancel(reference)
        if running:
            ray.wait(list(running), num_returns=len(running), timeout=STOP_SECONDS)


def _called(function: Callable[[Any], Any], item: Any, folder: str) -> Any:
    """The task: paths are relative to the folder in which the command runs."""
    with suppress(OSError):
        os.chdir(folder)
    try:
        return function(item)
    except CompileError as error:
        return Failed(type(error), error.diagnostics)


def _result(ray: Any, reference: Any, what: str) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        lost = errors.lost(error, what)
        if lost is None:
            raise
        return Failed(type(lost), lost.diagnostics)
