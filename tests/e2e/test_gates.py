"""The gate from the command line: waiting, refusing a stale hash, rejecting with a reason, approving, pausing, stopping."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.conftest import Desk
from tests.e2e.killing import paths_of, start, wait_for

pytestmark = pytest.mark.xdist_group("e2e-gates")

RUN = "asked"
OPENED = "select count(*) from events where kind = 'GateOpened'"


@pytest.fixture(scope="module")
def waiting(desk: Desk) -> dict[str, Any]:
    """A run that was started headless with a person at the gate, and has come to its first one."""
    started = desk.cli("run", str(desk.config), "--name", RUN, "--gate", "ask", "--headless", script="gates")
    assert started.returncode == 3, started.stdout + started.stderr
    return pending(desk)


def pending(desk: Desk) -> dict[str, Any]:
    [found] = [gate for gate in json.loads(desk.cli("pending", "--json").stdout) if gate["run"] == RUN]
    return dict(found)


def test_a_gate_is_asked_answered_and_obeyed(desk: Desk, waiting: dict[str, Any]) -> None:
    assert desk.show(RUN)["status"] == "waiting"
    assert waiting["title"] == "script: worse" and "READERS[:0]" in waiting["patch"] and waiting["preview"]["n"] == 12
    wanted = desk.cli("more-evidence", RUN)
    assert wanted.returncode == 0 and "its preview on as many further train cases" in wanted.stdout, wanted.stderr
    assert "no gate is waiting" in desk.cli("pending").stdout
    paths, log = paths_of(desk, RUN), desk.workspace.parent / "gates.log"
    engine = start(desk, "resume", RUN, "--wait", script="gates", log=log)
    assert wait_for(paths, engine, OPENED, 2), log.read_text()
    early, waiting = waiting, pending(desk)
    assert waiting["preview"]["n"] == 18 and (waiting["gate"], waiting["hash"] != early["hash"]) == (
        early["gate"],
        True,
    )
    before = desk.cli("approve", f"{RUN}/{early['gate']}", "--hash", early["hash"])
    assert before.returncode == 2 and "since then changed: preview" in before.stderr
    none = desk.cli("more-evidence", RUN)
    assert none.returncode == 2 and "over all 18 train cases already" in none.stderr

    stale = desk.cli("approve", f"{RUN}/{waiting['gate']}", "--hash", "0123456789abcdef")
    assert stale.returncode == 2 and "is not that of gate" in stale.stderr
    assert desk.cli("defer", f"{RUN}/{waiting['gate']}").returncode == 0
    assert pending(desk)["hash"] == waiting["hash"], "putting a gate off is no verdict"

    no = desk.cli(
        "reject", f"{RUN}/{waiting['gate']}", "--hash", waiting["hash"][:12], "--reason", "it throws answers away"
    )
    assert no.returncode == 0, no.stderr
    twice = desk.cli("approve", f"{RUN}/{waiting['gate']}", "--hash", waiting["hash"])
    assert twice.returncode == 2 and "answered already" in twice.stderr

    assert wait_for(paths, engine, OPENED, 3), log.read_text()
    second = pending(desk)
    assert second["title"] == "script: better" and second["hash"] != waiting["hash"]
    told = desk.show(RUN)
    assert told["refused"][0]["reason"] == "it throws answers away" and len(told["generations"]) == 1

    old = desk.cli("approve", f"{RUN}/{second['gate']}", "--hash", waiting["hash"])
    assert old.returncode == 2 and "since then changed:" in old.stderr and "proposal" in old.stderr
    yes = desk.cli("approve", f"{RUN}/{second['gate']}", "--hash", second["hash"], "--note", "go")
    assert yes.returncode == 0, yes.stderr

    assert wait_for(paths, engine, OPENED, 4), log.read_text()
    told = desk.show(RUN)
    assert told["generations"][1]["kept"] and told["generations"][1]["verdict"]["note"] == "go"
    assert pending(desk)["lever"] == "stop" and engine.poll() is None

    stopped = desk.cli("stop", RUN)
    assert stopped.returncode == 0
    assert engine.wait(timeout=60) == 0, log.read_text()
    told = desk.show(RUN)
    assert (told["status"], told["test"]) == ("stopped", None), "a run that was broken off opens no test"
    note = desk.git("notes", "--ref=sia/asked", "show", told["refused"][0]["commit"])
    assert "it throws answers away" in note
