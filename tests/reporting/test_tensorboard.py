"""Event files, read back record by record; and what is said where the package is missing."""

from __future__ import annotations

import logging
import struct
import sys
from collections.abc import Iterator
from math import isnan
from pathlib import Path
from unittest import TestCase

import pytest

from tests.reporting.reports import Clock, plan, tell
from wsdl.diagnostics.render import render
from wsdl.diagnostics.run_error import RunError
from wsdl.reporting.tensorboard import TensorBoard

Scalar = tuple[str, int, float]


def events(folder: Path) -> Iterator[object]:
    """The events of all files: each record is its length, a checksum of that, the event, a checksum of it."""
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(folder.glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:
            [length] = struct.unpack("<Q", data[:8])
            event = Event()
            event.ParseFromString(data[12 : 12 + length])
            yield event
            data = data[16 + length :]


def scalars(folder: Path) -> list[Scalar]:
    return [(v.tag, e.step, v.simple_value) for e in events(folder) for v in e.summary.value]  # type: ignore[attr-defined] # protobuf


@pytest.fixture
def _package() -> None:
    pytest.importorskip("tensorboardX", reason="the extra `tensorboard` is not installed")


@pytest.mark.usefixtures("_package")
def test_loss_and_metrics_of_both_kinds(tmp_path: Path) -> None:
    tell(TensorBoard(tmp_path), plan(4, per_epoch=2), bad=[3])
    found = scalars(tmp_path)
    assert {tag for tag, _, _ in found} == {
        "loss/training", "loss/evaluation", "accuracy/training", "accuracy/evaluation", "lr",
    }  # fmt: skip
    losses = {step: value for tag, step, value in found if tag == "loss/training"}
    assert sorted(losses) == [1, 2, 3, 4]
    assert [step for step, loss in losses.items() if isnan(loss)] == [3]
    assert [(tag, step) for tag, step, _ in found if tag == "lr"] == [("lr", step) for step in (1, 2, 3, 4)]


@pytest.mark.usefixtures("_package")
def test_a_nan_is_shown_and_not_warned_of(tmp_path: Path) -> None:
    with TestCase().assertNoLogs(level=logging.WARNING):
        tell(TensorBoard(tmp_path), plan(2), bad=[1])


@pytest.mark.usefixtures("_package")
def test_a_resumed_run_hides_the_steps_that_are_done_again(tmp_path: Path) -> None:
    tell(TensorBoard(tmp_path), plan(first_step=30), until=31)
    [start] = [e for e in events(tmp_path) if e.HasField("session_log")]  # type: ignore[attr-defined] # protobuf
    assert start.step == 31  # type: ignore[attr-defined] # protobuf


@pytest.mark.usefixtures("_package")
def test_of_many_fast_steps_some_are_written(tmp_path: Path) -> None:
    clock = Clock()
    tell(TensorBoard(tmp_path, clock=clock), plan(3000), clock, evaluate=False, seconds=0.001)
    steps = [step for tag, step, _ in scalars(tmp_path) if tag == "loss/training"]
    assert steps[:1000] == list(range(1, 1001))
    assert 18 <= len(steps) - 1000 <= 22


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(RunError) as raised:
        TensorBoard(tmp_path)
    assert render(raised.value.diagnostics) == (
        "error[E0781]: writing for TensorBoard requires the package tensorboardX, which is not installed\n"
        "   = help: `pip install 'wsdl[tensorboard]'` installs it; `log.jsonl` has the same values\n"
        "   = see: wsdl explain E0781\n\n1 error\n"
    )
