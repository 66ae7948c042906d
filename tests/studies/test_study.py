"""`wsdl study`: what it finds, whatever happens on the way; what it refuses."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import wsdl as wsdl_api
from tests.cli.conftest import Done, Wsdl
from tests.cli.conftest import wsdl as wsdl
from tests.golden import ROOT, Golden
from tests.studies.killed import Here
from tests.studies.programs import DEPTHS, TRAIN, in_files, recorded, without_times
from wsdl.cli import execute, study
from wsdl.diagnostics.run_error import RunError
from wsdl.reporting.trials import QuietTrials
from wsdl.runtime.folder_lock import alone_in
from wsdl.runtime.plan import Better
from wsdl.studies import Run, Study, Variant, compare, processes
from wsdl.studies.record import open_record, remove_record, write_record

WHOLE = (*TRAIN, *DEPTHS, "--seeds", "2")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with a study of two variants and two seeds, two trials at a time."""
    folder = tmp_path_factory.mktemp("study")
    in_files(folder)
    with contextlib.chdir(folder):
        assert execute([*WHOLE, "--jobs", "2", "-o", "whole", "--json"]) == 0
    return folder


@pytest.fixture(autouse=True)
def files(wsdl: Wsdl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_files(tmp_path)
    monkeypatch.setattr(compare, "is_installed", lambda: False)  # a picture takes as long as all else


# -- results -----------------------------------------------------------------------------------------------------------


def test_what_is_found(whole: Path, wsdl: Wsdl) -> None:
    """The record; and each result is what `wsdl eval` gives for the weights that are kept."""
    found = recorded(whole / "whole")
    assert found["seeds"] == 2
    assert [v["name"] for v in found["variants"]] == ["base depth=3", "base depth=2"]
    base, other = found["variants"]
    assert (base["parameters"], base["bytes"], base["constants"]) == (99, 396, {"depth": "3"})
    assert base["metrics"]["loss"]["mean"] == pytest.approx(sum(r["metrics"]["loss"] for r in base["runs"]) / 2)
    by_seed = [
        one["metrics"]["loss"] - two["metrics"]["loss"] for one, two in zip(other["runs"], base["runs"], strict=True)
    ]
    assert other["differences"]["loss"]["mean"] == pytest.approx(sum(by_seed) / 2)
    assert base["differences"] == {}
    weights = whole / "whole" / "trials" / "base,depth=2" / "seed-1" / "weights.safetensors"
    again = wsdl("eval", "classify.wsd", "--data", "test.npz", "--weights", weights, "--json").json
    assert again["eval"] == pytest.approx(other["runs"][1]["metrics"])
    assert sorted(os.listdir(weights.parent)) == ["log.jsonl", "weights.safetensors"]


def test_a_finished_study_is_shown_again(whole: Path, wsdl: Wsdl, golden: Golden) -> None:
    shutil.copytree(whole / "whole", "whole")
    record = json.loads(Path("whole/study.json").read_text("utf-8"))
    for run in (run for variant in record["variants"] for run in variant["runs"]):
        run |= {"step_ms": 0.5, "seconds": 1.0}
    Path("whole/study.json").write_text(json.dumps(record), "utf-8")
    done = wsdl(*WHOLE, "-o", "whole", "--resume", "--jobs", "1")
    assert done.code == 0
    golden(GOLDEN / "table.txt", f"{done.err}\n{done.out}")
    told = wsdl(*WHOLE, "-o", "whole", "--resume", "--json").json
    assert told.pop("diagnostics") == []
    assert without_times(told) == recorded("whole")
    assert wsdl(*WHOLE, "-o", "whole", "--resume", "--best", "loss").code == 0  # another picture, no other results


def test_killed_at_any_moment_and_gone_on_with(whole: Path, wsdl: Wsdl) -> None:
    """By SIGKILL, in the course of steps and around the renames of files; with one seed, in one process. Then a second
    seed is added, in processes one after another: the record is that of two at a time."""
    command = [sys.executable, "-m", "tests.studies.killed"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    left = [path.name for path in Path("killed").rglob("*") if path.is_file()]
    assert sorted(left) == ["log.jsonl", "log.jsonl", "study.json", "weights.safetensors", "weights.safetensors"]
    more = wsdl(*WHOLE, "-o", "killed", "--resume", "--jobs", "1")
    assert more.err.startswith("4 trials; 2 done\n3/4  base depth=3, seed 1:")
    assert recorded("killed") == recorded(whole / "whole")


class Interrupting(QuietTrials):
    def step(self, label: str, step: int, steps: int | None, loss: float | None) -> None:
        if loss is not None:  # a step was done
            raise KeyboardInterrupt


LONG = (*TRAIN, "--epochs", "100000", "--seeds", "1", "--jobs", "1", "-o", "long")
TRIAL = Path("long", "trials", "base", "seed-0")


def test_interrupted(wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C lets the trials save."""
    monkeypatch.setattr(study, "trials_shown", Interrupting)
    done = wsdl(*LONG)
    assert (done.code, done.out) == (130, "")
    assert done.err == "stopped after 0 of 1 trials, which are saved in long; --resume continues\n"
    assert (TRIAL / "last.safetensors").exists()


def test_the_processes_of_a_study_end_with_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wsdl", *LONG]
    killed = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: TRIAL.exists() and not is_free(TRIAL), killed)
    killed.kill()
    killed.wait()
    wait_until(lambda: is_free(TRIAL), killed)


def wait_until(condition: Any, study: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, study.poll()
        time.sleep(0.02)


def is_free(folder: Path) -> bool:
    with suppress(RunError), alone_in(folder):
        return True
    return False


def test_a_trial_that_fails_and_an_epoch_that_is_selected(wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "Processes", Here)
    select = ("--select", "select.npz", "--patience", "1")
    done = wsdl(*TRAIN, *select, "--seeds", "1", "--let", "rate=1e30,1e-2", "--jobs", "1", "-o", "study", "--json")
    assert (done.code, done.codes) == (1, ["E0830"])
    failed, good = done.json["variants"]
    assert failed["runs"][0]["failure"]["code"] == "E0830"
    assert (failed["metrics"], failed["step_ms"], good["differences"]) == ({}, None, {})
    assert good["runs"][0]["best_epoch"] in (1, 2)
    weights = "study/trials/base,rate=1e-2/seed-0/weights.safetensors"
    again = wsdl("eval", "classify.wsd", "--data", "test.npz", "--weights", weights, "--batch", "16", "--json").json
    assert again["eval"] == good["runs"][0]["metrics"]


def test_a_process_that_dies(wsdl: Wsdl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its trial has no result, and is tried again when the study goes on."""
    with monkeypatch.context() as patch:
        patch.setattr(processes, "WORKER", "import os; os.kill(os.getpid(), 9)")
        done = wsdl(*TRAIN, "--seeds", "1", "-o", "study")
    assert done.code == 2
    assert (
        "error[E0731]: the trial of `base` with seed 0 failed: the process of this trial was killed by SIGKILL"
        in done.err
    )
    assert wsdl(*TRAIN, "--seeds", "1", "-o", "study", "--resume").code == 0


def test_from_python(whole: Path) -> None:
    shutil.copytree(whole / "whole", "whole")
    options: dict[str, Any] = {"evaluation": "test.npz", "folder": "whole", "epochs": 2, "batch": 16, "resume": True}
    found = wsdl_api.study("classify.wsd", "train.npz", seeds=2, constants={"depth": [3, 2]}, **options)
    assert found["base depth=2"].metrics["loss"].mean > 0
    assert found.differences["base depth=2"]["loss"].seeds == 2
    assert found.files == [Path("whole/study.json")]


def test_a_variant_is_added_to_the_file(whole: Path, wsdl: Wsdl) -> None:
    """What was found of the other programs stays. An error that a value of a constant makes in it says so."""
    shutil.copytree(whole / "whole", "whole")
    with open("classify.wsd", "a", encoding="utf-8") as file:
        file.write("\nvariant bound {\n    limit params 33 * unread\n}\n")
    done = wsdl(*WHOLE, "-o", "whole", "--resume", "--variants", "base")
    assert (done.code, done.err) == (0, "4 trials; 4 done\nwrote whole/study.json\n")
    one = wsdl(*TRAIN, "-o", "one", "--variants", "bound", "--let", "unread=3,2").err
    assert "  = in: the variant `bound`" in one
    assert " │ with unread = 2" in one


def test_only_some_variants_have_an_auxiliary_loss() -> None:
    """What only they report is compared with nothing, nor is the sum that has it; the record holds it."""
    runs = {"base": {"loss": 0.5, "accuracy": 0.75}, "soft": {"loss": 0.75, "accuracy": 0.5, "pull": 0.25}}
    variants = [
        Variant(name, None, {}, "base", 1, 4, name, [Run(seed, {**metrics}) for seed in (0, 1)])
        for name, metrics in runs.items()
    ]
    found = Study({}, {}, 2, Better(), variants)
    assert {name: d.mean for name, d in found.differences["soft"].items()} == {"accuracy": -0.25}
    write_record(Path(), found)
    unknown = replace(found, variants=[replace(variant, runs=()) for variant in variants])
    assert open_record(Path(), unknown, resume=True, replace=False) == found


# -- mistakes ----------------------------------------------------------------------------------------------------------


def test_mistakes(whole: Path, wsdl: Wsdl, golden: Golden) -> None:
    shutil.copytree(whole / "whole", "whole")
    text = Path("classify.wsd").read_text("utf-8")
    Path("untrained.wsd").write_text(text[: text.index("train")], "utf-8")
    Path("wrong.wsd").write_text(text.replace("label)", "lable)", 1), "utf-8")
    Path("damaged").mkdir()
    Path("damaged/study.json").write_text("{}", "utf-8")
    going_on = (*WHOLE, "-o", "whole", "--resume")
    shown = [
        show(wsdl, *arguments)
        for arguments in (
            (*WHOLE, "-o", "whole"),
            (*going_on, "--epochs", "3", "--threads", "2"),
            (*going_on, "--seeds", "1", "--let", "rate=1e-2"),
            (*WHOLE, "-o", "damaged", "--resume"),
            (*TRAIN, "-o", "new", "--let", "dept=3,2"),
            (*TRAIN, "-o", "new", "--let", "unread=3,2"),
            (*TRAIN, "-o", "new", "--let", "depth=3,,2"),
            (*TRAIN, "-o", "new", "--let", "depth"),
            (*TRAIN, "-o", "new", "--let", "depth=2,0"),
            (*TRAIN, "-o", "new", "--select", "test.npz"),
            (*TRAIN, "-o", "new", "--patience", "3"),
            (*TRAIN, "-o", "new", "--best", "acuracy"),
            (*TRAIN, "-o", "new", "--workers", "2", "--jobs", "2"),
            (*TRAIN, "-o", "new", "--workers", "2", "--device", "cuda"),
            (*TRAIN, "-o", "new", "--cluster", "head:6379"),
            ("study", "untrained.wsd", *TRAIN[2:], "-o", "new"),
            ("study", "wrong.wsd", *TRAIN[2:], "-o", "new"),
            ("study", "classify.wsd", "--data", "train.npz", "-o", "new"),
            ("study", "classify.wsd", "--data", "nowhere.npz", "--eval", "test.npz", "-o", "new"),
        )
    ]
    Path("classify.wsd").write_text(text.replace("decay=0.01", "decay=0.02").replace("let u", "# no\nlet u"), "utf-8")
    shown.append(show(wsdl, *going_on))
    golden(GOLDEN / "mistakes.txt", "\n".join(shown))
    assert not Path("new").exists()
    assert recorded("whole") == recorded(whole / "whole")


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: record.clear(),
        lambda record: record.update(program=3),
        lambda record: record.update(seeds=None),
        lambda record: record.update(variants=[{}]),
        lambda record: record["variants"][0].update(runs=[3]),
        lambda record: record["variants"][0]["runs"][0].pop("metrics"),
        lambda record: record["variants"][0]["runs"][0]["metrics"].update(loss=float("nan")),
        lambda record: record["variants"][0]["runs"][0]["metrics"].update(other=1.0),
        lambda record: record["variants"][0]["runs"][0].update(seed="x"),
    ],
)
def test_a_damaged_record(whole: Path, damage: Callable[[dict[str, Any]], object]) -> None:
    record = json.loads((whole / "whole" / "study.json").read_text("utf-8"))
    study = Study(record["program"], record["setup"], 2, Better(), [])
    damage(record)
    Path("study.json").write_text(json.dumps(record), "utf-8")
    with pytest.raises(RunError) as error:
        open_record(Path(), study, resume=True, replace=False)
    assert [(d.code, d.message) for d in error.value.diagnostics] == [("E0727", "this is not the record of a study")]


def test_only_a_study_is_replaced() -> None:
    Path("trials").mkdir()
    remove_record(Path())
    assert Path("trials").exists()


def show(wsdl: Wsdl, *arguments: str) -> str:
    done: Done = wsdl(*arguments)
    assert done.out == ""
    return f"$ wsdl {' '.join(arguments)}\n{done.err}exit code {done.code}\n"
