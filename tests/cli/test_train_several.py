"""`wsdl train` of several trainings that take turns: data for each, what is written, going on bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.cli.conftest import Wsdl

PROGRAM = """
layer encode = Dense(8)

model letters(x: f32[n, 4]) -> (logits: f32[n, 3]) {
    return x |> encode |> relu |> Dense(3)
}

model numbers(x: f32[n, 4]) -> (number: f32[n, 1]) {
    return x |> encode |> relu |> Dense(1)
}

train letters(label: i64[n]) {
    loss cross_entropy(logits, label)
    metric accuracy = mean(argmax(logits, axis=1) == label)
    optimizer Adam(lr=cosine(0.01))
}

train numbers(wanted: f32[n, 1]) {
    loss mse(number, wanted)
    optimizer Adam(lr=cosine(0.02))
}

ORDER
"""
DATA = ("--data", "letters=letters.npz", "--data", "numbers=numbers.npz")
OPTIONS = ("--batch", "8", "--seed", "2", "--eval", "letters=letters.npz", "--eval", "numbers=numbers.npz")
ORDERS = ["turns { letters 2, numbers 1 }", "mix { letters 2, numbers 1 }"]


@pytest.fixture(autouse=True)
def files(wsdl: Wsdl, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez("letters.npz", x=rng.normal(size=(40, 4)).astype("f4"), label=rng.integers(0, 3, 40))
    np.savez("numbers.npz", x=rng.normal(size=(24, 4)).astype("f4"), wanted=rng.normal(size=(24, 1)).astype("f4"))
    np.savez("x.npz", x=rng.normal(size=(24, 4)).astype("f4"))


def write(order: str) -> None:
    Path("two.wsd").write_text(PROGRAM.replace("ORDER", order))


def logged(run: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in Path(run, "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


@pytest.mark.parametrize("order", ORDERS)
def test_a_run_is_written_and_resumed(wsdl: Wsdl, order: str) -> None:
    write(order)
    options = ("train", "two.wsd", *DATA, *OPTIONS, "--epochs", "3", "--best", "letters.accuracy")
    whole = wsdl(*options, "-o", "whole")
    assert whole.code == 0, whole.err
    log = logged("whole")
    steps = [line["train"] for line in log if "train" in line]
    assert steps.count("letters") == 15
    if order.startswith("turns"):
        assert steps[:6] == ["letters", "letters", "numbers"] * 2
        assert whole.err.startswith(
            "letters, numbers: 76 parameters (116 without sharing), 22 steps, 3 epochs, batch 8\nepoch 1/3  step "
        )
        assert whole.out.startswith("letters, numbers: 22 steps; letters.loss ")
    evaluated = [line for line in log if "eval" in line]
    assert [list(line["eval"]) for line in evaluated] == [["letters.loss", "letters.accuracy", "numbers.loss"]] * 3
    assert wsdl(*options, "-o", "run", "--limit-steps", "7").code == 0
    done = wsdl("train", "two.wsd", *DATA, *OPTIONS, "-o", "run", "--resume", "--best", "letters.accuracy", "--json")
    assert json.loads(done.out)["trainings"] == {"letters": 15, "numbers": steps.count("numbers")}
    assert [line for line in logged("run") if "train" in line] == [line for line in log if "train" in line]
    ends = [load_file(f"{run}/last.safetensors") for run in ("whole", "run")]
    assert ends[0].keys() == ends[1].keys()
    for name, array in ends[0].items():
        assert np.array_equal(array, ends[1][name]), name
    for model in ("letters", "numbers"):
        assert (
            wsdl(
                "eval", "two.wsd", "--model", model, "--data", f"{model}.npz", "--weights", "run/best.safetensors"
            ).code
            == 0
        )


def test_one_alone_and_a_dry_run(wsdl: Wsdl) -> None:
    write(ORDERS[0])
    assert wsdl("train", "two.wsd", "--model", "letters", "--data", "letters.npz", "-o", "alone").code == 0
    assert {"optimizer/first/encode.weight", "optimizer/step"} <= load_file("alone/last.safetensors").keys()
    done = wsdl("train", "two.wsd", *DATA, *OPTIONS, "--dry-run")
    assert done.out.startswith("dry run: letters, numbers trains on this data; letters.loss ")


REFUSED = [
    (("--data", "letters=letters.npz"), "the training `numbers` has no data"),
    (("--data", "letters.npz", "--data", "numbers=numbers.npz"), "`letters.npz` names no training, and `--data` is"),
    ((*DATA, "--data", "letters=x.npz"), "`letters` is named twice, and `--data` is written several times"),
    ((*DATA, "--data", "others=x.npz"), "there is no training `others` that takes turns"),
    (("--data", "letters=letters.npz", "--model", "letters"), "there is one training, `letters`, so its data"),
    ((*DATA, "--best", "accuracy"), "there is no metric `accuracy` to select the best weights by"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_is_refused(wsdl: Wsdl, options: tuple[str, ...], message: str) -> None:
    write(ORDERS[0])
    done = wsdl("train", "two.wsd", *options, "-o", "run")
    assert done.code == 2
    assert message in done.err


def test_without_turns_one_is_selected(wsdl: Wsdl) -> None:
    write("")
    done = wsdl("train", "two.wsd", *DATA, "-o", "run")
    assert "the file has 2 models, and none is selected" in done.err
    assert "turns" in done.err


def test_batch_size_parts_and_held_steps_of_each_training(wsdl: Wsdl) -> None:
    write(ORDERS[0])
    own = ("--batch", "letters=10", "--batch", "numbers=6", "--accumulate", "numbers=2", "--hold", "letters=2")
    assert wsdl("train", "two.wsd", *DATA, *own, "--epochs", "1", "-o", "whole").code == 0
    steps = [line["train"] for line in logged("whole") if "train" in line]
    assert (steps.count("letters"), steps.count("numbers")) == (8, 4)  # 40 rows by 10, each batch twice
    assert wsdl("train", "two.wsd", *DATA, *own, "--epochs", "1", "--limit-steps", "7", "-o", "run").code == 0
    assert wsdl("train", "two.wsd", *DATA, "-o", "run", "--resume").code == 0
    assert Path("run/last.safetensors").read_bytes() == Path("whole/last.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--batch", "other=8"), "`batch` is given for `other`, which is none of the trainings of this run"),
        (("--hold", "letters=0"), "0 is not in the range 1<=x"),
        (("--batch", "8", "--batch", "numbers=4"), "`8` names no training, and `--batch` is written several times"),
        (("--model", "letters", "--batch", "letters=8"), "there is one training, so its `batch` has no name"),
    ],
)
def test_numbers_of_trainings_that_are_refused(wsdl: Wsdl, options: tuple[str, ...], said: str) -> None:
    write(ORDERS[0])
    done = wsdl("train", "two.wsd", *DATA, *options, "-o", "run")
    assert done.code in (1, 2)
    assert said in done.err
