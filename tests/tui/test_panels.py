"""Which measures are drawn together: every one once, and those of old runs too."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sia_tui.store.reader import Metrics
from sia_tui.tui.panels import OVERVIEW, PANELS, label, missing, pages, panels
from sia_tui.tui.phase import measure_lines, measures, panel_lines
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


def test_what_is_absent_is_not_named() -> None:
    assert [line.plain.split()[0] for line in measure_lines(rows("reward", "kl"), 60)] == ["reward", "KL"]
    assert pages((), 6)[0].axes == ()


def test_an_axis_tells_its_ticks_apart() -> None:
    ratios = Labels().get_labels_for_ticks([0.9998, 1.0, 1.0002])
    assert ratios == ["0.9998", "1.0000", "1.0002"]
    assert Labels().get_labels_for_ticks([0.0, 2e-5, 4e-5]) == ["0", "2e-05", "4e-05"]


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
