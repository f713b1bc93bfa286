"""`plan` and `doctor --config`, run as a user runs them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sia_tui.cli.main import UsageError, main
from sia_tui.cli.plan import estimate
from sia_tui.config import load_config
from sia_tui.core import events as ev
from sia_tui.core.hardware import machine_named
from sia_tui.core.memory import GIB
from sia_tui.core.plans import Pilot, Rehearsal, TrainPlan
from sia_tui.core.proposals import Proposal
from sia_tui.engine import planning
from sia_tui.engine.planning import fits_light
from sia_tui.store.reader import RunReader
from sia_tui.store.writer import RunStore

CONFIGS = Path(__file__).parents[2] / "configs"
NANO, H100 = str(CONFIGS / "lawbench-nano.yaml"), CONFIGS / "h100"
ARRANGED = {"qwen3-8b": "side by side", "gpt-oss-20b": "in turns", "gpt-oss-120b": "apart"}
PLAN = TrainPlan("grpo", 12, 16, 8, 2000, 80, 1e-3)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIA_WORKSPACE", str(tmp_path / "w"))
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def on(model: str, gpu: str) -> list[str]:
    """The model is not on this machine: what is beside the config describes it."""
    return ["plan", str(H100 / f"{model}.yaml"), "--gpu", gpu]


def test_a_config_on_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = told(capsys, "plan", NANO)
    assert code == 0 and [plan["plan"]["algorithm"] for plan in found["plans"]][:3] == ["best_of_n", "dpo", "grpo"]
    grpo = found["plans"][2]
    assert grpo["rollouts"] == 20 * 16 * 8 + 5 * 80 and not grpo["refused"]
    assert grpo["memory"][0]["needs_bytes"] == sum(grpo["memory"][0]["parts_bytes"].values())


@pytest.mark.parametrize(("model", "gpu"), [("qwen3-8b", "H100"), ("gpt-oss-20b", "H100"), ("gpt-oss-120b", "H100x8")])
def test_the_configs_for_the_real_thing_fit_what_they_are_for(
    capsys: pytest.CaptureFixture[str], model: str, gpu: str
) -> None:
    code, found = told(capsys, *on(model, gpu))
    assert code == 0 and all(place["fits"] for plan in found["plans"] for place in plan["memory"])
    assert found["shape"] == f"{H100 / 'shapes' / model}.json, in place of the model's own config.json"
    assert {plan["arrangement"] for plan in found["plans"]} == {ARRANGED[model]}
    assert all(plan["gpu_hours"] > 0 for plan in found["plans"])


def test_a_line_says_what_a_training_takes_that_a_run_may_be_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sia_tui.cli.plan.this_machine", lambda device: machine_named("H100"))
    config = H100 / "qwen3-8b.yaml"
    guessed = " on this machine; guessed: a pilot measures it before its gate"
    took = re.fullmatch(
        r"a training takes ([\d.]+) to ([\d.]+) min, ([\d.]+) to ([\d.]+) GPU-hours" + guessed, estimate(config, [])
    )
    assert took is not None
    least, most, *hours = map(float, took.groups())
    assert 0 < least < most and hours == [round(least / 60, 1), round(most / 60, 1)]
    assert " to " not in estimate(config, ["agents.algorithms=[grpo]"])
    assert estimate(config, ["agents.levers=[harness]"]) == "no training: agents.levers names the harness alone"
    with pytest.raises(UsageError, match=r"no training can be carried out on this machine: .*budget\.wall_s"):
        estimate(config, ["budget.wall_s=9"])


def test_what_cannot_fit_is_refused_with_what_would(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*on("qwen3-8b", "H100"), "--set", "weights.micro_tokens=262144", "--algorithm", "grpo"]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("refused: ")]
    assert len(lines) == 1 and "DOES NOT FIT" not in lines[0]
    tokens = lines[0].partition("would fit: weights.micro_tokens=")[2].split()[0]
    assert main([*on("qwen3-8b", "H100"), "--set", f"weights.micro_tokens={tokens}", "--algorithm", "grpo"]) == 0


def test_the_clock_of_the_run_and_of_the_job(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["plan", NANO, "--set", "budget.wall_s=60", "--algorithm", "grpo"]) == 1
    assert "left of budget.wall_s; would end in time: steps " in capsys.readouterr().out
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 60))
    code, found = told(capsys, "plan", NANO, "--algorithm", "grpo")
    assert code == 1 and "SLURM_JOB_END_TIME" in found["plans"][0]["refused"][0]["why"]


def test_a_run_is_asked_about_what_it_proposes_by_what_it_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "w" / "runs" / "a"
    root.mkdir(parents=True)
    (root / "config.yaml").write_text(Path(NANO).read_text())
    first = Proposal("weights", "t", "r", "grpo", "c0", plan=PLAN)
    with RunStore(root / "run.db") as store:
        store.record(ev.RunCreated("a", "lawbench", "0" * 64))
        store.record(ev.ProposalMade("p-1", first))
        made = Rehearsal(2, 64, 1.0, 2.0, 9.0)
        store.record(ev.PilotDone("p-1", Pilot(2, 8, (0,) * 8 + (2,), 1.0, 0.1, 200.0, rehearsal=made), 1.0))
        assert main(["plan", "a"]) == 0
        lines = " ".join(capsys.readouterr().out.split())
        assert "training: peak 2.00" in lines and "measured, measured" in lines
        (rehearsed,) = told(capsys, "plan", "a")[1]["plans"]
        assert rehearsed["minutes"] * 60 == pytest.approx(15 + 0.1 * rehearsed["rollouts"] + 12 * 2.0)
        store.metrics("p-1", 1, {"train_s": 4.0, "peak_gib": 3.0})
        store.record(ev.ProposalRefused("p-1", "training", "did not move"))
        store.record(ev.ProposalMade("p-2", replace(first, plan=replace(PLAN, steps=10, cases_per_step=32))))
        assert fits_light(load_config(Path(NANO)), PLAN, store.state, RunReader(root / "run.db")).level == "ok"
    code, found = told(capsys, "plan", "a")
    (plan,) = found["plans"]
    assert code == 0 and plan["plan"]["steps"] == 10
    assert plan["measured"] == {"memory": True, "rollouts": True, "steps": True}
    assert plan["memory"][0]["parts_bytes"]["training: peak"] == 3 << 30
    assert plan["minutes"] * 60 == pytest.approx(15 + 0.1 * plan["rollouts"] + 10 * 8.0), "twice the rollouts a step"


@pytest.mark.parametrize(
    ("model", "memory", "train_on", "turns"),
    [
        ("shapes/qwen3-8b.json", 0.5, [0], False),
        ("shapes/qwen3-8b.json", 0.9, [0], True),
        ("shapes/qwen3-8b.json", 0.9, [1], False),
        ("nobody/knows", 0.5, [0], True),
        ("nobody/knows", 0.5, [1], False),
    ],
)
def test_turns_are_taken_where_both_do_not_fit_or_nobody_can_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, memory: float, train_on: list[int], turns: bool
) -> None:
    monkeypatch.setattr(planning, "this_machine", lambda _: machine_named("H100x2"))
    monkeypatch.setattr(planning, "own_description", lambda name: H100 / name)
    changes = [f"policy.model={model}", f"policy.vllm.memory={memory}", "weights.plan.serve_on=[0]"]
    config = load_config(H100 / "qwen3-8b.yaml", [*changes, f"weights.plan.train_on={train_on}"])
    with RunStore(tmp_path / "run.db") as store, closing(RunReader(tmp_path / "run.db")) as reader:
        assert planning.in_turns(config, config.weights.plans(0)[2], store.state, reader) == turns


def test_doctor_for_a_config(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--config", NANO, "--json"])
    nano = {row["what"]: row for row in json.loads(capsys.readouterr().out)}
    for what in ("pinned versions", "ports", "shape", "disk for adapters and checkpoints", "memory", "time"):
        assert nano[what]["ok"], nano[what]
    code, rows = told(capsys, "doctor", "--config", str(H100 / "qwen3-8b.yaml"))
    failing = {row["what"]: row["fix"] for row in rows if not row["ok"] and row["needed"]}
    assert code == 1 and "fetch the model" in failing["model"] and all(failing.values())
    assert next(row for row in rows if row["what"] == "shape")["found"].startswith(
        str(H100 / "shapes" / "qwen3-8b.json")
    )


def test_doctor_counts_a_model_that_is_yet_to_come_where_it_will_lie(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk._replace(free=int(15.25 * GIB)))
    _, rows = told(capsys, "doctor", "--config", str(H100 / "qwen3-8b.yaml"))
    short = next(row for row in rows if row["what"] == "disk for adapters and checkpoints and the model")
    assert not short["ok"] and "the model takes 15.3 in " in short["found"] and "HF_HOME" in short["fix"]
    model = tmp_path / "model"
    model.mkdir()
    shutil.copy(H100 / "shapes" / "qwen3-8b.json", model / "config.json")
    for name in ("tokenizer_config.json", "model.safetensors"):
        (model / name).touch()
    here = tmp_path / "here.yaml"
    here.write_text((H100 / "qwen3-8b.yaml").read_text().replace("Qwen/Qwen3-8B", str(model)))
    _, rows = told(capsys, "doctor", "--config", str(here))
    assert next(row for row in rows if row["what"] == "disk for adapters and checkpoints")["ok"]


def test_doctor_asks_an_interpreter_of_its_own_for_its_vllm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 0.30.1\n")
    python.chmod(0o755)
    config = tmp_path / "c.yaml"
    config.write_text(f"task: {{name: lawbench}}\npolicy: {{backend: vllm, vllm: {{python: {python}}}}}\n")
    _, rows = told(capsys, "doctor", "--config", str(config))
    (vllm,) = [row for row in rows if row["what"] == "vllm"]
    assert not vllm["ok"] and vllm["found"] == f"{python}: 0.30.1" and "pip install vllm==" in vllm["fix"]


def test_doctor_asks_a_server_whether_it_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("task: {name: lawbench}\npolicy: {backend: vllm, address: 'http://127.0.0.1:1'}\n")
    main(["doctor", "--config", str(config), "--json"])
    rows = {row["what"]: row for row in json.loads(capsys.readouterr().out)}
    assert not rows["policy address"]["ok"] and "start the server" in rows["policy address"]["fix"]


def test_planning_imports_nothing_heavy() -> None:
    code = (
        "import sys; from sia_tui.cli.main import main; main(sys.argv[1:]);"
        "heavy = {'torch', 'transformers', 'trl', 'peft', 'textual', 'sqlite_utils'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "plan", NANO], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
