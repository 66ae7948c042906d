"""`wsdl train` and `wsdl eval`: what is written, going on bit for bit, being stopped at any moment, what is refused."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from safetensors.numpy import load_file

import wsdl as wsdl_api
from tests.cli.conftest import Done, Wsdl
from tests.forks import Forks
from tests.runtime.training import CLASSIFY, data, in_files, program
from wsdl.diagnostics import CompileError
from wsdl.diagnostics.run_error import RunError
from wsdl.runtime.checkpoint import read_checkpoint
from wsdl.runtime.folder_lock import alone_in
from wsdl.weights.open_source import open_source

TRAIN = ("train", "classify.wsd", "--data", "train.npz", "--batch", "16", "--epochs", "3")


@pytest.fixture(autouse=True)
def files(wsdl: Wsdl, tmp_path: Path) -> None:
    in_files(tmp_path)


def same(one: str | Path, other: str | Path) -> bool:
    return Path(one).read_bytes() == Path(other).read_bytes()


def logged(run: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in Path(run, "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


# -- a run -------------------------------------------------------------------------------------------------------------


def test_what_a_run_leaves(wsdl: Wsdl) -> None:
    done = wsdl(*TRAIN, "--eval", "test.npz", "-o", "run")
    assert done.code == 0
    assert done.out.startswith("classify: 21 steps; loss ")
    assert done.err.startswith(
        "classify: 99 parameters (171 without sharing), 21 steps, 3 epochs, batch 16\n"
        "epoch 1/3  step 7/21  train  loss "
    )
    assert done.err.endswith(
        "wrote run/last.safetensors, run/best.safetensors, run/log.jsonl, run/curve.svg\n"
        "next: wsdl compile classify.wsd --weights run/best.safetensors -o build\n"
    )
    assert sorted(os.listdir("run")) == ["best.safetensors", "curve.svg", "last.safetensors", "log.jsonl"]
    assert len(logged("run")) == 21 + 3
    assert load_file("run/best.safetensors").keys() == {
        f"classify.{n}" for n in ("blocks.0.inner.weight", "blocks.0.inner.bias", "head.weight", "head.bias")
    }
    again = wsdl("eval", "classify.wsd", "--data", "test.npz", "--weights", "run/last.safetensors")
    assert done.out == f"classify: 21 steps; {again.out}"
    assert again.err == ""


def test_json(wsdl: Wsdl) -> None:
    told = wsdl(*TRAIN, "--eval", "test.npz", "-o", "run", "--json").json
    assert (told["model"], told["steps"], told["epochs"], told["skipped"]) == ("classify", 21, 3, 0)
    assert told["best"]["step"] in (7, 14, 21)
    answer = wsdl("eval", "classify.wsd", "--data", "test.npz", "--weights", "run/last.safetensors", "--json").json
    assert answer["eval"] == pytest.approx(told["eval"])


def test_the_same_seed_gives_the_same_bytes(wsdl: Wsdl) -> None:
    for run, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert wsdl(*TRAIN, "-o", run, "--seed", seed).code == 0
    assert same("a/last.safetensors", "b/last.safetensors")
    assert not same("a/last.safetensors", "c/last.safetensors")


def test_a_dry_run_writes_nothing(wsdl: Wsdl) -> None:
    there = set(os.listdir())
    done = wsdl(*TRAIN, "--eval", "test.npz", "--dry-run")
    assert done.code == 0
    assert done.out.startswith("dry run: classify trains on this data; loss ")
    assert set(os.listdir()) == there


def test_parts_of_a_batch_change_nothing_but_rounding(wsdl: Wsdl) -> None:
    wsdl(*TRAIN, "-o", "whole")
    wsdl(*TRAIN, "-o", "parts", "--accumulate", "4")
    for name, array in load_file("whole/last.safetensors").items():
        np.testing.assert_allclose(load_file("parts/last.safetensors")[name], array, rtol=1e-3, atol=1e-5, err_msg=name)


def test_checkpoints_that_are_kept(wsdl: Wsdl) -> None:
    wsdl(*TRAIN, "-o", "run", "--save-every", "5", "--keep", "2")
    kept = [name for name in sorted(os.listdir("run")) if name.startswith("step-")]
    assert kept == ["step-00000020.safetensors", "step-00000021.safetensors"]
    assert same("run/step-00000021.safetensors", "run/last.safetensors")


def test_weights_to_start_from(wsdl: Wsdl) -> None:
    wsdl(*TRAIN, "-o", "run")
    wsdl(*TRAIN, "-o", "more", "--weights", "run/last.safetensors", "--limit-steps", "1")
    trained = open_source("run/last.safetensors")
    weights = {name: trained.read(name) for name in trained.names if not name.startswith("optimizer/")}
    dropped, *kept = sorted(weights)
    np.savez("some.npz", **{name: weights[name] for name in kept})
    assert wsdl(*TRAIN, "-o", "some", "--weights", "some.npz", "--limit-steps", "1").code == 1
    assert wsdl(*TRAIN, "-o", "some", "--weights", "some.npz", "--limit-steps", "1", "--partial").code == 0
    first = [logged(run)[0]["loss"] for run in ("run", "some", "more")]
    assert first[0] > first[1] > first[2], dropped


# -- going on ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "stops"),
    [((), (1, 7, 9, 20, 21)), (("--accumulate", "3"), (7, 9))],
    ids=["whole", "parts"],
)
def test_a_run_goes_on_bit_for_bit(wsdl: Wsdl, more: tuple[str, ...], stops: tuple[int, ...]) -> None:
    """Stopped after the first step, at the end of an epoch and within one, before the last step and after it."""
    wsdl(*TRAIN, *more, "-o", "whole")
    for steps in stops:
        run = f"run_{steps}"
        wsdl(*TRAIN, *more, "-o", run, "--limit-steps", str(steps))
        assert len(logged(run)) == steps
        done = wsdl("train", "classify.wsd", "--data", "train.npz", "-o", run, "--resume")
        assert done.code == 0
        assert same(f"{run}/last.safetensors", "whole/last.safetensors")
        assert logged(run) == logged("whole")


LONG = ("train", "classify.wsd", "--data", "train.npz", "--batch", "4", "--epochs", "400", "--save-every", "100")


def running(forks: Forks, run: str, steps: int = 150) -> int:
    """A long training that has come so far, as a process of this number."""
    process = forks.start(Path.cwd(), *LONG, "-o", run)
    end = time.monotonic() + 60
    while not Path(run, "last.safetensors").exists() or len(logged_so_far(run)) < steps:
        os.kill(process, 0)  # it has not ended
        assert time.monotonic() < end
        time.sleep(0.02)
    return process


def logged_so_far(run: str) -> list[str]:
    path = Path(run, "log.jsonl")
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_saves_first(wsdl: Wsdl, forks: Forks, number: signal.Signals) -> None:
    """Until then no other training writes to the folder."""
    process = running(forks, "run")
    error = refused(wsdl(*TRAIN, "-o", "run", "--replace"))
    assert f"error[E0725]: another training is writing to this folder: process {process}, since 20" in error
    assert f"stop it (`kill {process}` lets it save first)" in error
    os.kill(process, number)
    status, said, _ = forks.wait(Path.cwd())
    steps = len(logged("run"))
    stopped = f"stopped after step {steps}, which is saved in run/last.safetensors; --resume continues it"
    assert (status, said.splitlines()[-1]) == (130, stopped)
    assert load_file("run/last.safetensors")["optimizer/step"] == steps
    done = wsdl(
        "train", "classify.wsd", "--data", "train.npz", "-o", "run", "--resume", "--limit-steps", str(steps + 40)
    )
    assert done.code == 0
    wsdl(*LONG, "-o", "whole", "--limit-steps", str(steps + 40))
    assert same("run/last.safetensors", "whole/last.safetensors")


def test_being_killed_loses_no_more_than_the_steps_since_the_last_checkpoint(wsdl: Wsdl, forks: Forks) -> None:
    for moment in (0.02, 0.2):
        process = running(forks, "run")
        time.sleep(moment)
        os.kill(process, signal.SIGKILL)
        assert forks.wait(Path.cwd())[0] == -signal.SIGKILL
        assert Path("run/.lock").exists()  # of a process that is gone, so that it holds nobody up
        saved = int(load_file("run/last.safetensors")["optimizer/step"].item())
        assert saved % 25 == 0  # an epoch has 25 steps
        done = wsdl(
            "train", "classify.wsd", "--data", "train.npz", "-o", "run", "--resume", "--limit-steps", str(saved + 9)
        )
        assert (done.code, load_file("run/last.safetensors")["optimizer/step"].item()) == (0, saved + 9)
        assert not Path("run/.lock").exists()
        wsdl(*LONG, "-o", "whole", "--limit-steps", str(saved + 9), "--replace")
        assert same("run/last.safetensors", "whole/last.safetensors")
        assert logged("run") == logged("whole")
        for path in Path("run").iterdir():
            path.unlink()


def test_a_full_disk_keeps_what_was_saved(wsdl: Wsdl) -> None:
    """The limit on the size of a file stands for it: the first checkpoint fits, one with more in it doesn't."""
    wsdl(*TRAIN, "-o", "run", "--limit-steps", "7")
    before = Path("run/last.safetensors").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) - 1, hard))
    try:
        done = wsdl("train", "classify.wsd", "--data", "train.npz", "-o", "run", "--resume")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (done.code, done.out) == (2, "")
    assert "error[E0703]: can't write this file: file too large" in done.err
    assert Path("run/last.safetensors").read_bytes() == before
    assert not [name for name in os.listdir("run") if name.endswith(".part")]


def test_what_a_killed_process_left_is_cleared_away(wsdl: Wsdl) -> None:
    wsdl(*TRAIN, "-o", "run", "--limit-steps", "1")
    Path("run/.last.safetensors.abc.part").write_bytes(b"half a file")
    wsdl("train", "classify.wsd", "--data", "train.npz", "-o", "run", "--resume")
    assert not [name for name in os.listdir("run") if name.endswith(".part")]


# -- data --------------------------------------------------------------------------------------------------------------


def test_every_kind_of_data_gives_the_same(wsdl: Wsdl) -> None:
    rows = data()
    Path("folder").mkdir()
    for name, array in rows.items():
        np.save(f"folder/{name}.npy", array)
    names = [*(f"x.{i}" for i in range(8)), "label"]
    lines = [
        ",".join([*map(repr, map(float, x)), str(label)]) for x, label in zip(rows["x"], rows["label"], strict=True)
    ]
    Path("table.csv").write_text("\n".join([",".join(names), *lines]))
    columns = {"x": list(rows["x"]), "label": rows["label"]}
    pyarrow.parquet.write_table(pyarrow.table(columns), "table.parquet")
    wsdl(*TRAIN, "-o", "npz")
    for kind in ("folder", "table.csv", "table.parquet"):
        arguments = [kind if a == "train.npz" else a for a in TRAIN]
        assert wsdl(*arguments, "-o", f"of_{kind}").code == 0
        assert same("npz/last.safetensors", f"of_{kind}/last.safetensors")


# -- what is refused ---------------------------------------------------------------------------------------------------


def refused(done: Done) -> str:
    assert done.code in (1, 2)
    assert done.out == ""
    return done.err


def test_a_changed_program(wsdl: Wsdl) -> None:
    wsdl(*TRAIN, "-o", "run", "--limit-steps", "3")
    before = Path("run/last.safetensors").read_bytes()
    Path("classify.wsd").write_text("# the same\n" + CLASSIFY.replace("    loss", "    # a comment\n    loss"))
    assert wsdl("train", "classify.wsd", "--data", "train.npz", "-o", "run", "--resume", "--limit-steps", "3").code == 0
    changed = CLASSIFY.replace("1e-2", "2e-2").replace("layer head", "layer norm = LayerNorm()\n    layer head")
    Path("classify.wsd").write_text(changed)
    done = wsdl("train", "classify.wsd", "--data", "train.npz", "-o", "run", "--resume")
    assert refused(done) == (
        "error[E0721]: the program has changed since this checkpoint was written\n"
        "   ╭─ run/last.safetensors\n"
        "   │ classify.wsd: + layer norm = LayerNorm()\n"
        "   │ classify.wsd: - optimizer AdamW(lr=cosine(1e-2, warmup=5), weight_decay=0.01)\n"
        "   │ classify.wsd: + optimizer AdamW(lr=cosine(2e-2, warmup=5), weight_decay=0.01)\n"
        "   = help: resume with the program as it was, "
        "or start a new run with `--weights` in another folder\n"
        "   = see: wsdl explain E0721\n\n1 error\n"
    )
    assert Path("run/last.safetensors").read_bytes() == before


def test_other_settings_and_other_data(wsdl: Wsdl) -> None:
    wsdl(*TRAIN, "-o", "run", "--limit-steps", "3")
    resume = ("train", "classify.wsd", "-o", "run", "--resume")
    done = wsdl(*resume, "--data", "train.npz", "--batch", "8", "--seed", "4")
    assert refused(done) == (
        "error[E0723]: this training was started with other settings\n"
        "   ╭─ run/last.safetensors\n"
        "   │ batch: 16 then, 8 now\n"
        "   │ seed: 0 then, 4 now\n"
        "   = help: a run resumes with its own settings; options that are left out are taken from the checkpoint\n"
        "   = see: wsdl explain E0723\n\n1 error\n"
    )
    done = wsdl(*resume, "--data", "test.npz")
    assert "this training was started on data with 100 rows, but this data has 50" in refused(done)
    done = wsdl(*resume, "--data", "train.npz", "--epochs", "9")
    assert "this training was started for 3 epochs, on which its learning rates depend" in refused(done)


def test_other_data_of_as_many_rows(wsdl: Wsdl) -> None:
    wsdl(*TRAIN, "-o", "run", "--limit-steps", "3")
    rows = data()
    rows["x"][99, 7] += 1
    np.savez("train.npz", **rows)
    assert refused(wsdl("train", "classify.wsd", "--data", "train.npz", "-o", "run", "--resume")) == (
        "error[E0723]: this training was started on other data, with the same number of rows\n"
        "   ╭─ run/last.safetensors\n"
        "   = help: a run resumes only with the same data, in the same order\n"
        "   = see: wsdl explain E0723\n\n1 error\n"
    )


def test_no_bit_of_a_checkpoint_may_change(wsdl: Wsdl) -> None:
    wsdl(*TRAIN, "-o", "run", "--limit-steps", "3")
    last = Path("run/last.safetensors")
    whole = last.read_bytes()
    for bit in np.random.default_rng(0).choice(8 * len(whole), 200, replace=False).tolist():
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        last.write_bytes(flipped)
        with pytest.raises(CompileError):
            read_checkpoint(last)


# -- two at a time -----------------------------------------------------------------------------------------------------


def test_two_trainings_in_one_process(tmp_path: Path) -> None:
    with alone_in(tmp_path / "run"):
        Path(tmp_path, "run", ".lock").write_text("no JSON")
        with pytest.raises(RunError, match="another training is writing to this folder: another process"):
            wsdl_api.fit(program().trainer(), data(), folder=tmp_path / "run")
    assert not Path(tmp_path, "run").exists()


def test_a_folder_that_holds_a_training(wsdl: Wsdl) -> None:
    wsdl(*TRAIN, "-o", "run", "--limit-steps", "3")
    assert refused(wsdl(*TRAIN, "-o", "run")) == (
        "error[E0724]: this folder holds a training already\n"
        "   ╭─ run\n"
        "   = help: `--resume` continues it, `--replace` overwrites it\n"
        "   = see: wsdl explain E0724\n\n1 error\n"
    )
    assert wsdl(*TRAIN, "-o", "run", "--replace").code == 0
    with pytest.raises(RunError, match="this folder holds a training already"):
        wsdl_api.fit(program().trainer(), data(), folder="run")
    wsdl_api.fit(program().trainer(), data(), folder="run", replace=True)


@pytest.mark.parametrize("damage", ["weights", "cut", "text"])
def test_no_checkpoint(wsdl: Wsdl, damage: str) -> None:
    wsdl(*TRAIN, "--eval", "test.npz", "-o", "run", "--limit-steps", "3")
    last = Path("run/last.safetensors")
    if damage == "weights":
        os.replace("run/best.safetensors", last)
    else:
        last.write_bytes(last.read_bytes()[:-100] if damage == "cut" else b"not this")
    done = wsdl("train", "classify.wsd", "--data", "train.npz", "-o", "run", "--resume")
    if damage == "weights":
        assert refused(done) == (
            "error[E0722]: this file has weights, but is not a checkpoint of a training\n"
            "   ╭─ run/last.safetensors\n"
            "   = help: `--weights` starts a new training from weights\n"
            "   = see: wsdl explain E0722\n\n1 error\n"
        )
    else:
        assert "error[E0501]" in refused(done)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "an output folder is missing"),
        (
            ("-o", "run", "--resume", "--weights", "w.npz"),
            "`--resume` and `--weights` exclude each other",
        ),
        (("-o", "run", "--patience", "3"), "`--patience` counts evaluations, and there are none"),
        (("-o", "run", "--best", "acuracy"), "there is no metric `acuracy` to select the best weights by"),
        (("-o", "run", "--best", "loss:least"), "`loss:least` is not a metric with `:min` or `:max`"),
        (("-o", "run", "--eval", "nowhere.npz"), "the data can't be read: no such file or directory"),
        (("-o", "classify.wsd/run"), "can't write this file: not a directory"),
        (("-o", "run", "--model", "clasify"), "there is no model `clasify`"),
    ],
)
def test_options_that_make_no_sense(wsdl: Wsdl, arguments: tuple[str, ...], message: str) -> None:
    done = wsdl(*TRAIN, *arguments)
    assert done.code == 2
    assert message in done.err
    assert not Path("run").exists()


def test_a_program_that_is_not_trained(wsdl: Wsdl) -> None:
    for verb in (("train", "-o", "run"), ("eval",)):
        done = wsdl(verb[0], "tied.wsd", "--data", "train.npz", *verb[1:])
        assert done.code == 1
        assert "there is no `train` declaration for `m`" in done.err


def test_data_that_do_not_fit(wsdl: Wsdl) -> None:
    np.savez("short.npz", x=data()["x"])
    np.savez("wide.npz", x=data()["x"].astype("f8"), label=data()["label"])
    assert "`label` is missing from the data" in refused(
        wsdl("train", "classify.wsd", "--data", "short.npz", "-o", "r")
    )
    for given in (["--data", "wide.npz"], ["--data", "train.npz", "--eval", "wide.npz"]):
        told = refused(wsdl("train", "classify.wsd", *given, "-o", "r"))
        assert "`x` is f64, but must be f32[n, 8]" in told
        assert "wide.npz" in told
    assert not Path("r").exists()


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(wsdl: Wsdl) -> None:
    rows = data()
    rows["x"][40] = np.nan
    np.savez("train.npz", **rows)
    done = wsdl(*TRAIN, "-o", "run", "--save-every", "1")
    assert done.code == 1
    assert "error[E0830]: the loss of step" in done.err
    assert "`x` of the batch has 8 elements that are not finite" in done.err
    steps = len(logged("run"))
    assert load_file("run/last.safetensors")["optimizer/step"] == steps
    done = wsdl("train", "classify.wsd", "--data", "train.npz", "-o", "run", "--resume", "--on-nan", "skip")
    assert done.out.splitlines()[-1] == "3 batches skipped: the loss or a gradient was not finite"
