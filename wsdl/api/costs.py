"""What formulas cost: the time of a run in which they are computed, and of one over their values."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from wsdl.api.listing import computed_families
from wsdl.ir.inventory import Inventory
from wsdl.ir.target import Materialize
from wsdl.ir.types import TensorType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wsdl.runtime.session import Session

SECONDS = 0.3  # for which each way is measured
RUNS = 5  # at least


@dataclass(frozen=True)
class RunCosts:
    """The processor time of one run of a model with one thread, in seconds: with all formulas `computed`, with all
    values `written_out`, and with those of one family alone, by its name. Each dynamic dimension has the size
    `rows`."""

    rows: int
    computed: float
    written_out: float
    families: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "computed_ms": 1e3 * self.computed,
            "written_out_ms": 1e3 * self.written_out,
            "written_out_alone_ms": {name: 1e3 * seconds for name, seconds in self.families.items()},
        }


def run_costs(
    stored: Inventory, model: str, rows: int, session: Callable[[Materialize | frozenset[str]], Session]
) -> RunCosts | None:
    """Measure a model, of which `session` makes sessions by what is written out; `None` where it has no formulas.
    Raises `RunError` where it can't run with such sizes."""
    families = {family.name: frozenset(family.paths) for family in computed_families(stored.of_models([model]))}
    if not families:
        return None
    inputs = dict(_inputs(stored.models[model].inputs, rows))

    def measured(materialize: Materialize | frozenset[str]) -> float:
        one = session(materialize)
        return _seconds(lambda: one.run(inputs))

    alone = {name: measured(paths) for name, paths in families.items()}
    return RunCosts(rows, measured("none"), measured("all"), alone)


def _inputs(types: Mapping[str, TensorType], rows: int) -> Iterator[tuple[str, NDArray[Any]]]:
    """Random numbers; zeros where the dtype is not a float type, as these may be indices."""
    import numpy as np

    from wsdl.ir.dtypes import numpy_dtype

    random = np.random.default_rng(0)
    for name, type in types.items():
        shape = [dim.evaluate(dict.fromkeys(dim.names(), rows)) for dim in type.shape]
        values = random.standard_normal(shape) if type.is_float else np.zeros(shape)
        yield name, values.astype(numpy_dtype(type.dtype))


def _seconds(run: Callable[[], object]) -> float:
    """The median of many runs, after a first one."""
    run()
    taken: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(taken) < RUNS or time.perf_counter() < end:
        start = time.process_time()
        run()
        taken.append(time.process_time() - start)
    return median(taken)
