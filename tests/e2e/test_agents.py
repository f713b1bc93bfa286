"""A whole run whose Meta- and Feedback-Agent and critic are a language model, over a real wire that fails in every way it can,
and whose engine is killed amid a proposal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from sia_tui.core.episodes import Split
from sia_tui.core.hashing import digest
from sia_tui.core.state import State
from sia_tui.store.reader import AgentCall, RunReader
from sia_tui.tasks.registry import load_task
from tests.agents.provider import KEY, Provider
from tests.agents.turns import Asked, Fault, Turn
from tests.e2e import brains
from tests.e2e.conftest import ROOT, Desk
from tests.e2e.killing import paths_of, require_no_orphans

pytestmark = [pytest.mark.xdist_group("e2e-agents"), pytest.mark.timeout(900)]

FAULTS = (
    Fault("status", 429, retry_after=0),
    Fault("status", 500),
    Fault("cut"),
    Fault("cut_midway"),
    Fault("ends_early"),
    Fault("malformed"),
    Fault("error_midway"),
    Fault("stall", seconds=4.0),
)


@dataclass(frozen=True)
class Ran:
    provider: Provider
    state: State
    shown: dict[str, Any]
    calls: list[AgentCall]
    said: str
    config: Path


AGENTS = {"You are the Meta-Agent", "You are the Feedback-Agent", "You are the critic"}
KILLED_AT = 4
"""Replies that the proposal of the first step has had when its engine is killed; it takes seven."""


class Deadly:
    """Answers as the brains do, but kills the engine that asks for one reply, before there is any."""

    engine: subprocess.Popen[str] | None = None

    def __call__(self, asked: Asked) -> Turn:
        if self.engine is not None and "You are the Feedback-Agent" in asked.system and asked.turn == KILLED_AT:
            os.kill(self.engine.pid, signal.SIGKILL)
            self.engine = None
            return Fault("cut")
        return brains.answer(asked)


@pytest.fixture(scope="module")
def ran(desk: Desk) -> Iterator[Ran]:
    script = Deadly()
    with Provider(script, faults=FAULTS) as provider:
        config = _config(desk, provider)
        script.engine = begun = _start(desk, "run", str(config), "--name", "model")
        said, _ = begun.communicate(timeout=400)
        assert begun.returncode == -signal.SIGKILL, said
        require_no_orphans(paths_of(desk, "model"))
        resumed = _start(desk, "resume", "model")
        more, _ = resumed.communicate(timeout=400)
        assert resumed.returncode == 0, more
        reader = RunReader(paths_of(desk, "model").db)
        calls, state = reader.agent_calls(), reader.state()
        reader.close()
        yield Ran(provider, state, desk.show("model"), calls, said + more, config)


def _start(desk: Desk, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sia_tui", *arguments],
        env=desk.environment() | {"SIA_TEST_KEY": KEY},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _config(desk: Desk, provider: Provider) -> Path:
    role = {"model": "openai:scripted", "endpoint": provider.openai_address, "key_env": "SIA_TEST_KEY"}
    role |= {"price": [1.0, 5.0], "stall_s": 2.0, "wait_s": 0.1, "tries": 10, "otherwise": "stop"}
    tree = yaml.safe_load(desk.config.read_text()) | {"agents": {"meta": role, "feedback": role, "critic": role}}
    tree["evaluate"] |= {"hidden": 4, "test": 4}
    tree["weights"] = {"rank": 8, "learning_rate": 3e-3, "held_out": 12, "pilot": 6}
    path = desk.config.with_name("model.yaml")
    path.write_text(yaml.safe_dump(tree))
    return path


def test_a_model_writes_patches_and_trains(ran: Ran) -> None:
    first, patched = ran.shown["generations"][:2]
    assert first["index"] == 0 and first["verdict"]["by"] == "auto", "the first harness passed a gate"
    assert patched["lever"] == "harness" and patched["title"] == "a model's harness step"
    made = [generation["lever"] for generation in ran.shown["generations"][2:]]
    refused = [step["title"] for step in ran.shown["refused"]]
    assert made == ["weights"] or refused == ["a model's weights step"], (
        "trained, or its training refused with a reason"
    )
    assert ran.shown["stop_reason"] == "a model's stop step"


def test_every_failure_was_survived(ran: Ran) -> None:
    assert not ran.provider.faults, "every one was dealt"
    assert ran.said.count("asking again") == len(FAULTS)


def test_it_costs_what_it_says(ran: Ran) -> None:
    answered = len(ran.calls)
    assert answered == sum(request.status == 200 and request.error is None for request in ran.provider.requests)
    cost = ran.shown["cost"]
    assert (cost["calls"], cost["agent_tokens"]) == (answered, 1050 * answered)
    assert cost["money"] == pytest.approx(0.00125 * answered, abs=1e-4)


def test_killed_amid_a_proposal_it_asks_only_what_was_not_answered(ran: Ran) -> None:
    """What every reply cost is paid once: the dialogue goes on, word for word, at the question that was under way."""
    asked = [request.body for request in ran.provider.requests]
    unanswered = max(at for at, request in enumerate(ran.provider.requests) if request.error == "cut")
    assert asked[unanswered] == asked[unanswered + 1]
    assert ran.provider.requests[unanswered].asked.turn == KILLED_AT  # type: ignore[union-attr]
    answered = [request.body for request in ran.provider.requests if request.status == 200 and request.error is None]
    assert len(set(answered)) == len(answered)
    turns = [one.turn for one in ran.provider.asked if _patching(one)]
    assert turns == [0, 1, 2, 3, 4, 4, 5, 6]


def _patching(asked: Asked) -> bool:
    return "You are the Feedback-Agent" in asked.system and "a model's harness step" not in asked.prompt


def test_a_critic_is_heard_before_every_gate_and_decides_nothing(desk: Desk, ran: Ran) -> None:
    heard = {step.proposal.lever: step.review for step in ran.state.steps if step.gates and not step.proposal.first}
    assert {lever: review.doubt for lever, review in heard.items() if review} == {
        "harness": "some",
        "weights": "some",
        "stop": "unheard",
    }
    for step in ran.state.steps:
        assert step.review is not None and step.lights is not None and step.lights[-1] == step.review.light
        assert step.gates[0].parts["lights"] == digest([asdict(light) for light in step.lights])
    assert ran.state.steps[0].review is not None and ran.state.steps[0].review.doubt == "none", "of the first harness"
    assert ran.said.count("not heard: openai:scripted: no valid answer") == 1 and ran.state.status == "done"
    told = desk.cli("agents", "log", "model", "--step", "2").stdout
    assert "critic agent, step 2" in told and "You are the critic" in told and "you were shown no episode e-000" in told


def test_what_was_wrong_came_back_to_the_model(ran: Ran) -> None:
    results = [said["text"] for call in ran.calls for said in call.sent if said["role"] == "tool"]
    for reason in (
        "does not parse",
        "not today",
        "is called e-0000000000",
        "'../escape.py' may not be written",
    ):
        assert any(reason in text for text in results), reason
    assert any("Counter({" in text for text in results), "what its script counted"
    assert any(text.startswith("<data-") and "reward" in text for text in results), "what its trial gave"


def test_no_key_is_anywhere(desk: Desk, ran: Ran) -> None:
    assert all(request.key == KEY for request in ran.provider.requests)
    files = [path for path in desk.workspace.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    assert KEY not in ran.said + "".join(ran.provider.strings())


def test_no_string_sent_to_a_model_is_of_hidden_or_test(desk: Desk, ran: Ran) -> None:
    settings = yaml.safe_load(ran.config.read_text())["task"]
    task = load_task("lawbench", Path(settings.pop("data")), seed=0, limit=None, **_split(settings))
    sent = "\n".join(ran.provider.strings())
    secret: tuple[Split, ...] = ("hidden", "test")
    cases = [task.cases[name] for split in secret for name in task.ids(split)]
    assert len(cases) > 40
    for case in cases:
        assert case.id not in sent and case.inputs["text"][-25:] not in sent
    assert {one.system.partition(" of ")[0] for one in ran.provider.asked} == AGENTS
    seen = [task.cases[name] for name in task.ids("dev")]
    assert sum(case.id in sent for case in seen) > 10, "dev is read, so the walk would find what is sent"


def _split(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: settings[name] for name in ("folds", "dev", "hidden")}


def test_what_was_said_can_be_read(desk: Desk, ran: Ran) -> None:
    told = desk.cli("agents", "log", "model", "--step", "0").stdout
    assert "meta agent, step 0" in told and "[calls answer]" in told and "You are the Meta-Agent" in told


def test_a_recorded_generation_can_be_asked_about_again(desk: Desk, ran: Ran) -> None:
    """And undisturbed by any kill it is told the same, and proposes the same."""
    before, of_the_run = RunReader(paths_of(desk, "model").db), len(ran.provider.asked)
    events = len(before.log())
    asked = subprocess.run(
        [sys.executable, "-m", "sia_tui", "agents", "try", str(ran.config), "model/g0", "--json"],
        env=os.environ | desk.environment() | {"SIA_TEST_KEY": KEY},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert asked.returncode == 0, asked.stderr
    (patched,) = (step.proposal for step in ran.state.steps if step.proposal.title == "a model's harness step")
    assert json.loads(asked.stdout) == json.loads(json.dumps(asdict(patched)))
    (first, *_) = (one.prompt for one in ran.provider.asked[:of_the_run] if _patching(one))
    assert ran.provider.asked[of_the_run].prompt == first
    assert len(before.log()) == events, "nothing was written"
    before.close()
