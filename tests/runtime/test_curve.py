"""The picture of a training: what is in it, that it stays small, and the same from a log as from the run itself."""

from __future__ import annotations

import re
from math import isnan, nan
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.golden import Golden
from tests.runtime.reports import Clock, plan, reports, tell, tell_one
from wsdl.runtime.reporting.axes import Axis, digits, short, value_axis
from wsdl.runtime.reporting.curve import Curve
from wsdl.runtime.reporting.json_lines import JsonLines
from wsdl.runtime.reporting.reports import RunPlan, Several, StepReport, reporting
from wsdl.runtime.reporting.series import Series

GOLDEN = Path(__file__).parent / "golden"
SVG = "{http://www.w3.org/2000/svg}"


def drawn(path: Path, plan: RunPlan, **how: object) -> str:
    tell(Curve(path), plan, **how)
    return path.read_text("utf-8")


def words(svg: str) -> list[str]:
    """The headings, each with what stands beside it."""
    headings = [text for text in ElementTree.fromstring(svg).iter(f"{SVG}text") if len(text)]
    return ["  ".join(part.text or "" for part in heading) for heading in headings]


@pytest.mark.parametrize(
    ("name", "steps", "how"),
    [
        ("one_step", 1, {"evaluate": False}),
        ("fifty_steps", 50, {}),
        ("not_finite", 50, {"bad": [1, 20, 21, 22, 50]}),
        ("never_finite", 3, {"bad": [1, 2, 3], "evaluate": False}),
    ],
)
def test_pictures(name: str, steps: int, how: dict[str, object], golden: Golden, tmp_path: Path) -> None:
    svg = drawn(tmp_path / "curve.svg", plan(steps), **how)
    ElementTree.fromstring(svg)
    golden(GOLDEN / f"curve_{name}.svg", svg)


def test_the_headings_tell_where_it_ended(tmp_path: Path) -> None:
    svg = drawn(tmp_path / "curve.svg", plan(2000, per_epoch=200), bad=[7, 8])
    assert words(svg) == [
        "loss  training 0.2154  evaluation 0.2340  lowest 0.2340 at step 2,000  2 steps not finite",
        "accuracy  0.9291",
        "learning rate  5e-4",
    ]
    about = "2,000 steps · 10 epochs · batch 64 · 61,706 parameters (123,412 without sharing)"
    assert f"<title>lm: {about}</title>" in svg


def test_a_long_training_is_a_small_picture(tmp_path: Path) -> None:
    svg = drawn(tmp_path / "curve.svg", plan(50_000, per_epoch=100))
    assert len(svg) < 60_000
    [raw] = re.findall(r'class="line raw" d="([^"]*)"', svg)
    assert 300 < raw.count(" ") <= 1200  # a space in each point


def test_names_are_text(tmp_path: Path) -> None:
    svg = drawn(tmp_path / "curve.svg", plan(3, model="a<b&c"))
    assert "a<b&c" in (ElementTree.fromstring(svg).findtext(f"{SVG}title") or "")


def test_a_resumed_run_draws_what_one_run_would_have(tmp_path: Path) -> None:
    for folder, runs in (("whole", [(plan(), 50)]), ("parts", [(plan(), 37), (plan(first_step=30), 50)])):
        for part, until in runs:
            curve = Curve(tmp_path / folder / "curve.svg")
            tell(Several([curve, JsonLines(tmp_path / folder / "log.jsonl")]), part, until=until)
    assert (tmp_path / "parts" / "curve.svg").read_text() == (tmp_path / "whole" / "curve.svg").read_text()


def test_is_drawn_at_evaluations_but_not_at_each_of_them(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "curve.svg"
    curve = Curve(path, clock=clock)
    seen = []
    with reporting(curve, plan()):
        for report in reports(plan(), seconds=0.1):
            tell_one(curve, report, clock)
            if not isinstance(report, StepReport):
                text = path.read_text() if path.exists() else ""
                seen.append(re.findall(r">(\d+) steps", text)[:1])
    assert seen == [["10"], ["10"], ["30"], ["30"], ["50"]]


def test_nothing_to_draw_is_no_picture(tmp_path: Path) -> None:
    tell(Curve(tmp_path / "curve.svg"), plan(), until=0)
    assert list(tmp_path.iterdir()) == []


# -- axes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("axis", "most", "labels"),
    [
        (Axis(0, 2.4), 5, "0.0 0.5 1.0 1.5 2.0"),
        (Axis(0.2, 0.95), 3, "0.25 0.50 0.75"),
        (Axis(0, 50_000), 6, "0 10,000 20,000 30,000 40,000 50,000"),
        (Axis(0, 2_000_000), 4, "0 500k 1M 1.5M 2M"),
        (Axis(0, 0.003), 3, "0.000 0.001 0.002 0.003"),
        (Axis(0, 3e-6), 3, "0 1e-6 2e-6 3e-6"),
        (Axis(-1, 1), 5, "-1.0 -0.5 0.0 0.5 1.0"),
        (Axis(0.002, 4, log=True), 6, "0.003 0.01 0.03 0.1 0.3 1 3"),
        (Axis(1e-9, 1e9, log=True), 5, "1e-9 1e-5 0.1 1,000 10M"),
        (Axis(7, 60, log=True), 5, "10 20 50"),
    ],
)
def test_ticks_are_round(axis: Axis, most: int, labels: str) -> None:
    assert " ".join(axis.labels(axis.ticks(most))) == labels


@pytest.mark.parametrize(
    ("values", "outliers", "log", "low", "high"),
    [
        ([], [], True, 0, 1),
        ([5, 5], [], False, 4.945, 5.055),  # not a tiny difference blown up
        ([0, 0], [], True, 0, 0.55),
        ([0.1, 2.1], [], True, 0, 2.2),
        ([0.9, 0.94], [], False, 0.898, 0.942),
        ([], [*range(1, 100), 1e6], False, 0, 103.85),  # the one far outside isn't shown
        ([1, 1000], [], True, 1 / 1000**0.04, 1000**1.04),
    ],
)
def test_what_an_axis_shows(values: list[float], outliers: list[float], log: bool, low: float, high: float) -> None:
    axis = value_axis(values, outliers=outliers, may_be_log=log)
    assert (axis.low, axis.high) == pytest.approx((low, high))
    assert axis.log == (log and bool(values) and values[-1] == 1000)


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
