"""A training on a terminal and in a pipe: what can be read, how often it changes, and what is left behind."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from tests.golden import Golden
from tests.reporting.reports import Clock, plan, reports, tell, tell_one
from tests.reporting.screen import Screen
from wsdl.cli.reporting import shown
from wsdl.reporting.lines import Lines
from wsdl.reporting.meter import Meter, duration
from wsdl.reporting.progress import Progress
from wsdl.reporting.reports import Callback, Callbacks, RunPlan, StepReport, reporting
from wsdl.reporting.sparkline import sparkline

GOLDEN = Path(__file__).parent / "golden"
LAYERS = (
    ("layer", "block", "returns", "parameters", "shared"),
    ("lm.tok", "Embedding", "f32[n, t, 64]", "51,200", "51,200 with lm.head"),
    ("lm.blocks[0:12]", "Block", "f32[n, t, 64]", "10,506", "10,506 12×"),
    ("lm.head", "Dense", "f32[n, t, 800]", "0", "51,200 with lm.tok"),
)


def on_terminal(plan: RunPlan, *, width: int = 100, height: int = 25, **how: Any) -> Screen:
    stream, clock = StringIO(), Clock()
    tell(Progress(stream, width=width, height=height, clock=clock), plan, clock, **how)
    return Screen(stream.getvalue())


def in_pipe(plan: RunPlan, **how: Any) -> str:
    stream, clock = StringIO(), Clock()
    tell(Lines(stream.write, clock=clock), plan, clock, **how)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "plan", "how"),
    [
        ("whole", plan(), {}),
        ("broken_off", plan(first_step=20), {"until": 37}),
        ("not_finite", plan(), {"until": 12, "bad": [12], "evaluate": False}),
        ("narrow", plan(), {"width": 48}),
        ("low", plan(), {"height": 12}),
        ("layers", replace(plan(), layers=LAYERS, totals="61,706 trained (246.8 kB), 0 frozen"), {}),
        ("layers_resumed", replace(plan(first_step=20), layers=LAYERS, totals="not shown"), {"until": 21}),
        ("without_end", plan(None), {"until": 25, "evaluate": False}),
    ],
)
def test_a_terminal(name: str, plan: RunPlan, how: dict[str, Any], golden: Golden) -> None:
    screen = on_terminal(plan, **how)
    assert screen.cursor
    golden(GOLDEN / f"progress_{name}.txt", str(screen))


@pytest.mark.parametrize("width", [8, 20, 33, 60, 79])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    lines = on_terminal(plan(), width=width).lines
    assert max(map(len, lines)) <= width


def test_a_pipe(golden: Golden) -> None:
    golden(GOLDEN / "lines.txt", in_pipe(plan(), seconds=0.5))


def test_lines_become_rare() -> None:
    """Twelve hours of steps of a second."""
    lines = in_pipe(plan(43_200, per_epoch=43_200), evaluate=False, seconds=1.0).splitlines()
    assert len([line for line in lines if line.startswith("step ")]) < 800


def test_no_color_is_without_color() -> None:
    def written(color: bool) -> str:
        stream = StringIO()
        tell(Progress(stream, color=color, width=80, clock=Clock()), plan())
        return stream.getvalue()

    assert "\x1b[34m" in written(True)
    assert "\x1b[34m" not in written(False)


def test_draws_ten_times_a_second() -> None:
    stream, clock = StringIO(), Clock()
    progress = Progress(stream, width=80, clock=clock)
    long = plan(10_000, per_epoch=10_000)
    with reporting(progress, long):
        for report in reports(long, until=2_000, evaluate=False, seconds=0.001):
            tell_one(progress, report, clock)
    assert 15 <= stream.getvalue().count("step") <= 25


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_the_terminal_as_it_was(error: type[BaseException]) -> None:
    stream, before = StringIO(), sys.stderr

    def broken_off() -> None:
        with reporting(Progress(stream, width=80), plan()) as reporter:
            assert not Screen(stream.getvalue()).cursor
            for report in reports(plan(), until=5):
                tell_one(reporter, report)
            raise error

    with pytest.raises(error):
        broken_off()
    screen = Screen(stream.getvalue())
    assert screen.cursor
    assert screen.lines[-1] == ""
    assert sys.stderr is before


def test_others_can_write_above_the_view(capsys: pytest.CaptureFixture[str]) -> None:
    stream = StringIO()
    with reporting(Progress(stream, width=80, clock=Clock()), plan()) as reporter:
        tell_one(reporter, next(reports(plan())))
        reporter.on_note("saved last.safetensors")
        print("a warning", file=sys.stderr)
        print("a result")
    screen = str(Screen(stream.getvalue()))
    assert screen.index("saved last") < screen.index("a warning") < screen.index("epoch 1/5")
    assert capsys.readouterr() == ("a result\n", "")


def test_what_is_not_a_terminal_gets_lines(capsys: pytest.CaptureFixture[str]) -> None:
    tell(shown(), plan())
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "\x1b" not in captured.err
    assert captured.err.count(" eval  ") == 5


@pytest.mark.parametrize(("term", "kind"), [("xterm", Progress), ("dumb", Lines)])
def test_a_terminal_gets_a_live_view(term: str, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", term)
    assert isinstance(shown(), kind)


@pytest.mark.parametrize(
    "make", [lambda: Progress(StringIO(), width=100), lambda: Lines(StringIO().write)], ids=["terminal", "pipe"]
)
def test_costs_little(make: Callable[[], Callback]) -> None:
    """Less than 100 microseconds of CPU a step, for steps of 0.1 ms; it is about 10 on a quiet machine."""
    reporter = make()
    done = list(reports(plan(3_000), evaluate=False))
    with reporting(reporter, plan(3_000)):
        start = time.process_time()
        for report in done:
            assert isinstance(report, StepReport)
            reporter.on_step(report)
        assert (time.process_time() - start) / len(done) < 1e-4


# -- the parts ---------------------------------------------------------------------------------------------------------


def test_speed_and_time_left() -> None:
    """The first step, which takes long, counts for neither; the evaluations count for the time left."""
    clock = Clock()
    meter = Meter(plan(100), clock)
    clock.now = 9.0
    meter.step(StepReport(1, 1, 1.0, {}, 0.1, 64, 9.0))
    assert meter.seconds_left() is None
    clock.now += 2.0  # of which one was an evaluation
    meter.step(StepReport(11, 1, 1.0, {}, 0.1, 640, 10.0))
    assert meter.speed() == pytest.approx(640)
    assert meter.seconds_left() == pytest.approx(89 * 0.2)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (59.7, "1:00"), (750, "12:30"), (11_100, "3:05:00"), (260_000, "3 days")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("values", "width", "text"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], 8, "▁▂▃▄▅▆▇█"),
        ([1, 1, 5, 5], 2, "▁█"),
        ([2, 2, 2], 5, "▁▁▁"),
        ([1e3, 1, 1e-3, 1e-4], 4, "█▅▂▁"),  # by the logarithm
        ([8, float("nan"), 1], 3, "█ ▁"),
        ([float("nan")], 3, " "),
        ([], 3, ""),
        ([1.0], 0, ""),
    ],
)
def test_sparklines(values: list[float], width: int, text: str) -> None:
    assert sparkline(values, width) == text


class Recorder(Callback):
    """Writes down when it begins and ends; may fail at either."""

    def __init__(self, name: str, told: list[str], fails: str = "") -> None:
        self.name, self.told, self.fails = name, told, fails

    def on_begin(self, plan: RunPlan) -> None:
        self._tell("begin")

    def on_note(self, text: str) -> None:
        self._tell("note")

    def on_end(self) -> None:
        self._tell("end")

    def _tell(self, name: str) -> None:
        self.told.append(f"{self.name} {name}")
        if name == self.fails:
            raise OSError(f"{self.name} can't {name}")


def test_all_that_began_are_ended() -> None:
    told: list[str] = []
    several = Callbacks([Recorder("a", told), Recorder("b", told), Recorder("c", told, fails="begin")])
    with pytest.raises(OSError, match="c can't begin"), reporting(several, plan()):
        pass
    assert told == ["a begin", "b begin", "c begin", "b end", "a end"]


def test_one_that_fails_to_end_keeps_none_from_ending() -> None:
    told: list[str] = []
    several = Callbacks([Recorder("a", told), Recorder("b", told, fails="end")])
    with pytest.raises(OSError, match="b can't end"), reporting(several, plan()) as reporter:
        reporter.on_note("text")
    assert told == ["a begin", "b begin", "a note", "b note", "b end", "a end"]
