"""Every example learns something in seconds: a small part of its data, and a result that no guess reaches."""

from __future__ import annotations

import pytest

import wsdl
from references.training.catalogue import TRAININGS, Example, arrays
from wsdl.runtime.fit import fit
from wsdl.runtime.plan import Plan

TESTED = slice(0, 1000, 3)  # rows


@pytest.mark.parametrize("example", [pytest.param(e, id=e.name) for e in TRAININGS if e.short])
def test_a_short_training(example: Example) -> None:
    for path in (example.train, example.judged_by):
        if not path.exists():
            pytest.skip(f"the data of {example.data} is not here: `make data` fetches it")
    short = example.short
    assert short is not None
    program = wsdl.compile(example.path)
    trainer = program.trainer(example.model, batch=short.batch, seed=0, threads=1)
    data = arrays(example.train, short.rows)
    test = {name: array[TESTED] for name, array in arrays(example.judged_by).items()}
    fit(trainer, {name: data[name] for name in trainer.batch_types}, Plan(short.epochs))
    model = program.session(example.model, weights=trainer.weights)
    outputs = model(**{name: test[name] for name in program.models[example.model].inputs})
    result = example.measure.of(outputs, test)
    print(f"{example.measure.name} {result:.4f}")
    assert example.measure.is_reached(result, short.required)
