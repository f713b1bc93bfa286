"""`pending` prints what the window shows: the question, the page on which an algorithm was chosen, the commands to answer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sia_tui.cli.main import main
from sia_tui.core import events as ev
from sia_tui.core.advice import page, text
from sia_tui.core.evidence import Cell, Through
from sia_tui.core.pulls import Advice, Pay, said
from sia_tui.store.writer import RunStore
from sia_tui.tui.asked import question
from sia_tui.tui.grounds import grounds
from tests.tui.runs import make_run
from tests.tui.writer import CLONING, HOSTILE, writing


def test_a_plan_waits_with_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "w" / "runs" / "r", "plan_gate")
    assert main(["pending", "--workspace", str(tmp_path / "w")]) == 0
    told = capsys.readouterr().out
    assert "   ok  algorithm  grpo, as the pilot recommends: cheap, end score" in told
    assert "recommended: grpo" in told and "▸ cheap, end score → grpo" in told and "sia-tui approve r/gate-3" in told
    assert main(["pending", "--workspace", str(tmp_path / "w"), "--json"]) == 0
    pilot = json.loads(capsys.readouterr().out)[0]["pilot"]
    assert pilot["rehearsal"]["step_s"] == 3.4 and "a step           3.4 s if all 128 teach, 0.9 GiB at most" in told
    assert pilot["page"] in told and pilot["advised"]["algorithm"] == "grpo"
    assert len(pilot["rewards"]) == 40 and pilot["measured"]["settled"] == 0.35


def test_a_plan_that_its_pilot_speaks_against_is_amber(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "w" / "runs" / "r"
    with writing(root) as run:
        run.prepare("r")
        run.generation(None, 0.4)
        name = run.proposal("weights", "Clone verified successes", CLONING)
        run.pilot(name)
        run.gate(name)
        done = run.store.state.step(name).pilot
    assert main(["pending", "--workspace", str(tmp_path / "w")]) == 0
    told = capsys.readouterr().out
    assert "amber  algorithm  pilot recommends grpo: cheap, end score" in told
    assert done is not None and text(page(done.pilot, done.advised)) in told


def test_a_critics_doubt_is_printed_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with writing(tmp_path / "w" / "runs" / "r") as run:
        run.prepare("r")
        run.generation(None, 0.4)
        name = run.proposal("harness", "Votes over five samples")
        run.preview(name)
        run.review(name, "serious", "nothing in the evidence fails by chance; " * 12 + HOSTILE)
        run.gate(name)
    assert main(["pending", "--workspace", str(tmp_path / "w")]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("amber  critic  ")]
    assert line.startswith("amber  critic  serious doubt: nothing in the evidence") and line.endswith("(e-000001)")
    assert "\x1b" not in line and "[bold red]" in line


def test_a_promise_is_shown_with_how_earlier_ones_held(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "w" / "runs" / "r", "patch_gate")
    assert main(["pending", "--workspace", str(tmp_path / "w")]) == 0
    told = capsys.readouterr().out
    assert "record:    playbook/harness: 1 of 2 signs right so far, gains ×0.6 of predicted; expect +3.5" in told
    assert main(["show", "r", "--workspace", str(tmp_path / "w"), "--json"]) == 0
    waiting = json.loads(capsys.readouterr().out)["waiting"]
    assert waiting["record"]["n"] == 2 and waiting["record"]["expected_gain"] == pytest.approx(0.035, abs=0.001)
    assert waiting["agent"] == "playbook" and waiting["predicted_range"] is None


def test_what_the_levers_paid_is_shown_where_it_is_decided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paid = (Pay("harness", 0.004, -0.001, 0.009, 9, 0.6), Pay("weights", 0.013, 0.002, 0.024, 5, 2.0))
    advice = Advice("weights", "the likelier", paid, 14, 3)
    with writing(tmp_path / "w" / "runs" / "r") as run:
        run.prepare("r")
        run.generation(None, 0.4)
        name = run.proposal("weights", "Clone verified successes", CLONING, advice)
        run.gate(name)
        asked = question(run.store.state)
    assert main(["pending", "--workspace", str(tmp_path / "w")]) == 0
    assert f"advisor:   {said(advice)}" in capsys.readouterr().out
    assert main(["pending", "--workspace", str(tmp_path / "w"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)[0]["advice"]
    assert told["told"] == said(advice) and told["lever"] == "weights" and told["pays"][1]["steps"] == 5
    assert asked is not None
    window = " ".join(" ".join(line.plain for line in grounds(asked, 60)).split())
    assert "weights pays 1.3 [0.2, 2.4] points a minute, harness 0.4" in window


def test_a_measured_result_may_be_looked_at_again_before_it_is_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "w" / "runs" / "r", "keep_gate")
    assert main(["pending", "--workspace", str(tmp_path / "w")]) == 0
    told = capsys.readouterr().out
    assert "points on dev, n = 796: indecisive" in told and "sia-tui more-evidence r gate-4" in told
    with RunStore(tmp_path / "w" / "runs" / "r" / "run.db") as store:
        step, gate, best = store.state.current, store.state.waiting, store.state.incumbent
        assert step is not None and gate is not None and step.generation is not None and best is not None
        store.record(ev.EvidenceWanted(gate.id, "ana"))
        assert store.state.waiting is None
        again = ev.MeasuredAgain("k", best, best, "dev", 1, 0.5, 0.47, 0.53, 796, 0.0, 31)
        cells = (Cell(0.01, -0.02, 0.04), 2, Cell(0.012, -0.008, 0.03))
        found = ev.EvidenceFound(step.id, step.generation, best, 1, *cells, "indecisive", 796, 40, 30, 55)  # type: ignore[arg-type]
        traced = ev.Traced(
            step.id, step.generation, ("a.py:1 +1 -1", "a.py:9 +2 -0"), (Through("c1", (1,)),), (), (0,), 3
        )
        store.record(again, found, traced, ev.GateOpened(replace(gate, hash="e" * 64)))
        asked = question(store.state)
    assert main(["pending", "--workspace", str(tmp_path / "w")]) == 0
    told = capsys.readouterr().out
    assert "seed 1 +1.0 [-2.0, +4.0]; 2 seeds pooled by case +1.2 [-0.8, +3.0], fixed 40, broke 30" in told
    assert "noise:     the incumbent again: 50.0 % (31 of 796 cases answered differently)" in told
    assert "hunk 1 (a.py:1 +1 -1): cannot be told" in told and "eeeeeeeeeeee" in told
    assert asked is not None
    window = " ".join(" ".join(line.plain for line in grounds(asked, 60)).split())
    assert "2 seeds +1.2 [-0.8, +3.0] indecisive" in window and "hunk 2 (a.py:9 +2 -0): 1 fixed" in window
    assert "the incumbent again: 50.0 % (31 of 796 cases answered differently)" in window
