"""A whole run on a small LawBench-shaped set: real policy, gateway, sandbox, git, SQLite and processes."""

from __future__ import annotations

import fcntl
import json
import sqlite3
import stat
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from sia_tui.config import load_config
from sia_tui.engine.tasks import open_task
from sia_tui.engine.tools import rows_folder
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import Workspace
from tests.e2e.conftest import Desk

pytestmark = pytest.mark.xdist_group("e2e-fates")


def test_it_ends_by_itself_and_says_how_every_step_ended(fates: dict[str, Any]) -> None:
    assert (fates["status"], fates["stop_reason"]) == ("done", "end of the script")
    assert [g["kept"] for g in fates["generations"]] == [True, True, False]
    assert [r["title"] for r in fates["refused"]] == ["script: reaching-out", "script: broken", "script: unappliable"]
    assert [r["by"] for r in fates["refused"]] == ["checks", "preview", "checks"]
    assert "cannot import name 'missing'" in fates["refused"][1]["reason"]
    kept = fates["generations"][1]
    assert kept["gain"]["ci95"][0] > 0 and kept["dev"]["mean"] > fates["generations"][0]["dev"]["mean"]
    assert kept["verdict"]["by"] == "auto" and kept["verdict"]["kind"] == "approve"


def test_an_honest_run_raises_no_alarm(fates: dict[str, Any]) -> None:
    assert fates["alarms"] == []


def test_show_keeps_its_contract(fates: dict[str, Any]) -> None:
    assert {"run", "task", "status", "stop_reason", "generations", "test", "null_baselines", "cost"} <= fates.keys()
    for generation in fates["generations"]:
        wanted = {"index", "lever", "commit", "adapter", "dev", "hidden", "kept", "proposal", "verdict"}
        assert wanted <= generation.keys() and {"mean", "ci95", "n"} <= generation["dev"].keys()
    assert {"mean", "n", "opened_at"} <= fates["test"].keys() and fates["test"]["n"] == 16
    assert set(fates["null_baselines"]) == {"majority", "nearest", "linear-svc"}
    assert all(0 <= x["dev"] <= 1 and 0 <= x["test"] <= 1 for x in fates["null_baselines"].values())
    assert fates["cost"]["episodes"] > 150 and fates["cost"]["tokens"] > 10_000 and fates["cost"]["wall_s"] > 1


def test_scores_are_those_of_the_trajectories(desk: Desk, fates: dict[str, Any]) -> None:
    task = open_task(Workspace(desk.workspace), load_config(desk.config), print)
    reader = RunReader(Workspace(desk.workspace).run("fates").db)
    for generation in reader.state().generations:
        rows = reader.episodes(generation.key, "dev")
        assert len(rows) == generation.results["dev"].n == fates["generations"][0]["dev"]["n"]
        assert generation.results["dev"].mean == pytest.approx(sum(row.reward for row in rows) / len(rows))
        for _, attempt, score in reader.trajectories(generation.key, "dev"):
            right = attempt.answer == task.gold[attempt.case.id]
            assert (score.reward == 1.0) == right and attempt.isolation in ("bwrap", "landlock")
            for call in attempt.calls:
                assert call.prompt_ids and len(call.completion_ids) == len(call.logprobs)


def test_plain_git_tells_the_story(desk: Desk, fates: dict[str, Any]) -> None:
    log = desk.git("log", "--notes", "--exclude=refs/notes/*", "--all", "--format=%H %s%n%(trailers)%n%N")
    for generation in fates["generations"]:
        assert desk.git("rev-parse", f"fates/g{generation['index']}").strip() == generation["commit"]
        assert json.loads(desk.git("show", f"{generation['commit']}:generation.json"))["harness"]
    assert desk.git("rev-parse", "fates").strip() == fates["generations"][1]["commit"]
    for refused in fates["refused"]:
        assert desk.git("rev-parse", f"refs/sia/proposals/{refused['proposal']}").strip() == refused["commit"]
    assert "+import subprocess" in desk.git("show", fates["refused"][0]["commit"])
    assert "Lose the charge" in desk.git("log", "-1", "--format=%B", fates["refused"][2]["commit"])
    for words in (
        "Run: fates",
        "Lever: harness",
        "Proposal: p-",
        "kept",
        "rolled back",
        "refused by checks",
        "refused by preview",
    ):
        assert words in log
    assert desk.git("log", "--format=%s", "fates").splitlines()[:2] == [
        "script: better",
        "g0 of fates: the first harness",
    ]
    worktree = desk.workspace / "runs" / "fates" / "harness" / "lawbench" / "shortlist.py"
    assert "SIZE = 3" in worktree.read_text()


def test_diff_and_history_read_the_same_story(desk: Desk, fates: dict[str, Any]) -> None:
    assert "+SIZE = 3" in desk.cli("diff", "fates", "g0", "g1").stdout
    assert "+import subprocess" in desk.cli("diff", "fates", "g1", fates["refused"][0]["proposal"]).stdout
    told = [line["kind"] for line in json.loads(desk.cli("history", "fates", "--json").stdout)]
    assert told[0] == "RunCreated" and told[-1] == "RunEnded" and told.count("TestOpened") == 1
    nonsense = desk.cli("diff", "fates", "g0", "g9")
    assert nonsense.returncode == 2 and "g0 … g2" in nonsense.stderr


def test_a_finished_run_can_go_back_and_be_branched(desk: Desk, fates: dict[str, Any]) -> None:
    went = desk.cli("rollback", "fates", "g0")
    assert went.returncode == 0 and desk.git("rev-parse", "fates").strip() == fates["generations"][0]["commit"]
    assert desk.cli("rollback", "fates", "g1").returncode == 0
    assert desk.git("rev-parse", "fates").strip() == fates["generations"][1]["commit"]
    again = desk.cli("rollback", "fates", "g1")
    assert again.returncode == 2 and "is the incumbent already" in again.stderr
    branched = desk.cli("branch", "fates", "g1")
    assert branched.returncode == 0 and "fates-g1-1" in branched.stdout
    told = desk.show("fates-g1-1")
    assert (told["parent"], told["generations"]) == ("fates/g1", [])
    assert desk.cli("branch", "fates", "g1", "--name", "short", "--set", "budget.steps=1").returncode == 0
    assert load_config(desk.workspace / "runs" / "short" / "config.yaml").budget.steps == 1
    other = desk.cli("branch", "fates", "g1", "--set", "task.seed=7")
    assert other.returncode == 2 and "a branch keeps the task and the policy" in other.stderr
    resumed = desk.cli("resume", "fates")
    assert resumed.returncode == 2 and "fates is done" in resumed.stderr


def test_a_generation_reproduces_and_the_run_is_told_on_one_page(
    desk: Desk, fates: dict[str, Any], tmp_path: Path
) -> None:
    before = desk.show("fates")
    again = desk.cli("reproduce", "fates", "g1", "--json")
    assert again.returncode == 0, again.stdout + again.stderr
    told = json.loads(again.stdout)
    dev, measured = fates["generations"][1]["dev"], told["measured"]
    assert told["reproduces"] and all(seal["holds"] for seal in told["seals"])
    assert measured["recorded"] == pytest.approx(dev["mean"]) and measured["same"] >= dev["n"] - 2
    assert desk.show("fates") == before, "the run's own log is left alone"
    assert desk.cli("report", "fates", "--out", str(tmp_path)).returncode == 0
    for path in (tmp_path / "report.html", tmp_path / "report.md"):
        page = path.read_text("utf-8")
        assert "All of it is as it was recorded" in page and "script: better" in page and "g1 kept" in page


def test_what_is_unsafe_to_share_is_private(desk: Desk, fates: dict[str, Any]) -> None:
    root = desk.workspace / "runs" / "fates"
    assert stat.S_IMODE((root / "gateway").stat().st_mode) == 0o700
    for gold in (root / "verifier").glob("gold*.json"):
        assert stat.S_IMODE(gold.stat().st_mode) & 0o077 == 0


READING = (
    ["ls"],
    ["show", "fates"],
    ["pending"],
    ["history", "fates"],
    ["diff", "fates", "g0", "g1"],
    ["tasks", "ls"],
    ["memory", "lawbench"],
)
FORBIDDEN = ("torch", "textual", "sqlite_utils", "transformers", "sklearn", "numpy", "aiohttp")


def test_reading_verbs_import_nothing_heavy_and_speak_json(desk: Desk, fates: dict[str, Any]) -> None:
    code = (
        "import contextlib, io, json, sys\nfrom sia_tui.cli.main import main\n"
        f"for verb in {READING!r}:\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as told:\n"
        "        assert main([*verb, '--json']) == 0, verb\n"
        "    json.loads(told.getvalue())\n"
        f"    print(verb[0], [name for name in {FORBIDDEN!r} if name in sys.modules])\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=desk.environment(), timeout=60
    )
    assert told.stdout.splitlines() == [f"{verb[0]} []" for verb in READING], told.stderr


def test_a_second_engine_is_told_who_holds_the_run(desk: Desk, fates: dict[str, Any]) -> None:
    desk.cli("branch", "fates", "g0")
    root = desk.workspace / "runs" / "fates-g0-1"
    with (root / "engine.lock").open("w") as lock:
        lock.write(json.dumps({"pid": 4711, "host": "there", "since": "2026-01-01T00:00:00+00:00"}))
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = desk.cli("resume", "fates-g0-1")
    assert refused.returncode == 2 and "pid 4711 on there since" in refused.stderr


def test_memory_is_written_as_the_run_goes_and_can_be_made_again(desk: Desk, fates: dict[str, Any]) -> None:
    def told() -> dict[str, Any]:
        data = json.loads(desk.cli("memory", "lawbench", "--json").stdout)
        return {name: [item for item in data[name] if item["run"] == "fates"] for name in ("ideas", "forecasts")}

    before = told()
    assert [(idea["idea"], idea["outcome"]) for idea in before["ideas"]] == [
        ("better", "kept"),
        ("reaching-out", "refused"),
        ("broken", "refused"),
        ("worse", "rolled back"),
        ("unappliable", "refused"),
    ]
    assert desk.cli("memory", "lawbench", "--rebuild").returncode == 0 and told() == before
    reader = RunReader(Workspace(desk.workspace).run("fates").db)
    state = reader.state()
    old, new = (sum(row.tokens for row in reader.episodes(made.key, "dev")) for made in state.generations[:2])
    measured = state.steps[0].measured
    assert measured is not None and measured.cost["tokens"] == pytest.approx(new / old) and measured.cost["calls"] > 0


def test_harness_code_sees_no_label_and_not_its_own_case(desk: Desk, fates: dict[str, Any]) -> None:
    """A patch that searches every file it can open for its own case finds none, on train (in fold) and on dev.

    Nor does any trajectory of dev, hidden or test hold the expected answer, or any prompt more than its own case. One that
    opens the planted answer key too is refused for it.
    """
    carried = ["--set", "agents.memory=task"]
    for few in ("train=9", "preview=6", "hidden=4", "test=4"):
        carried += ["--set", f"evaluate.{few}"]
    ended = desk.cli("run", str(desk.config), "--name", "spy", *carried, script="spy")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    reader = RunReader(Workspace(desk.workspace).run("spy").db)
    spying, prying, reaching = reader.state().steps[:3]
    assert spying.red is None and prying.refused is not None
    assert prying.refused.by == "checks" and "the planted answer key was opened" in prying.refused.reason
    again = {light.name: light for light in reaching.lights or ()}["tried before"]
    assert (again.level, ": refused (by checks: imports" in again.detail) == ("amber", True), again
    spied = reader.state().generations[1]
    task = open_task(Workspace(desk.workspace), load_config(desk.config), print)
    looked = 0
    for split in ("train", "dev"):
        for _, attempt, score in reader.trajectories(spied.key, split):
            assert attempt.error is None, attempt.error
            assert attempt.notes["found"] == [], attempt.notes
            looked += attempt.notes["looked"]
            sent = json.dumps([call.messages for call in attempt.calls], ensure_ascii=False)
            assert attempt.case.id not in sent and "expected" not in sent
            others = [case for case in task.cases.values() if case.inputs["text"] != attempt.case.inputs["text"]]
            assert not any(case.id in sent or case.inputs["text"] in sent for case in others)
            assert ("expected" in score.detail) == (split == "train")
    connection = sqlite3.connect(f"{Workspace(desk.workspace).run('spy').db.as_uri()}?mode=ro", uri=True)
    stored = "select e.split, t.body from episodes e join trajectories t on t.episode = e.id"
    told = {(split, b'"expected"' in zlib.decompress(body)) for split, body in connection.execute(stored)}
    assert told == {("train", True), ("dev", False), ("hidden", False), ("test", False)}
    assert looked > 500, "the search did not even find the rows it may see"


def test_mounted_rows_never_hold_another_split_or_the_same_fold(desk: Desk) -> None:
    config = load_config(desk.config)
    task = open_task(Workspace(desk.workspace), config, print)
    root = Workspace(desk.workspace).folder("rows")
    train = set(task.ids("train"))
    for view in task.views:
        mounted = {json.loads(line)["id"] for line in (rows_folder(root, task, view) / "rows.jsonl").open()}
        assert mounted <= train
        if view != "all":
            assert not mounted & {case for case in train if task.cases[case].view == view}
