"""Which measures are drawn together: every one once, and those of old runs too."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_tui.store.reader import Metrics
from sia_tui.tui.charts import ticks
from sia_tui.tui.panels import OVERVIEW, PANELS, label, missing, pages, panels, reward_axis
from sia_tui.tui.phase import measure_lines, measures, panel_lines
from sia_tui.tui.ticked import ROOM, ticked
from sia_tui.tui.widgets.plot import Labels

OLD = ("reward", "held_out", "pass_n", "useful", "entropy", "loss", "grad_norm", "learning_rate", "length")
OLD += ("clip", "ratio", "gap", "rollout_s", "train_s")
KNOWN = [name for panel in PANELS for name in panel.names]


def rows(*names: str) -> list[Metrics]:
    return [Metrics(step, "2026-01-05T07:00:00+00:00", dict.fromkeys(names, float(step))) for step in range(3)]


MACHINES = ("gpu_busy/0", "gpu_busy/1", "gpu_gib/0", "rss_gib/trainer")


@given(st.sets(st.sampled_from([*KNOWN, *MACHINES, "rewards/exact/mean", "made up"]), min_size=1), st.integers(1, 8))
def test_every_measure_is_drawn_and_listed_once(names: set[str], slots: int) -> None:
    found = panels(rows(*names))
    assert sorted(name for panel in found for name in panel.names) == sorted(names)
    drawn = pages(rows(*names), slots)
    assert all(len(page.axes) <= slots for page in drawn)
    below = names - set(PANELS[0].names)
    alone = [page for page in drawn if page.title != OVERVIEW] or drawn
    assert sorted(name for page in alone for name in page.names) == sorted(below)


def test_the_overview_takes_the_head_of_each_panel_first() -> None:
    heads = [panel.names[0] for panel in PANELS[1:]]
    overview = pages(rows(*KNOWN), len(heads))[0]
    assert [axis[0] for axis in overview.axes] == heads


def test_a_run_of_before_still_draws() -> None:
    titles = [panel.title for panel in panels(rows(*OLD))]
    assert titles == [PANELS[0].title, "policy", "length", "on-policy", "groups", "time"]
    said = "\n".join(line.plain for line in panel_lines(rows(*OLD), 60))
    assert all(label(name) in said for name in OLD)
    assert measures(rows(*OLD))[:3] == ["reward", "held_out", "useful"]


def test_panels_that_are_not_there_are_told() -> None:
    said = "not measured: reward parts, length, on-policy, groups, value, time, throughput, machine"
    assert missing(rows("reward", "kl")) == panel_lines(rows("reward", "kl"), 120)[-1].plain.strip() == said
    assert missing(()) == missing(rows(*KNOWN, "rewards/tone/mean")) == ""


def test_what_was_solved_stands_beside_the_reward_where_it_is_not_the_reward_again() -> None:
    graded = [Metrics(0, "", {"reward": 0.5, "pass_1": 0.5}), Metrics(1, "", {"reward": 0.5, "pass_1": 0.25})]
    assert reward_axis(graded) == ("reward", "held_out", "pass_1", "pass_n")
    assert reward_axis(graded[:1]) == reward_axis(()) == ("reward", "held_out", "pass_n")


def test_what_is_absent_is_not_named() -> None:
    assert [line.plain.split()[0] for line in measure_lines(rows("reward", "kl"), 60)] == ["reward", "KL"]
    assert pages((), 6)[0].axes == ()


@pytest.mark.parametrize(
    ("ticks", "said"),
    [
        ([0.9, 0.95, 1.0], ["0.90", "0.95", "1.00"]),
        ([0.9998, 1.0, 1.0002], ["0.9998", "1.0000", "1.0002"]),
        ([0.99998, 1.0, 1.00002], ["1-2e-5", "1", "1+2e-5"]),
        ([0.00095, 0.001, 0.00105], [".00095", ".001", ".00105"]),
        ([0.0, 2e-5, 4e-5], ["0", "2e-5", "4e-5"]),
        ([3.8e-5, 4e-5, 4.2e-5], ["3.8e-5", "4e-5", "4.2e-5"]),
        ([1e6, 1.2e6], ["1e6", "1.2e6"]),
        ([123456.2, 123456.4], ["", ""]),
        ([0.05], ["0.05"]),
    ],
)
def test_an_axis_tells_its_ticks_apart(ticks: list[float], said: list[str]) -> None:
    assert Labels().get_labels_for_ticks(ticks) == said


@given(st.floats(-2e3, 2e3), st.floats(1e-9, 1e3), st.integers(1, 12))
def test_a_tick_says_itself_or_nothing(low: float, span: float, most: int) -> None:
    found = ticks(low, low + span, most)
    for tick, said in zip(found, ticked(found), strict=True):
        value = 1 + float(said[1:]) if said.startswith(("1+", "1-")) else float(said or tick)
        assert len(said) <= ROOM and math.isclose(value, tick, rel_tol=1e-11, abs_tol=1e-15)


def test_labels_are_short_and_tell_measures_apart() -> None:
    labels = [label(name) for name in KNOWN]
    assert len(set(labels)) == len(labels) and max(map(len, labels)) <= 13


def test_the_parts_of_a_reward_are_a_panel_of_their_own() -> None:
    names = ("reward", "rewards/tone/mean", "rewards/a_very_long_name/mean", "kl")
    found = panels(rows(*names))
    assert [panel.title for panel in found] == [PANELS[0].title, "reward parts", "policy"]
    assert [label(name) for name in found[1].names] == ["a_very_long_…", "tone"]


def test_each_gpu_has_a_line_of_its_own_on_one_axis() -> None:
    found = {panel.title: panel for panel in panels(rows("reward", *MACHINES))}
    assert found["machine"].axes == (("gpu_busy/0", "gpu_busy/1"), ("gpu_gib/0",), ("rss_gib/trainer",))
    assert [label(name) for name in MACHINES] == ["GPU 0", "GPU 1", "GPU GiB 0", "trainer GiB"]
