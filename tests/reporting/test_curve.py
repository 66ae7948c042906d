"""The picture of a training: what is in it, that it stays small, and the same from a log as from the run itself."""

from __future__ import annotations

import sys
from math import isnan, nan
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.reporting.reports import Clock, plan, reports, tell, tell_one
from wsdl.cli.reporting import reporting as reporting_of
from wsdl.reporting.curve import Curve
from wsdl.reporting.json_lines import JsonLines
from wsdl.reporting.numbers import digits, short
from wsdl.reporting.plot import figure, value_range, with_room
from wsdl.reporting.reports import Callbacks, RunPlan, StepReport, reporting
from wsdl.reporting.series import Series

TEXT = "{http://www.w3.org/2000/svg}text"


def drawn(path: Path, plan: RunPlan, **how: Any) -> Figure:
    curve = Curve(path)
    tell(curve, plan, **how)
    return figure(curve.curves(plan))


def panels(drawn: Figure) -> list[tuple[str, str, list[str]]]:
    """Of each panel its title, its scale and what its legend says."""
    return [(a.get_title("left"), a.get_yscale(), a.get_legend_handles_labels()[1]) for a in drawn.axes]


def test_the_panels_tell_where_it_ended(tmp_path: Path) -> None:
    picture = drawn(tmp_path / "curve.svg", plan(2000, per_epoch=200), bad=[7, 8])
    assert panels(picture) == [
        (
            "loss, 2 steps not finite",
            "linear",
            ["training 0.2154", "evaluation 0.2340", "lowest 0.2340 at step 2,000"],
        ),
        ("accuracy 0.9291", "linear", []),
        ("learning rate 5e-4", "linear", []),
    ]
    about = "lm  2,000 steps, 10 epochs, batch 64, 61,706 parameters (123,412 without sharing)"
    texts = [text.text for text in ElementTree.parse(tmp_path / "curve.svg").iter(TEXT)]
    assert about in texts
    assert "2,000" in texts


def test_one_step_and_none_that_is_finite(tmp_path: Path) -> None:
    assert panels(drawn(tmp_path / "curve.svg", plan(1), evaluate=False)) == [("loss", "linear", ["training 0.2153"])]
    never = drawn(tmp_path / "curve.svg", plan(3), bad=[1, 2, 3], evaluate=False)
    assert panels(never)[0] == ("loss, 3 steps not finite", "linear", ["training nan"])
    [marks] = [line for line in never.axes[0].lines if line.get_marker() == "|"]
    assert np.asarray(marks.get_xdata()).tolist() == [1, 2, 3]


def test_a_loss_that_is_not_finite_leaves_a_gap(tmp_path: Path) -> None:
    picture = drawn(tmp_path / "curve.svg", plan(50), bad=[1, 20, 21, 22, 50])
    raw, smooth, *_ = picture.axes[0].lines
    for line in (raw, smooth):
        assert {step for step, value in np.asarray(line.get_xydata()) if isnan(value)} == {1, 20, 21, 22, 50}


def test_a_wide_range_is_logarithmic(tmp_path: Path) -> None:
    losses, path = Curve(tmp_path / "curve.svg"), plan(40)
    with reporting(losses, path):
        for step in range(1, 41):
            losses.on_step(StepReport(step, 1, 10 ** (-step / 10), {}, 1e-3, 64, 0.0))
    picture = figure(losses.curves(path))
    assert panels(picture) == [("loss, log scale", "log", ["training 1.09e-4"])]


@pytest.mark.parametrize(("first", "last"), [(9e5, 5e5), (-7e5, -9e5), (3e-4, 1e-4), (-1e-4, -4e-4), (9e-11, 1e-12)])
def test_the_margin_has_room_for_all_values(first: float, last: float, tmp_path: Path) -> None:
    losses, path = Curve(tmp_path / "curve.svg"), plan(2)
    with reporting(losses, path):
        for step, loss in enumerate((first, last), start=1):
            losses.on_step(StepReport(step, 1, loss, {}, 1e-3, 64, 0.0))
    picture = figure(losses.curves(path))
    picture.draw_without_rendering()
    labels = [text for text in picture.axes[0].get_yticklabels(which="both") if text.get_text()]
    assert labels
    assert min(label.get_window_extent().x0 for label in labels) > 0


def test_a_long_training_is_a_small_picture(tmp_path: Path) -> None:
    picture = drawn(tmp_path / "curve.svg", plan(50_000, per_epoch=100))
    assert (tmp_path / "curve.svg").stat().st_size < 120_000
    assert 300 < len(np.asarray(picture.axes[0].lines[0].get_xdata())) <= 1200


def test_names_are_text(tmp_path: Path) -> None:
    drawn(tmp_path / "curve.svg", plan(3, model="a<b&$c_d$"))
    texts = [text.text or "" for text in ElementTree.parse(tmp_path / "curve.svg").iter(TEXT)]
    assert any(text.startswith("a<b&$c_d$  3 steps") for text in texts)


def test_a_resumed_run_draws_what_one_run_would_have(tmp_path: Path) -> None:
    for folder, runs in (("whole", [(plan(), 50)]), ("parts", [(plan(), 37), (plan(first_step=30), 50)])):
        for part, until in runs:
            curve = Curve(tmp_path / folder / "curve.svg")
            tell(Callbacks([curve, JsonLines(tmp_path / folder / "log.jsonl")]), part, until=until)
    assert (tmp_path / "parts" / "curve.svg").read_bytes() == (tmp_path / "whole" / "curve.svg").read_bytes()


def test_is_drawn_at_evaluations_but_not_at_each_of_them(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "curve.svg"
    curve = Curve(path, clock=clock, seconds=1.5)
    seen = []
    with reporting(curve, plan()):
        for report in reports(plan(), seconds=0.1):
            tell_one(curve, report, clock)
            if not isinstance(report, StepReport):
                seen.append(path.exists() and "40 steps" in path.read_text("utf-8"))
    assert seen == [False, False, False, True, True]
    assert "50 steps" in path.read_text("utf-8")


def test_nothing_to_draw_is_no_picture(tmp_path: Path) -> None:
    tell(Curve(tmp_path / "curve.svg"), plan(), until=0)
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_there_is_no_picture_and_a_line_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    tell(Callbacks(reporting_of(tmp_path)), plan())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log.jsonl"]
    said = capsys.readouterr().err
    assert "\nno curve.svg, as matplotlib is not installed: pip install 'wsdl[plot]'\n" in said


# -- ranges ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "outliers", "low", "high"),
    [
        ([], [], 0, 1.05),
        ([5, 5], [], 4.945, 5.055),  # not a tiny difference blown up
        ([0, 0], [], 0, 0.55),
        ([0.1, 2.1], [], 0, 2.2),
        ([0.9, 0.94], [], 0.898, 0.942),
        ([], [*range(1, 100), 1e6], 0, 103.85),  # the one far outside isn't shown
    ],
)
def test_what_an_axis_shows(values: list[float], outliers: list[float], low: float, high: float) -> None:
    assert with_room(*value_range(values, outliers=outliers)) == pytest.approx((low, high))


@pytest.mark.parametrize(
    ("value", "few", "four"),
    [
        (0.0, "0", "0"),
        (1.07, "1.07", "1.070"),
        (12.5, "12.5", "12.50"),
        (0.0005, "5e-4", "5e-4"),
        (-1234.0, "-1,234", "-1,234"),
        (123_456.0, "123.5k", "123.5k"),
        (2.5e9, "2.5G", "2.5G"),
        (1.5e20, "1.5e20", "1.5e20"),
        (nan, "nan", "nan"),
        (float("-inf"), "-inf", "-inf"),
    ],
)
def test_numbers_in_few_characters(value: float, few: str, four: str) -> None:
    assert (short(value), digits(value)) == (few, four)


# -- series ------------------------------------------------------------------------------------------------------------


def test_few_numbers_are_kept_as_they_are() -> None:
    series = Series(4)
    for step, value in enumerate([3.0, nan, 1.0, 2.0], start=1):
        series.add(step, value)
    assert [p for p in series.raw() if not isnan(p[1])] == [(1, 3.0), (3, 1.0), (4, 2.0)]
    assert series.not_finite == 1


def test_many_numbers_keep_their_extremes_and_their_mean() -> None:
    series = Series(4)
    for step in range(1, 1001):
        series.add(step, {400: 99.0, 401: -99.0, 700: nan}.get(step, step / 1000))
    assert len(series.buckets) <= 8
    raw = [value for _, value in series.raw()]
    assert raw.index(99.0) < raw.index(-99.0)
    assert sum(b.count for b in series.buckets) == 999
    assert (series.buckets[0].first, series.buckets[-1].last) == (1, 1000)
    assert [a.last + 1 for a in series.buckets[:-1]] == [b.first for b in series.buckets[1:]]


def test_the_smoothed_line_follows_a_straight_one() -> None:
    series = Series()
    for step in range(1, 5001):
        series.add(step, 3 + step + (-1) ** step)
    middle = [(step, value) for step, value in series.smooth() if 500 < step < 4500]
    assert all(value == pytest.approx(3 + step, abs=0.5) for step, value in middle)
