"""What an option may be, on the command line and in Python: nonsense is refused before anything is done."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wsdl as package
from tests.cli.conftest import Wsdl
from tests.runtime.training import CLASSIFY, data, in_files, program
from wsdl import api, options
from wsdl.diagnostics import CompileError
from wsdl.options import (
    Alternatives,
    Each,
    ForEach,
    Having,
    Instance,
    Names,
    OneOf,
    Option,
    Optional,
    Share,
    Sizes,
    Whole,
)
from wsdl.runtime.plan import Plan
from wsdl.runtime.training_state import Settings

Function = Callable[..., Any]
FUNCTIONS: list[Function] = [
    api.check, api.examine, api.compile, api.evaluate, api.fit, api.graph, api.inspect, api.load, api.open_model,
    api.run, api.run_rows, api.train, api.write_picture, package.Program.session, package.Program.trainer,
    package.Program.evaluator, package.Program.save, package.Model.session, package.Model.save, package.study,
]  # fmt: skip
# What is looked at elsewhere.
FREE = {
    "self",
    "path_or_source",
    "trainer",
    "data",
    "evaluation",
    "plan",
    "read",
    "memory",
    "settings",
    "reporter",
    "workers",
}


def nonsense(option: Option) -> list[Any]:
    """Values that an option must refuse."""
    if isinstance(option, Optional):
        return [value for value in nonsense(option.option) if value is not None]
    if isinstance(option, Each):
        return [5, "x", None, *([value] for value in nonsense(option.option))]
    if isinstance(option, ForEach):
        return [*nonsense(option.option), {}, {"critic": 0}, {"critic": "3"}, {1: 2}]
    if isinstance(option, Each):
        return [5, "worker", None, *([value] for value in nonsense(option.option))]
    if isinstance(option, Having):
        return [5, "worker", None, []]
    if isinstance(option, Whole):
        wrong = [1.5, 2.0, "3", True, None, [3], np.ones(2, int), 10**30, float("nan")]
        return [option.lowest - 1, option.highest + 1, *wrong]
    if isinstance(option, OneOf):
        return ["zz", "", "f64", 1, None, [], b"f32", option.words[0].upper()]
    if isinstance(option, Sizes):
        return [{"n": 0}, {"n": 1.5}, {"n": 2**62}, {"n": "8"}, {1: 2}, {"a b": 1}, ["n"], "n=8", 5]
    if isinstance(option, Names):
        return ["tied", [1], 5, {"tied"}, b"tied"]
    if isinstance(option, Share):
        return [0, -0.5, "0.2", True, None, [0.2], float("inf"), float("nan")]
    if isinstance(option, Alternatives):
        return [{"rank": 4}, {"rank": []}, {1: [2]}, {"rank": "2,4"}, ["rank"], "rank=2,4", 5]
    if isinstance(option, Having):
        return [4, "mpi", None, object(), [1]]
    assert isinstance(option, Instance)
    return [5, 1.5, None, [], *(["no", "", 1] if bool in option.types else [])]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__qualname__)
def test_nonsense(function: Function) -> None:
    """Of each argument; there is none that nobody looks at."""
    known: dict[str, Option] = function.__dict__["options"]
    parameters = inspect.signature(function).parameters
    assert parameters.keys() <= known.keys() | FREE
    required = [p.name for p in parameters.values() if p.default is p.empty]
    for name, option in known.items():
        for value in nonsense(option):
            arguments = {n: "x" if isinstance(known.get(n), Instance) else object() for n in required} | {name: value}
            with pytest.raises(CompileError, match=rf"error\[E0704\]: `{name}` is ") as error:
                function(**arguments)
            assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("record", "name", "option"),
    [
        *((Plan, name, Optional(options.COUNT)) for name in ("epochs", "save_every", "patience", "limit_steps")),
        (Plan, "keep", options.NONE_OR_MORE),
        (Plan, "folder", Optional(options.PATH)),
        *((Settings, name, options.COUNT) for name in ("batch", "accumulate")),
        (Settings, "seed", options.SEED),
    ],
)
def test_nonsense_in_a_record(record: type, name: str, option: Option) -> None:
    for value in nonsense(option):
        with pytest.raises(CompileError, match="E0704"):
            record(**{name: value})


def test_the_message() -> None:
    with pytest.raises(CompileError) as error:
        package.compile("tied.wsd", dtype="f64")  # type: ignore[arg-type] # which is the mistake
    assert str(error.value) == "error[E0704]: `dtype` is one of `f32`, `f16`, `bf16`, not 'f64'"


def test_a_session_and_a_trainer() -> None:
    compiled = program(CLASSIFY)
    session = compiled.session()
    for batch in (0, -1, 1.5, True):
        with pytest.raises(CompileError, match="`batch` is an integer"):
            session.run({"x": data()["x"]}, batch=batch)
    trainer = compiled.trainer(batch=np.int64(50), accumulate=np.int8(1))
    assert type(trainer.settings.batch) is int
    with pytest.raises(CompileError, match="`total_steps` is an integer"):
        trainer.total_steps = -1
    with pytest.raises(CompileError, match="`epochs` is an integer"):
        package.fit(trainer, data(), epochs=1.5)  # type: ignore[arg-type] # which is the mistake
    assert trainer.steps == 0


FLAGS = {
    "compile": ("--seed", "--opset", "--dim"),
    "run": ("--seed", "--batch", "--dim"),
    "train": ("--seed", "--batch", "--epochs", "--accumulate", "--save-every", "--keep", "--patience", "--limit-steps",
              "--threads", "--dim"),
    "eval": ("--batch", "--threads", "--dim"),
    "graph": ("--depth", "--dim"),
}  # fmt: skip
NEEDED = {
    "compile": ["-o", "out"], "run": ["--input", "train.npz"], "eval": ["--data", "train.npz"],
    "train": ["--data", "train.npz", "-o", "out"],
}  # fmt: skip


@pytest.mark.parametrize(("verb", "flag"), [(verb, flag) for verb, flags in FLAGS.items() for flag in flags])
def test_numbers_out_of_range(verb: str, flag: str, wsdl: Wsdl, tmp_path: Path) -> None:
    in_files(tmp_path)
    for number in (str(2**63), "9" * 30, "9" * 5000, "-1", "1.5", "", "x"):
        value = f"n={number}" if flag == "--dim" else number
        done = wsdl(verb, "classify.wsd", *NEEDED.get(verb, []), flag, value)
        assert done.code == 2, (value, done)
        assert done.err.startswith("error[E0704]: ")
        assert len(done.err) < 1_000
    assert not Path("out").exists()
