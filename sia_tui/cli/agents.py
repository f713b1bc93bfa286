"""`agents`: what a model would propose on a recorded generation, and what a run's models were sent and said."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from sia_tui.cli.doctor import Row
from sia_tui.cli.main import DONE, Failure, UsageError
from sia_tui.core.clock import when
from sia_tui.core.text import clean
from sia_tui.store.reader import AgentCall, RunReader
from sia_tui.store.workspace import Workspace

if TYPE_CHECKING:
    from sia_tui.agents.llm.roles import Role
    from sia_tui.config import RunConfig
    from sia_tui.core.proposals import Proposal

WHO = {"system": "instructions", "user": "asked", "tool": "result", "assistant": "said", "call": "calls"}


def agents(options: argparse.Namespace) -> int:
    return _try(options) if options.action == "try" else _log(options)


def _log(options: argparse.Namespace) -> int:
    """Whole and in order; a dialogue is long, so there is a pager for it."""
    reader = RunReader(Workspace.locate(options.workspace).existing(options.what).db)
    calls = [call for call in reader.agent_calls() if options.step in (None, call.step)]
    reader.close()
    if options.json:
        print(json.dumps([asdict(call) for call in calls], ensure_ascii=False, indent=2))
    else:
        print("\n".join(line for call in calls for line in _lines(call)) or "no model was asked in this run")
    return DONE


def _lines(call: AgentCall) -> Iterator[str]:
    yield f"── {call.role} agent, step {call.step}, {when(call.at)} ──"
    for said in (*call.sent, *call.said):
        who = " ".join((WHO.get(said["role"], said["role"]), said.get("name", ""))).strip()
        yield f"[{who}]\n{clean(said['text'])}"


def _try(options: argparse.Namespace) -> int:
    from sia_tui.agents.llm.greeting import Heard

    if options.generation is None:
        raise UsageError("agents try CONFIG RUN/GEN: name a recorded generation, such as lawbench-nano-1/g2")
    heard = Heard()
    proposal = asyncio.run(_proposal(options, heard))
    if options.json:
        print(json.dumps(asdict(proposal), ensure_ascii=False, indent=2))
        return DONE
    print("\n".join(_shown(proposal)))
    for note in heard.notes:
        print(f"note: {clean(note)}")
    if heard.calls:
        cost = "price not known" if heard.cost is None else f"{heard.cost:.4f} $"
        print(f"asked {len(heard.calls)} times: {heard.tokens} tokens, {cost}; nothing was run, nothing is kept")
    return DONE


async def _proposal(options: argparse.Namespace, heard: object) -> Proposal:
    from sia_tui.agents import make_feedback_agent
    from sia_tui.engine.recorded import NothingRecorded, recorded
    from sia_tui.engine.tasks import open_task
    from sia_tui.tasks.task import TaskError

    config, workspace = _config(options.what), Workspace.locate(options.workspace)
    run, _, generation = options.generation.rpartition("/g")
    if not run or not generation.isdigit():
        raise UsageError(f"{options.generation}: expected RUN/GEN, such as lawbench-nano-1/g2")
    try:
        task = open_task(workspace, config, lambda said: None)
        record = recorded(workspace, workspace.existing(run), task, config, int(generation))
        return await make_feedback_agent(config.agents.feedback, heard).propose(record)  # type: ignore[arg-type]
    except (NothingRecorded, TaskError) as error:
        raise Failure(str(error)) from error


def _shown(proposal: Proposal) -> Iterator[str]:
    yield f"{proposal.lever}: {clean(proposal.title)}  (idea {proposal.idea})"
    yield clean(proposal.reason)
    if proposal.predicted_gain is not None:
        yield f"predicts {100 * proposal.predicted_gain:+.1f} points on dev"
    if proposal.evidence:
        yield f"rests on {', '.join(proposal.evidence)}"
    if proposal.plan is not None:
        yield json.dumps(asdict(proposal.plan), indent=1)
    if proposal.patch is not None:
        yield clean(proposal.patch)


def role_rows(path: Path) -> list[Row]:
    """One small call a role of the config: `doctor --agents`."""
    config = _config(str(path))
    rows = [Row(True, f"agents: {to.host}", f"receives {to.what}", needed=False) for to in config.egress]
    for name, role in config.agents.players.items():
        if role is None or isinstance(role, str):
            rows.append(Row(True, f"{name} agent", f"{role or 'nobody'}: no model is asked", needed=False))
        else:
            rows.append(asyncio.run(_role_row(name, role)))
    return rows


async def _role_row(name: str, role: Role) -> Row:
    from sia_tui.agents.llm.asking import NoAnswer
    from sia_tui.agents.llm.greeting import greet

    small = role.model_copy(
        update={"tries": min(role.tries, 2), "requests": 6, "deadline_s": min(role.deadline_s, 120)}
    )
    try:
        heard, seconds = await greet(name, small)
    except NoAnswer as reason:
        return Row(
            False, f"{name} agent", str(reason), f"look at agents.{name} in the config: model, endpoint, key_env"
        )
    cost = "price not known" if heard.cost is None else f"{heard.cost:.5f} $"
    spent = f"{seconds:.1f} s, {len(heard.calls)} replies, {heard.tokens} tokens, {cost}"
    return Row(True, f"{name} agent", f"{role.model} at {role.host}: calls tools, {spent}")


def _config(path: str) -> RunConfig:
    from sia_tui.config import ConfigError, load_config

    try:
        return load_config(Path(path))
    except ConfigError as error:
        raise UsageError(str(error)) from error
