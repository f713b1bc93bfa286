"""Curves that are read: smoothed, zoomed, pointed at, laid over each other, with the rules that spoke on them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.events import MouseScrollUp
from textual.pilot import Pilot
from textual.widgets import Static
from textual_hires_canvas import Canvas

from sia_tui.core import events as ev
from sia_tui.core.state import Step
from sia_tui.core.stops import GAP
from sia_tui.core.text import clean, one_line
from sia_tui.store.reader import Answer, Metrics
from sia_tui.store.workspace import RunPaths
from sia_tui.tui.alerts import levels, marks, nearness, rule_lines
from sia_tui.tui.app import SiaApp
from sia_tui.tui.charts import Looks, Series, Training, height_at, metric_chart, smoothed, zoomed
from sia_tui.tui.lettered import lettered
from sia_tui.tui.screens.curves import CurvesPane
from sia_tui.tui.screens.overlays import Overlays
from sia_tui.tui.view import View
from sia_tui.tui.widgets.curve import Curve
from sia_tui.tui.widgets.plot import STEPS, whole_steps
from tests.tui.desk import SMALL, WIDE, Engine, open_on, screen_text, settle
from tests.tui.opened import until
from tests.tui.runs import make_run
from tests.tui.writer import HOSTILE, PLAN, writing

NARROW = "R reward 0.43 ±0.40  H held out 0.40"
VALUES = st.floats(-1e6, 1e6, allow_subnormal=False)


@given(st.lists(VALUES, min_size=1), st.sampled_from([0.0, 0.6, 0.9]))
def test_a_moving_average_stays_within_what_was_measured(values: list[float], weight: float) -> None:
    points = tuple((float(x), y) for x, y in enumerate(values))
    found = smoothed(points, weight)
    assert [x for x, _ in found] == [x for x, _ in points] and math.isclose(found[0][1], values[0])
    slack = 1e-6 * (1 + max(map(abs, values)))
    assert all(min(values) - slack <= y <= max(values) + slack for _, y in found)
    if weight == 0:
        assert all(math.isclose(y, was) for (_, y), (_, was) in zip(found, points, strict=True))


@given(st.floats(0, 100), st.floats(0.1, 0.9))
def test_zooming_in_keeps_the_pointer_in_place_and_out_again_leads_back(x: float, factor: float) -> None:
    whole = (0.0, 100.0)
    found = zoomed(whole, whole, x, factor)
    assert found is not None and found[0] - 1e-9 <= x <= found[1] + 1e-9 and found[1] - found[0] < 100
    assert whole[0] <= found[0] and found[1] <= whole[1] + 1e-9
    assert zoomed(found, whole, x, 2 / factor) is None


def test_a_chart_in_a_window_is_as_high_as_what_is_in_it() -> None:
    rows = [Metrics(step, "", {"kl": float(step)}) for step in range(100)]
    chart = metric_chart(rows, ("kl",), Looks(window=(10.0, 20.0)))
    first, last, low, high = chart.bounds
    assert (first, last) == (10, 20) and 9 < low < 10 and 20 < high < 21
    assert metric_chart(rows, ("kl",), Looks(window=(200.0, 300.0))).bounds[:2] != (200, 300), "nothing is there"
    assert Series("kl", ((0.0, 1.0), (10.0, 2.0))).at(6.0) == (10.0, 2.0)


def test_others_are_laid_over_with_a_letter() -> None:
    rows = [Metrics(step, "", {"reward": 0.1 * step}) for step in range(3)]
    other = Training("r2 p-1", "a", [Metrics(0, "", {"reward": 0.5}), Metrics(9, "", {"kl": 1.0})])
    chart = metric_chart(rows, ("reward", "held_out"), Looks(laid=(other,)))
    assert [(one.name, one.tag) for one in chart.series] == [("reward", ""), ("reward", "a")]
    both = replace(other, rows=[*other.rows, Metrics(10, "", {"held_out": 0.2})])
    chart = metric_chart(rows, ("reward", "held_out"), Looks(laid=(both,)))
    assert [(one.name, one.tag) for one in chart.series] == [("reward", "R"), ("reward", "aR"), ("held out", "aH")]


def test_a_reward_has_its_spread_at_the_newest_step() -> None:
    rows = [Metrics(step, "", {"reward": 0.5, "reward_std": 0.1 * step, "kl": 0.1}) for step in range(3)]
    chart = metric_chart([*rows, Metrics(3, "", {"kl": 0.1})], ("reward", "kl"))
    assert [one.spread for one in chart.series] == [0.2, None]


@pytest.mark.parametrize(
    ("labels", "known"),
    [
        (["KL"], [("", "KL")]),
        (["reward", "held out", "pass@n"], [("R", "reward"), ("H", "held out"), ("P", "pass@n")]),
        (["IS min", "IS mean", "IS max"], [("M", "min"), ("E", "mean"), ("A", "max")]),
        (["rollout s", "train s"], [("R", "rollout"), ("T", "train")]),
        (["logp gap", "logp gap max"], [("G", "gap"), ("A", "gap max")]),
        (["GPU 0", "GPU 1", "GPU 10"], [("0", "0"), ("1", "1"), ("A", "10")]),
        ([], []),
    ],
)
def test_lines_of_an_axis_are_known_by_letters(labels: list[str], known: list[tuple[str, str]]) -> None:
    assert lettered(labels) == known


@given(st.floats(0, 3))
def test_a_letter_stands_on_its_line(x: float) -> None:
    points = [(0.0, 1.0), (1.0, 1.0), (3.0, 5.0)]
    assert math.isclose(height_at(points, x), 1.0 if x <= 1 else 2 * x - 1)
    assert height_at(points[:1], 0.0) == 1.0


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Step, tuple[Metrics, ...]]:
    """A training step and ten rows whose KL passes 0.05 at step 6."""
    with writing(make_run(tmp_path_factory.mktemp("w") / "r", "done").root) as run:
        step = next(step for step in run.store.state.steps if step.proposal.plan is not None)
    values = [{"reward": 0.1, "kl": 0.01 * step} for step in range(10)]
    return step, tuple(Metrics(n, f"2026-01-05T07:00:{n:02d}", one) for n, one in enumerate(values))


def test_a_limit_is_drawn_and_where_it_was_passed(trained: tuple[Step, tuple[Metrics, ...]]) -> None:
    step, rows = trained
    plan = replace(PLAN, stop_kl=0.055, stop_truncated=0.5)
    step = replace(step, proposal=replace(step.proposal, plan=plan))
    assert levels(plan, ("kl",)) == (("stops above 0.055", 0.055),) and levels(plan, ("reward",)) == ()
    assert marks(step, rows, ("kl",), ()) == ((6.0, "stop rule: KL to the base"),)
    assert metric_chart(rows, ("kl",), None, levels(plan, ("kl",))).level is not None
    far = metric_chart(rows, ("kl",), None, (("stops above 9", 9.0),))
    assert far.level is None, "it would press the line flat"


def test_how_near_each_stop_rule_is_the_nearest_first(trained: tuple[Step, tuple[Metrics, ...]]) -> None:
    _, rows = trained
    plan = replace(PLAN, stop_kl=0.1, stop_truncated=0.5, stop_gap=0.05, stop_s=3600.0, stop_slope=12, patience=4)
    assert [one.told for one in nearness(plan, rows, 720.0)] == [
        "KL .09/.1",
        "clock 12 min/60 min",
        "reward has to rise by step 12",
    ]
    seen = (0.1, 0.3, 0.2, 0.25)
    more = [replace(rows[n], values=rows[n].values | {"held_out": reward}) for n, reward in enumerate(seen)]
    assert nearness(plan, more, 720.0)[0].told == "no new best 2/4 looks"
    stale = [replace(row, values={GAP: 0.09, "staleness": 1.0}) for row in rows]
    assert nearness(replace(PLAN, stop_gap=0.05), stale, 0.0) == [], "of stale rollouts it stops nothing"


def test_the_reward_says_why_a_training_ended_and_what_was_seen(trained: tuple[Step, tuple[Metrics, ...]]) -> None:
    step, rows = trained
    alarms = [
        (rows[4].at, ev.Alarmed("network", "k", "x", step.id)),
        (rows[5].at, ev.Alarmed("claim", "k", "x", "p-other")),
    ]
    assert marks(step, rows, ("reward",), alarms) == ((4.0, "alarm network"),), "all steps made is no rule"
    assert step.trained is not None
    stopped = replace(step, trained=replace(step.trained, stopped="stop rule: KL to the base 0.09 nats, limit 0.05"))
    assert marks(stopped, rows, ("reward",), ()) == ((9.0, "stop rule: KL to the base 0.09 nats"),)
    assert marks(stopped, rows, ("entropy",), alarms) == ()


def test_of_the_rules_that_do_not_fit_there_is_a_count() -> None:
    found = [(float(step), f"rule {step} {HOSTILE}") for step in range(9)]
    first, second = (line.plain for line in rule_lines(found, 78))
    assert first.startswith("RULES  step 8: rule 8 ␛") and clean(first + second) == first + second
    assert second.startswith("       ") and second.endswith(" more") and max(len(first), len(second)) <= 78
    assert [line.plain for line in rule_lines(found[:1], 200)] == [f"RULES  step 0: {one_line(found[0][1], 60)}"]
    assert rule_lines((), 78) == []


@pytest.mark.parametrize("size", [WIDE, SMALL])
async def test_every_rule_that_spoke_can_be_read(paths: RunPaths, size: tuple[int, int]) -> None:
    with writing(paths.root) as run:
        name = next(step.id for step in run.store.state.steps if step.proposal.plan is not None)
        run.store.record(ev.Alarmed("network", "k" * 32, HOSTILE, name))
        why = "no new best in 3 looks, which is the plan's patience"
        run.store.record(ev.AdapterTrained(name, "ab" * 32, 18, 10, why, 0.33, 0.53, 4080, 402.0, 28, 28, 4.1e-5))
    async with open_on(paths, "curves", size=size) as (app, pilot):
        await drawn(pilot)
        said = "RULES  step 18: no new best in 3 looks · step 18: alarm network"
        assert said in screen_text(app)
        top = app.query_one("#reward").region
        key, *plot = (row[: top.width] for row in screen_text(app).splitlines()[top.y + 1 : top.bottom - 1])
        assert "no new" not in key and "…" not in key, "it would be cut"
        assert {char for row in plot for char in row if char.isalpha()} == {"R", "H"}, "no mark covers a letter"
        await pilot.resize_terminal(50, 24)
        await drawn(pilot)
        [one] = [place for place, line in enumerate(screen_text(app).splitlines()) if "RULES" in line]
        assert " ".join("".join(screen_text(app).splitlines()[one : one + 2]).split()) == " ".join(said.split())


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    make_run(tmp_path / "runs" / "other", "done")
    return make_run(tmp_path / "runs" / "r", "training")


async def drawn(pilot: Pilot[None]) -> None:
    """Until the newest charts are on the screen."""
    await settle(pilot)
    await until(pilot, lambda: all(one.settled for one in pilot.app.query(Curve) if one.is_on_screen))
    await pilot.pause(0.1)


@pytest.mark.parametrize(
    ("size", "key"), [(WIDE, "R reward 0.31 → 0.43 ±0.40  H held out 0.33 → 0.40"), (SMALL, NARROW)]
)
async def test_lines_are_told_apart_without_colours(paths: RunPaths, size: tuple[int, int], key: str) -> None:
    async with open_on(paths, "curves", size=size) as (app, pilot):
        await drawn(pilot)
        top = app.query_one("#reward").region
        said, *plot = screen_text(app).splitlines()[top.y + 1 : top.bottom - 1]
        assert key in said
        assert {char for row in plot for char in row[: top.width] if char.isalpha()} == {"R", "H"}


async def test_the_cursor_tells_every_lines_value_at_its_step(paths: RunPaths) -> None:
    async with open_on(paths, "curves") as (app, pilot):
        app.query_one(CurvesPane).focus()
        await pilot.press("right", *("left",) * 5)
        await drawn(pilot)
        shown = screen_text(app)
        assert "at step 13" in shown and "reward 0.40" in shown and "held out 0.40@10" in shown
        await pilot.press("escape")
        await drawn(pilot)
        assert "at step" not in screen_text(app) and "reward 0.31 → 0.43" in screen_text(app)


@pytest.mark.parametrize(("first", "last"), [(-0.5, 0.5), (0.5, 1.5), (3.9, 5.2), (-0.6, 30.6), (0, 12_345)])
def test_only_steps_are_named_below_a_training(first: float, last: float) -> None:
    named = whole_steps(first, last)
    assert named and all(x.is_integer() and first <= x <= last for x in named)
    assert len(named) <= STEPS + 1


async def test_keys_zoom_about_the_cursor_and_smooth(paths: RunPaths) -> None:
    async with open_on(paths, "curves") as (app, pilot):
        app.query_one(CurvesPane).focus()
        await pilot.press("z", "s")
        await drawn(pilot)
        assert "steps 4–14" in screen_text(app) or "steps 4–13" in screen_text(app)
        assert "smoothed 0.6" in screen_text(app)
        await pilot.press("Z", "Z", "s", "s")
        await drawn(pilot)
        assert "steps" not in screen_text(app).splitlines()[2] and "smoothed" not in screen_text(app)


async def test_a_page_is_drawn_together_with_its_titles(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sia_tui.tui.widgets.curve.REDRAW_S", 3600.0)
    async with open_on(paths, "curves") as (app, pilot):
        await drawn(pilot)
        await pilot.press("c")
        titles = {
            str(one.border_title): one.query_one(Static).visual for one in app.query("#small Curve").results(Curve)
        }
        assert "ENTROPY" in titles and "GRAD NORM" in titles
        for title, key in titles.items():
            if " · " not in title:
                assert title.lower() in str(key).lower()


class Silent:
    """What feeds a window before anything was read."""

    def __init__(self) -> None:
        self.view = View("r")

    def start(self) -> None:
        pass

    seen = stop = start


@pytest.mark.parametrize("size", [WIDE, SMALL])
async def test_nothing_is_said_of_a_run_before_it_is_read(paths: RunPaths, size: tuple[int, int]) -> None:
    feed = Silent()
    app = SiaApp(paths, Engine(), lambda: Answer(True, ""), feed=feed)
    async with app.run_test(size=size) as pilot:
        app.action_pane("curves")
        await settle(pilot)
        shown = screen_text(app)
        assert shown.count("reading …") == 2 and "no " not in shown.split("reading …", 1)[1]
        feed.view = View("r", error="gone")
        await until(pilot, lambda: "no generation measured on dev yet" in screen_text(app))


async def test_the_mouse_points_and_zooms(paths: RunPaths) -> None:
    async with open_on(paths, "curves") as (app, pilot):
        await drawn(pilot)
        curve = app.query_one("#reward", Curve)
        canvas = curve.query_one("#plot", Canvas)
        await pilot.click(canvas, offset=(canvas.size.width // 2, 4))
        await drawn(pilot)
        assert "at step 9" in screen_text(app)
        await pilot._post_mouse_events([MouseScrollUp], canvas, offset=(canvas.size.width // 2, 4), button=0)
        await drawn(pilot)
        assert "steps 3–15" in screen_text(app)


async def test_a_training_of_another_run_is_laid_over(paths: RunPaths) -> None:
    async with open_on(paths, "curves") as (app, pilot):
        app.query_one(CurvesPane).focus()
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, Overlays))
        await settle(pilot)
        assert "other" in screen_text(app) and "step 30" in screen_text(app)
        await pilot.press("space", "enter")
        await settle(pilot)
        await drawn(pilot)
        shown = screen_text(app)
        assert "a = other p-3f3a9c2e" in shown and "aR 0.5" in shown and "aH 0.5" in shown
        assert "━ KL 0.00 → 0.018  a KL 0.00 → 0.030" in shown, "alone on its axis"
        await pilot.press("o")
        await settle(pilot)
        assert "[x] other" in screen_text(app)
        await pilot.press("space", "enter")
        await drawn(pilot)
        assert "a = other" not in screen_text(app)
