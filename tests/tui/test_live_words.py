"""What the live pane says, without a terminal."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_tui.core import events as ev
from sia_tui.core.spent import Cost
from sia_tui.store.reader import EpisodeRow, Progress, RunReader
from sia_tui.tui.budget import left
from sia_tui.tui.charts import Chart, Series, dev_chart, metric_chart, ticks
from sia_tui.tui.decimate import decimate
from sia_tui.tui.feed import Tail
from sia_tui.tui.heading import heading, parting
from sia_tui.tui.keymap import known
from sia_tui.tui.listed import about, run_line
from sia_tui.tui.nodes import node_lines, summary_lines, there
from sia_tui.tui.outlook import contract, following, outlook_lines
from sia_tui.tui.phase import measures, phase_lines
from sia_tui.tui.pieces import KEYS, Line, cells
from sia_tui.tui.scores import score_lines
from sia_tui.tui.sparks import short, spark
from sia_tui.tui.stream import Failures, episode_line, failure_line, failures
from sia_tui.tui.view import View, age_s, ago
from sia_tui.tui.waited import waits
from tests.tui.runs import Scene, make_run
from tests.tui.writer import CONFIG, HOSTILE, writing

NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> dict[str, View]:
    from sia_tui.config import load_config

    scenes: tuple[Scene, ...] = ("fresh", "patch_gate", "plan_gate", "training", "cluster", "keep_gate", "done")
    found = {}
    for scene in scenes:
        paths = make_run(tmp_path_factory.mktemp("runs") / scene, scene)
        tail = Tail(RunReader(paths.db), paths, load_config(CONFIG))
        tail.alive = scene not in ("fresh", "done")
        found[scene] = tail.poll(View(scene))
    return found


def said(pieces: list[tuple[str, str]]) -> str:
    return "".join(text for text, _ in pieces)


def rows(lines: list[Line]) -> str:
    return "\n".join(line.plain for line in lines)


def test_generations_say_what_became_of_each(views: dict[str, View]) -> None:
    rows = [line.plain for line in score_lines(views["done"].state, 80)]
    assert "✓ kept" in rows[0] and "31.0 ±3.2" in rows[1] and "✗ -4.0" in rows[2]
    assert rows[3].startswith("▸   g3") and "serves" in rows[3]
    assert "✗ no: ana" in rows[4] and "TEST of g3" in rows[5] and "linear-svc" in rows[6]
    assert "… training" in score_lines(views["training"].state, 80)[3].plain
    assert "▲ keep it?" in score_lines(views["keep_gate"].state, 80)[3].plain
    assert "▲ at the gate" in score_lines(views["plan_gate"].state, 80)[3].plain


def test_generations_stand_beside_their_line_of_descent(views: dict[str, View]) -> None:
    state = views["done"].state
    rows = [line.plain for line in score_lines(state, 80)]
    assert [row[:6] for row in rows[:5]] == ["●   g0", "●   g1", "├─○ g2", "▸   g3", "╰─✗   "]
    assert all(cells(line.plain) <= 80 for line in score_lines(state, 80)[:5])
    back = dataclasses.replace(state.generations[3], parent=0)
    branched = dataclasses.replace(state, generations=(*state.generations[:3], back))
    rows = [line.plain for line in score_lines(branched, 80)]
    assert [row.split("g")[0].rstrip() for row in rows[:4]] == ["●", "├─●", "│ ╰─○", "▸"]


def test_test_is_not_told_before_the_end(views: dict[str, View]) -> None:
    state = dataclasses.replace(views["done"].state, status="running")
    assert not any("TEST" in line.plain for line in score_lines(state, 80))


def test_episodes_of_sealed_splits_say_nothing_before_the_end(views: dict[str, View]) -> None:
    row = next(row for row in views["done"].recent if row.split == "test" and row.reward == 1.0)
    assert "1.0" in episode_line(row, 60, True, NOW).plain
    sealed = episode_line(row, 60, False, NOW).plain
    assert "sealed" in sealed and "1.0" not in sealed and row.answer not in sealed


def test_the_header_names_the_engine_and_the_gate(views: dict[str, View]) -> None:
    view = views["plan_gate"]
    left, right = heading(view, NOW, "live")
    assert "▲ GATE waits" in said(left) and "press 3" in said(left) and "bwrap" in said(right)
    assert "press 3" not in said(heading(view, NOW, "gate")[0])
    alone = dataclasses.replace(view, alive=False)
    assert "no engine: R starts it" in said(heading(alone, NOW, "live")[1])
    beat = Progress("x", 1, 2, NOW.isoformat(), None, (NOW - timedelta(seconds=40)).isoformat(), "")
    quiet = dataclasses.replace(views["training"], progress=beat)
    assert "◌ quiet 40 s" in said(heading(quiet, NOW, "live")[1])
    gone = dataclasses.replace(view, run="sql-repair-07", error="r: its folder is gone, deleted or moved")
    assert sum(len(text) for part in heading(gone, NOW, "live") for text, _ in part) <= 80, (
        "no room for it: it is left out"
    )
    assert {name: known()[name][0] for name in KEYS} == KEYS


def test_a_gates_waiting_counts_from_when_it_was_put_whatever_the_heartbeat(views: dict[str, View]) -> None:
    view = views["plan_gate"]
    step = view.state.current
    assert step is not None and view.progress is not None
    put = datetime.fromisoformat(step.asked_at)
    now = put + timedelta(hours=3)
    fresh = dataclasses.replace(view.progress, beat_at=(now - timedelta(seconds=1)).isoformat())
    view = dataclasses.replace(view, progress=fresh)
    left, right = heading(view, now, "live")
    assert "▲ GATE waits 3 h ·" in said(left) and said(right).endswith("engine ● 1 s ") and "GPU-h" not in said(right)
    assert "▲ waits 3 h" in run_line(view, now, 76).plain and "▲ WAITS   3 h · gate-3" in rows(
        about(view, now, 76, "R")
    )
    engine = dataclasses.replace(view.state.engine, gpus=8)  # type: ignore[type-var]
    rich = dataclasses.replace(view, state=dataclasses.replace(view.state, engine=engine))
    assert said(heading(rich, now, "live")[1]).startswith("24.0 GPU-h held │ ") and waits(rich, put) == "waits 0 s"
    assert waits(rich, now) == "waits 3 h · 24.0 GPU-h held"
    later = (put + timedelta(hours=2)).isoformat()
    again = dataclasses.replace(rich, state=dataclasses.replace(rich.state, gpus_since=later))
    assert waits(again, now) == "waits 3 h · 8.0 GPU-h held", "before that nobody knows what was held"
    assert waits(dataclasses.replace(rich, alive=False), now) == "waits 3 h" and waits(views["training"], now) == ""


def test_a_gate_that_is_put_again_waits_anew(tmp_path: Path) -> None:
    with writing(tmp_path / "r") as run:
        run.prepare("r")
        run.generation(None, 0.2)
        run.gate(run.proposal("harness", "Ask twice"))
        first = run.store.state.current
        assert first is not None and first.open_gate is not None
        run.clock.wait(500)
        run.store.record(ev.EvidenceWanted(first.open_gate.id, "ana"))
        run.clock.wait(500)
        run.gate(first.id)
        again = run.store.state.current
    assert again is not None
    assert age_s(first.asked_at, datetime.fromisoformat(again.asked_at)) >= 1000


def test_parting_words_say_how_to_come_back(views: dict[str, View]) -> None:
    assert parting(views["training"]).endswith("the engine goes on; come back with: sia-tui attach training")
    assert "sia-tui resume fresh" in parting(views["fresh"]) and "is done" in parting(views["done"])


def test_what_comes_next_follows_the_loop(views: dict[str, View]) -> None:
    assert "3 opens the gate" in following(views["plan_gate"])
    assert "measured on dev against g1" in following(views["training"])
    assert "R, or sia-tui resume fresh, starts an engine" in following(views["fresh"]) and "over" in following(
        views["done"]
    )
    assert "every step asks you" in contract(views["training"].config)


def test_the_phase_shows_the_training(views: dict[str, View]) -> None:
    lines = [line.plain for line in phase_lines(views["training"], NOW, 60, 20)]
    assert "18/30" in lines[0] and " 60 %" in lines[1] and "2.8 min left → 07:19" in lines[2]
    assert [name for name in measures(views["training"].metrics["p-3f3a9c2e"])][:3] == ["reward", "held_out", "useful"]
    assert any(line.startswith("held out") and "0.33 → 0.40" in line for line in lines)
    assert len(lines) <= 20


def test_the_phase_says_how_near_the_stop_rules_are(views: dict[str, View]) -> None:
    view = views["training"]
    step = view.state.current
    assert step is not None and step.proposal.plan is not None
    plan = dataclasses.replace(step.proposal.plan, stop_kl=0.02, stop_truncated=0.5, patience=2)
    ruled = dataclasses.replace(step, proposal=dataclasses.replace(step.proposal, plan=plan))
    state = dataclasses.replace(view.state, steps=(*view.state.steps[:-1], ruled))
    for width in (38, 60, 118):
        [rules] = [
            line.plain
            for line in phase_lines(dataclasses.replace(view, state=state), NOW, width, 20)
            if line.plain.startswith("stop rules")
        ]
        assert "▲ KL .018/.02" in rules and cells(rules) <= width
    assert rules == "stop rules   ▲ KL .018/.02 · truncated .022/.5 · no new best 0/2 looks"


def failing(found: Failures, width: int) -> list[str]:
    return [failure_line(found, name, width).plain for name in found.ranked]


def test_failures_are_those_the_agent_read_and_never_of_sealed_splits(views: dict[str, View]) -> None:
    read = failures(views["plan_gate"].state)
    assert read.title == "g1 since g0, as the agent read"
    lines = failing(read, 60)
    assert "214" in lines[0] and lines[0].endswith(" =") and len(lines) == len(read.now) == 4
    assert failures(views["done"].state).title == "g3 since g1 on dev, n = 796"


def test_failures_say_their_change_by_sign_and_glyph(views: dict[str, View]) -> None:
    state = views["done"].state
    lines = failing(failures(state), 60)
    assert [line.split()[-2:] for line in lines[:2]] == [["−36", "▼"], ["−25", "▼"]]
    assert lines[0].startswith("not a charge") and " 238 " in lines[0]
    gone = Failures("g1", " on dev, n = 9", {"wrong": 4}, "g0", {"wrong": 1, "timeout": 2})
    assert [line.split() for line in failing(gone, 30)] == [
        ["wrong", "4", "█", "+3", "▲"],
        ["timeout", "0", "−2", "▼"],
    ]
    first = dataclasses.replace(state, generations=state.generations[:1], steps=(), incumbent=0)
    assert failures(first).title == "g0 on dev, n = 796"
    assert not any(line.endswith(("=", "▼", "▲")) for line in failing(failures(first), 60))


def test_failures_are_not_compared_where_other_cases_were_read(views: dict[str, View]) -> None:
    state = views["plan_gate"].state
    made = state.step(state.generations[1].proposal or "")
    fewer = dataclasses.replace(made, proposal=dataclasses.replace(made.proposal, clusters={"not a charge": 3}))
    steps = tuple(fewer if step is made else step for step in state.steps)
    assert failures(dataclasses.replace(state, steps=steps)).title == "g1, as the agent read"


@given(st.integers(0, 200), st.integers(0, 60))
def test_every_line_fits_its_room(width: int, height: int) -> None:
    row = EpisodeRow(
        "e",
        "k",
        HOSTILE,
        "dev",
        None,
        0.0,
        None,
        "policy",
        HOSTILE * 3,
        9,
        1.0,
        "x",
        None,
        None,
        None,
        None,
        NOW.isoformat(),
    )
    assert cells(episode_line(row, width, False, NOW).plain) <= max(width, 40)


@given(
    st.lists(st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True)), max_size=300), st.integers(-2, 80)
)
def test_a_sparkline_takes_any_numbers(values: list[float | None], width: int) -> None:
    assert len(spark(values, width)) <= max(1, width)
    assert all(short(value) for value in values if value is not None)


def test_a_sparkline_that_never_moves_lies_low() -> None:
    assert spark([0.0, None, 0.0], 9) == "▁ ▁" and spark([0.0, 1.0, 0.0], 9) == "▁█▁"


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(allow_nan=True)), max_size=2000), st.integers(1, 100))
def test_decimation_keeps_the_extremes(points: list[tuple[float, float]], columns: int) -> None:
    found = decimate(points, columns)
    assert len(found) <= max(2 * columns, 0)
    finite = [y for _, y in points if math.isfinite(y)]
    if finite:
        assert min(y for _, y in found) == min(finite) and max(y for _, y in found) == max(finite)


def test_charts_hold_what_was_measured(views: dict[str, View]) -> None:
    chart = dev_chart(views["done"].state)
    assert chart.level is not None and chart.level[1] == pytest.approx(79.1)
    assert [len(series.points) for series in chart.series] == [5, 3, 1]
    rows = views["training"].metrics["p-3f3a9c2e"]
    assert [len(series.points) for series in metric_chart(rows, ("reward", "held_out")).series] == [19, 2]
    assert dev_chart(views["fresh"].state).empty
    first, last, low, high = Chart((Series("x", ((1.0, 2.0),)),)).bounds
    assert first < 1.0 < last and low < 2.0 < high


def test_ages_are_short() -> None:
    assert [ago(seconds) for seconds in (1, 200, 7000, 400_000)] == ["1 s", "3 min", "2 h", "5 d"]


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.integers(1, 12))
def test_ticks_are_round_even_and_few(low: float, span: float, most: int) -> None:
    found = ticks(low, low + span, most)
    slack = 1e-9 * span
    assert len(found) <= most + 1 and all(low - slack <= tick <= low + span + slack for tick in found)
    gaps = {round((b - a) / span, 6) for a, b in pairwise(found)}
    assert len(gaps) <= 1


def test_the_machine_has_a_line_while_an_engine_tells_it(views: dict[str, View]) -> None:
    view = views["training"]
    assert view.machine is not None
    at = datetime.fromisoformat(view.machine.at)
    [first, *rest] = [line.plain for line in outlook_lines(view, at, 120)]
    assert first == "MACHINE   CPU 1.9 cores, trainer 0.9, policy 0.4, others 0.3 GiB · GPU n/a".ljust(120)
    for quiet in (
        outlook_lines(view, at + timedelta(minutes=1), 120),
        outlook_lines(dataclasses.replace(view, alive=False), at, 120),
        outlook_lines(dataclasses.replace(view, machine=None), at, 120),
    ):
        assert len(quiet) == len(rest) == 3


def test_what_was_agreed_is_whole_where_it_does_not_fit_on_a_line(views: dict[str, View]) -> None:
    view = views["training"]
    told = [line.plain for line in outlook_lines(view, NOW, 80)]
    assert contract(view.config) in " ".join(" ".join(told).split()) and all(cells(row) <= 80 for row in told)


def test_the_bar_is_over_the_limit_that_is_nearest_and_every_limit_is_told(views: dict[str, View]) -> None:
    view = views["training"]
    assert view.config is not None
    free = rows(outlook_lines(view, NOW, 78))
    assert "█── wall 15.1 min/20.0 min  3/8 steps  95k tok  420 episodes" in free and "GPU-h" not in free
    state = dataclasses.replace(
        view.state, cost=Cost(wall_s=7200, gpu_s=71.4 * 3600, tokens=1_400_000, episodes=12_345, calls=3, money=1.2)
    )
    limits = view.config.budget.model_copy(
        update={"steps": 8, "wall_s": 86_400.0, "gpu_hours": 80.0, "tokens": 10**7, "money": 5.0}
    )
    config = view.config.model_copy(update={"budget": limits})
    view = dataclasses.replace(view, state=state, config=config)
    for width in (78, 118):
        lines = [line.plain for line in outlook_lines(view, NOW, width)]
        [at] = [at for at, line in enumerate(lines) if line.startswith("BUDGET    ███████")]
        told = " ".join(" ".join(lines[at : at + 2]).split())
        assert "71/80 GPU-h 3/8 steps 1.20/5.00 $ 1.4M/10M tok wall 2.0 h/24.0 h 12,345 episodes" in told
        assert all(cells(line) <= width for line in lines)
    assert left(state, config) == "8.6 GPU-h · 5 steps · 3.80 $ · 8.6M tok · 22.0 h"
    assert "LEFT      8.6 GPU-h · 5 steps · 3.80 $" in rows(about(view, NOW, 76, "R"))
    assert "71 GPU-h" in rows(outlook_lines(dataclasses.replace(view, config=views["training"].config), NOW, 78))


def test_nodes_and_replicas_are_told_where_there_are_several(views: dict[str, View]) -> None:
    alone = views["training"]
    assert not there(alone) and summary_lines(alone, NOW, 100) == node_lines(alone, NOW, 50, 8) == []
    view = views["cluster"]
    assert there(view) and view.machine is not None
    at = datetime.fromisoformat(view.machine.at)
    nodes, replicas = [line.plain for line in summary_lines(view, at, 160)]
    said = (
        "NODES     2 of 4 work without spot-3, weak ␛]52;c… · 15 of 16 slots busy, 141 wait · 8 GPUs · 5 begun anew · "
    )
    assert nodes.startswith(said) and "spot-3 lost: its machine does not answer" in nodes
    assert replicas.startswith(
        "REPLICAS  2 of 3 answer without 1 · 17 requests under way · 2,192 tok/s · 16 asked anew"
    )
    rows = [line.plain for line in node_lines(view, at, 60, 8)]
    assert len(rows) == 7 and rows[0].split() == ["●", "near", "8/8", "busy", "4", "GPUs"]
    assert rows[4].split() == ["●", "replica", "0", "node", "near", "ababababababa…", "9", "under", "way"]
    short = [line.plain for line in node_lines(view, at, 60, 4)]
    assert [row[0] for row in short[:3]] == ["✗", "✗", "✗"] and short[3] == "4 others"
    late = [line.plain for line in node_lines(view, at + timedelta(minutes=1), 60, 8)]
    assert "–/8 busy" in late[0] and late[4].split()[-1] == "–", "an old reading is worth nothing"


@given(st.integers(-2, 200), st.integers(0, 12))
def test_lines_on_nodes_fit_their_room(views: dict[str, View], width: int, height: int) -> None:
    view = views["cluster"]
    lines = node_lines(view, NOW, width, height)
    assert len(lines) <= max(1, height) and all(cells(line.plain) <= max(width, 30) for line in lines)
    assert all(cells(line.plain) <= max(width, 14) for line in summary_lines(view, NOW, width))
