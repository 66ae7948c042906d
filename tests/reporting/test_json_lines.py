"""The log of a training: a line a step, whole after a kill, and without gaps or repeats after a resumed run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from math import inf, isnan, nan
from pathlib import Path

import pytest

from tests.reporting.reports import Clock, plan, reports, tell, tell_one
from wsdl.reporting.json_lines import JsonLines, read_log
from wsdl.reporting.reports import EvaluationReport, StepReport, reporting

STEP = StepReport(step=1, epoch=1, loss=2.5, metrics={"accuracy": 0.5}, lr=1e-3, examples=64, seconds=0.123456)


def test_a_line_a_step_and_one_an_evaluation(tmp_path: Path) -> None:
    log = JsonLines(tmp_path / "run" / "log.jsonl")
    with reporting(log, plan()):
        log.on_step(STEP)
        log.on_eval(EvaluationReport(1, 1, {"loss": 2.25, "größe": 0.5}, is_best=True))
    assert (tmp_path / "run" / "log.jsonl").read_text("utf-8") == (
        '{"step": 1, "epoch": 1, "loss": 2.5, "lr": 0.001, "seconds": 0.1235}\n'
        '{"step": 1, "epoch": 1, "eval": {"loss": 2.25, "größe": 0.5}}\n'
    )


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_what_is_not_finite_is_null(value: float, tmp_path: Path) -> None:
    log = JsonLines(tmp_path / "log.jsonl")
    with reporting(log, plan()):
        log.on_step(StepReport(1, 1, value, {}, value, 64, 0.1))
        log.on_eval(EvaluationReport(1, 1, {"loss": value}, is_best=False))

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    step, evaluation = (
        json.loads(line, parse_constant=refuse) for line in (tmp_path / "log.jsonl").read_text().splitlines()
    )
    assert (step["loss"], step["lr"], evaluation["eval"]) == (None, None, {"loss": None})
    read, _ = read_log(tmp_path / "log.jsonl")
    assert isnan(read.loss)


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    log = JsonLines(tmp_path / "log.jsonl")
    with reporting(log, plan()):
        log.on_step(StepReport(1, 1, numpy.float64(2.5), {}, numpy.float32(0.5), 64, 0.1))
    assert [(line.loss, line.lr) for line in read_log(tmp_path / "log.jsonl")] == [(2.5, 0.5)]


def test_a_resumed_run_writes_what_one_run_would_have(tmp_path: Path) -> None:
    tell(JsonLines(tmp_path / "whole.jsonl"), plan())
    # Broken off behind step 37, with half a line; the checkpoint was of step 30.
    log = JsonLines(tmp_path / "log.jsonl")
    tell(log, plan(), until=37)
    with open(tmp_path / "log.jsonl", "a") as file:
        file.write('{"step": 3')
    tell(log, plan(first_step=30))
    assert (tmp_path / "log.jsonl").read_text() == (tmp_path / "whole.jsonl").read_text()


def test_an_evaluation_that_is_done_again_is_logged_once(tmp_path: Path) -> None:
    """The checkpoint was of step 30, and written before the evaluation at step 30."""
    log = JsonLines(tmp_path / "log.jsonl")
    tell(log, plan(), until=30)
    before = (tmp_path / "log.jsonl").read_text()
    with reporting(log, plan(first_step=30)):
        log.on_eval(EvaluationReport(30, 3, {"loss": 9.0}, is_best=False))
    assert (tmp_path / "log.jsonl").read_text() == before


def test_a_fresh_run_replaces_the_log(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 900}\n')
    tell(JsonLines(tmp_path / "log.jsonl"), plan(), until=1)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 1


def test_a_resumed_run_may_have_lost_its_log(tmp_path: Path) -> None:
    tell(JsonLines(tmp_path / "log.jsonl"), plan(first_step=45))
    assert [line.step for line in read_log(tmp_path / "log.jsonl")] == [46, 47, 48, 49, 50, 50]


def test_lines_go_to_the_file_each_second_and_when_asked(tmp_path: Path) -> None:
    clock = Clock()
    log = JsonLines(tmp_path / "log.jsonl", clock=clock)

    def written() -> int:
        return len((tmp_path / "log.jsonl").read_text().splitlines())

    with reporting(log, plan()):
        seen = []
        for report in reports(plan(), until=8, evaluate=False, seconds=0.3):
            tell_one(log, report, clock)
            seen.append(written())
        assert seen == [0, 0, 0, 4, 4, 4, 4, 8]
        log.on_step(STEP)
        assert written() == 8
        log.on_save()
        assert written() == 9


def test_a_killed_process_leaves_whole_lines(tmp_path: Path) -> None:
    program = f"""
import os, signal, time
from tests.reporting.reports import plan, reports
from wsdl.reporting.json_lines import JsonLines
log = JsonLines({os.fspath(tmp_path / "log.jsonl")!r})
log.on_begin(plan(10_000))
for report in reports(plan(10_000), until=5_000, evaluate=False):
    log.on_step(report)
log.on_save()
log.on_step(report)
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", program], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [line.step for line in read_log(tmp_path / "log.jsonl")] == list(range(1, 5_001))


def test_lines_that_are_none_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(
        b'{"step": 1, "epoch": 1, "loss": 2.0, "lr": 0.1, "seconds": 0}\n\n[1]\n{"step": "x"}\n\xff\xfe\n'
        b'{"step": 1e999}\n'
        b'{"step": 2, "eval": 3}\n{"step": 3, "epoch": 1, "eval": {"loss": 1.5}}\n{"step": 4, "loss": 1, "lr": 1}'
    )
    assert [line.step for line in read_log(tmp_path / "log.jsonl")] == [1, 3]
