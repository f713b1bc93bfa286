"""A run that is shared without its words holds none of them, in any table or member, and still plays."""

from __future__ import annotations

import json
import re
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from sia_tui.cli.main import main
from sia_tui.cli.recording import unpack
from sia_tui.core import events as ev
from sia_tui.harness.repository import HarnessRepository
from sia_tui.store.reader import RunReader, append_command
from sia_tui.store.trajectories import plain
from sia_tui.store.trajectories import unpack as trajectory
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.store.writer import RunStore
from sia_tui.tui.replay import Replay
from tests.tui.runs import make_run

SAID = ({"role": "user", "text": "a word to the model"}, {"role": "tool", "name": "search", "text": "found a word"})
PLACE, KEY = "/home/ana/private", "k3y-of-a-service"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunPaths, Path]:
    """A run with all kinds of words in it, and the file it is shared as."""
    tmp_path = tmp_path_factory.mktemp("shared")
    workspace = Workspace(tmp_path / "w")
    paths = make_run(workspace.run("r").root, "done")
    with RunStore(paths.db) as store:
        store.record(ev.RiskAccepted("gold", "because I say so", "ana"), ev.RunPaused("ana", "for lunch with bertha"))
        trained = next(step.trained for step in store.state.steps if step.trained)
        wanted = replace(store.state.steps[0].proposal, agent="person:ana")
        store.record(ev.ProposalWanted(wanted, "ana"), replace(trained, stopped="ended early by ana"))
        called = ev.AgentCalled("c1", "feedback", "m", "models.example", "p", 1, 0, 1, None, 0.1, 1)
        store.record_call(called, 1, SAID, SAID, b"a raw response")
    append_command(paths.db, "pause", "ana", {"reason": "a secret command"})
    config = yaml.safe_load(paths.config.read_text())
    config["task"]["folder"], config["notify"] = PLACE, {"command": ["curl", "-H", f"Bearer {KEY}"]}
    config["harness"]["agent"] = {"command": ["python", "--key", KEY]}
    paths.config.write_text(yaml.safe_dump(config))
    HarnessRepository.plant(workspace.harness_repository, "toy", {"harness.py": b"pass\n"})
    out = tmp_path / "shared.zip"
    assert main(["replay", "r", "--save", str(out), "--redact", "--workspace", str(workspace.root)]) == 0
    return paths, out


def private(paths: RunPaths) -> set[str]:
    """Every text of a case, a model, an agent or a person in the run."""
    found = {"a secret command", "a raw response", PLACE, KEY}
    with closing(RunReader(paths.db)) as reader, closing(sqlite3.connect(paths.db)) as db:
        for (body,) in db.execute("select body from trajectories"):
            attempt, score = trajectory(body)
            told = [call.messages for call in attempt.calls], [call.text for call in attempt.calls], dict(attempt.notes)
            found |= set(_texts([attempt.case.inputs, attempt.answer, *told, dict(score.detail)]))
            found |= {text for call in attempt.tool_calls for text in (call.arguments, call.result)}
        for step in reader.state().steps:
            proposal = step.proposal
            found |= {proposal.title, proposal.reason, proposal.idea, proposal.patch or "", *proposal.clusters}
            found |= {verdict.note for verdict in step.verdicts} | {light.detail for light in step.lights or ()}
        found |= {"because I say so", "for lunch with bertha", *(message["text"] for message in SAID)}
    kept = {"policy", "system", "user", "assistant", "tool", "timeout", "not a charge", "another charge", "wrong"}
    return {text for text in found if len(text) > 2} - kept


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


def test_no_private_text_is_in_what_is_shared(shared: tuple[RunPaths, Path], tmp_path: Path) -> None:
    paths, out = shared
    texts = private(paths)
    assert len(texts) > 50
    with zipfile.ZipFile(out) as packed:
        assert set(packed.namelist()) == {"run.db", "config.yaml"}
        whole = b"\n".join(packed.read(name) for name in packed.namelist())
    _, there = unpack(out, tmp_path / "there")
    with closing(sqlite3.connect(there.db)) as db:
        bodies = [plain(body) for (body,) in db.execute("select body from trajectories")]
    whole += b"\n".join(bodies)
    found = [text for text in texts if text.encode() in whole or json.dumps(text)[1:-1].encode() in whole]
    assert not found
    assert not re.search(rb"\bana\b", whole) and b"models.example" not in whole
    assert b"ended early by person " in whole and b"person:person " in whole


def test_whom_a_run_calls_is_in_no_recording(shared: tuple[RunPaths, Path], tmp_path: Path) -> None:
    paths, _ = shared
    out = tmp_path / "whole.zip"
    assert main(["replay", "r", "--save", str(out), "--workspace", str(paths.root.parents[1])]) == 0
    _, there = unpack(out, tmp_path / "there")
    told, before = (yaml.safe_load(one.config.read_text()) for one in (there, paths))
    assert "notify" not in told and told["harness"] == before["harness"]


def test_export_shares_the_whole_run_and_no_generation_without_words(
    shared: tuple[RunPaths, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths, _ = shared
    out = tmp_path / "by-export.zip"
    at = ("--out", str(out), "--workspace", str(paths.root.parents[1]))

    def said(*words: str) -> str:
        assert main(["export", "r", *words, *at]) == 2
        return capsys.readouterr().err

    assert "can be shared without them, to be looked at: sia-tui export r --bundle --redact" in said(
        "g0", "--bundle", "--redact"
    )
    assert "--redact goes with --bundle" in said("--hf", "--redact")
    assert "name a generation" in said("--bundle") and not out.exists()
    assert main(["export", "r", "--bundle", "--redact", *at]) == 0
    assert "without the texts" in capsys.readouterr().out and "is there already" in said("--bundle", "--redact")
    _, there = unpack(out, tmp_path / "there")
    assert Replay(there) and KEY.encode() not in there.config.read_bytes() + there.db.read_bytes()


def test_it_plays_and_counts_as_before(shared: tuple[RunPaths, Path], tmp_path: Path) -> None:
    paths, out = shared
    _, there = unpack(out, tmp_path / "there")
    with closing(RunReader(paths.db)) as before, closing(RunReader(there.db)) as after:
        assert Replay(there)
        old, new = before.state(), after.state()
        assert (new.cost, new.status) == (old.cost, old.status)
        means = [
            [(one.key, {split: r.mean for split, r in one.results.items()}) for one in state.generations]
            for state in (old, new)
        ]
        assert means[0] == means[1]
        assert [asdict(step)["measures"] for step in new.steps] == [asdict(step)["measures"] for step in old.steps]
        calls = [[call.tokens for call in attempt.calls] for _, attempt, _ in after.rollouts(new.steps[2].id)]
        assert calls == [[call.tokens for call in attempt.calls] for _, attempt, _ in before.rollouts(old.steps[2].id)]
