"""`doctor --agents` makes one small call to each role's model, and says what it found: model, host, tools, tokens, cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sia_tui.cli.main import main
from tests.agents.provider import KEY, Provider
from tests.agents.turns import Asked, Call, Turn, Usage


def greeted(asked: Asked) -> Turn:
    return Call("word", {}, Usage(100, 10)) if asked.turn == 0 else Call("answer", {"word": "harbour"}, Usage(100, 10))


def agents_of(tmp_path: Path, capsys: pytest.CaptureFixture[str], **agents: Any) -> tuple[int, dict[str, Any]]:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({"task": {"name": "lawbench"}, "agents": agents}))
    code = main(["doctor", "--config", str(path), "--agents", "--json", "--workspace", str(tmp_path / "w")])
    rows = json.loads(capsys.readouterr().out)
    return code, {row["what"]: row for row in rows if "agent" in row["what"]}


def test_every_role_is_called_once_and_hosts_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIA_TEST_KEY", KEY)
    with Provider(greeted) as provider:
        role = {"model": "openai:m", "endpoint": provider.openai_address, "key_env": "SIA_TEST_KEY", "price": [1, 5]}
        _, rows = agents_of(tmp_path, capsys, feedback=role, critic=role)
    assert len(provider.requests) == 4
    assert "the critic agent's: proposals" in rows["agents: 127.0.0.1"]["found"]
    assert rows["meta agent"]["found"] == "playbook: no model is asked"
    for name in ("feedback agent", "critic agent"):
        found = rows[name]["found"]
        assert rows[name]["ok"] and found.startswith("openai:m at 127.0.0.1: calls tools, "), found
        assert found.endswith("2 replies, 220 tokens, 0.00030 $"), found


def test_a_role_that_cannot_be_asked_fails_with_what_to_look_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, rows = agents_of(tmp_path, capsys, critic={"model": "openai:m", "key_env": "NO_SUCH_KEY"})
    assert code == 1 and not rows["critic agent"]["ok"]
    assert "no key in $NO_SUCH_KEY" in rows["critic agent"]["found"] and "agents.critic" in rows["critic agent"]["fix"]
    assert agents_of(tmp_path, capsys)[1]["critic agent"]["found"] == "nobody: no model is asked"
