"""What people ask of a run, turned into events. Everything is answered; nothing is silently dropped."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sia_tui.core import events as ev
from sia_tui.core.amending import NotAmended, amended
from sia_tui.core.codec import build
from sia_tui.core.contract import Contract
from sia_tui.core.evidence import EvidenceWanted
from sia_tui.core.fitness import ROWS
from sia_tui.core.gates import Gate, StaleHash, Verdict, VerdictKind, require_hash
from sia_tui.core.loop import Rules, used_up
from sia_tui.core.meantime import more_for
from sia_tui.core.own import NotProposed, proposed
from sia_tui.core.proposals import Proposal
from sia_tui.core.state import State, undecided
from sia_tui.core.text import clean, is_text, one_line
from sia_tui.engine.saved import what_is_saved
from sia_tui.store.workspace import RunPaths
from sia_tui.store.writer import Command, RunStore, now

Fault = Callable[[Proposal], str | None]
"""What the checks have against a proposal, where they can be made."""


class Refused(Exception):
    """The command cannot be carried out; the message says why and what to do."""


def heed(
    store: RunStore, paths: RunPaths, fault: Fault = lambda proposal: None, rules: Rules | None = None
) -> list[str]:
    """Answer every open command. Returns the answers, for the log. `rules`: the config's, where it can be read."""
    said = []
    for command in store.commands():
        try:
            message, events = _carry_out(command, store.state, what_is_saved(store, paths), fault, rules)
            store.answer(command, True, message, *events)
        except (Refused, StaleHash, NotAmended, NotProposed) as error:
            message = clean(str(error))
            store.answer(command, False, message)
        except Exception as error:  # noqa: BLE001 - a command is untrusted, and one that stays unanswered comes again
            message = f"malformed command: {one_line(repr(error))}"
            store.answer(command, False, message)
        said.append(f"{command.kind} by {command.by}: {message}")
    return said


def _carry_out(
    command: Command, state: State, saved: str, fault: Fault, rules: Rules | None
) -> tuple[str, list[ev.Event]]:
    body = _body(command.body)
    match command.kind:
        case "approve" | "reject":
            return _verdict(command, body, state)
        case "contract":
            return _contract(command, body, state)
        case "end-contract":
            _require(state.contract is not None and not state.over, "no contract stands")
            return "the contract is ended; gates ask again", [ev.ContractEnded(command.by, f"ended by {command.by}")]
        case "amend":
            return _amend(command, body, state, fault)
        case "propose":
            return _propose(command, body, state, fault, rules)
        case "defer":
            _waiting(state, str(body["gate"]))
            return "put off; the gate stays open", [ev.GateDeferred(str(body["gate"]), command.by)]
        case "more-evidence":
            return _more(command, body, state)
        case "pause":
            _require(state.status == "running", f"the run is {state.status}")
            return "pausing; episodes under way are made again later", [ev.RunPaused(command.by, saved)]
        case "resume":
            _require(state.status == "paused", f"the run is {state.status}, not paused")
            return "resumed", [ev.RunResumed(command.by)]
        case "stop":
            _require(state.status in ("running", "paused", "failed"), f"the run is {state.status}")
            reason = "; ".join(filter(None, ("stopped by a person", saved)))
            stop = ev.StopAsked(reason, command.by, open_test=False, status="stopped")
            return "stopping; test stays sealed", [stop]
        case "accept-risk":
            return _accept(command, str(body["row"]), str(body["reason"]).strip())
        case "stop-training":
            return _cut_short(command, state, saved)
        case "rollback":
            return _go_back(command, body, state)
    raise Refused(f"no command {command.kind!r}")


def _body(written: str) -> dict[str, Any]:
    """Of words that can be written down again: JSON may escape what is half a character."""
    body = json.loads(written)
    if not isinstance(body, dict):
        raise Refused("malformed command: what it says is no object")
    if not is_text(written_anew := json.dumps(body, ensure_ascii=False)):
        raise Refused(f"malformed command: half a character in {one_line(written_anew, 100)}")
    return body


def _accept(command: Command, row: str, reason: str) -> tuple[str, list[ev.Event]]:
    _require(row in ROWS, f"there is no row {row!r} of an evaluator's fitness; there are: {', '.join(ROWS)}")
    _require(bool(reason), f"the risk of {row} is accepted for a reason: --reason T")
    return f"the risk of {row} is accepted: {reason}", [ev.RiskAccepted(row, reason, command.by)]


def _verdict(command: Command, body: dict[str, Any], state: State) -> tuple[str, list[ev.Event]]:
    gate = _waiting(state, str(body["gate"]))
    require_hash(gate, str(body["hash"]), state.earlier)
    kind: VerdictKind = "approve" if command.kind == "approve" else "reject"
    other = kind == "reject" and bool(body.get("other_lever"))
    lever = state.step(gate.proposal).proposal.lever
    if other and (gate.kind != "step" or lever not in ("harness", "weights")):
        raise Refused(f"there is no other lever to ask for in place of {lever} here; reject it with a reason")
    verdict = Verdict(gate.id, kind, command.by, str(body.get("note") or ""), now(), other)
    return f"{'approved' if kind == 'approve' else 'rejected'} {gate.id}", [ev.VerdictGiven(verdict, *_witnessed(body))]


def _witnessed(body: dict[str, Any]) -> tuple[int | None, str]:
    """Who wrote it by user number, and what was on their screen by digest, as their client says."""
    uid, seen = body.get("uid"), body.get("seen")
    return (uid if isinstance(uid, int) else None), (seen[:64] if isinstance(seen, str) else "")


def _contract(command: Command, body: dict[str, Any], state: State) -> tuple[str, list[ev.Event]]:
    """A yes to what is asked, and to what comes after it within limits; without a gate's id, to what will be asked."""
    try:
        contract = build(Contract, body["contract"])
    except (ValueError, TypeError) as fault:
        raise Refused(str(fault)) from fault
    standing = ev.ContractMade(contract, command.by, state.cost.tokens, _witnessed(body)[0])
    if body.get("gate") is None:
        _require_nothing_asked(state)
        return f"approved beforehand: {contract.told}", [standing]
    said, events = _verdict(replace(command, kind="approve"), body, state)
    return f"{said}, and until further: {contract.told}", [*events, standing]


def _require_nothing_asked(state: State) -> None:
    """What is asked is said yes to by its hash, by whoever has seen it."""
    gate, ends = state.waiting, state.stop_asked is not None
    _require(not state.over and not ends, f"the run is {'ending' if ends else state.status}")
    _require(gate is None, f"{gate.id if gate else ''} waits: a standing yes begins with that, by its hash")
    _require(state.contract is None, "a contract stands already; end it first")


def _amend(command: Command, body: dict[str, Any], state: State, fault: Fault) -> tuple[str, list[ev.Event]]:
    gate = _waiting(state, str(body["gate"]))
    require_hash(gate, str(body["hash"]), state.earlier)
    patch = None if body.get("patch") is None else str(body["patch"])
    closed, made = amended(state, gate, command.by, patch, body.get("plan"))
    assert isinstance(made, ev.ProposalMade)
    if wrong := fault(made.proposal):
        raise Refused(f"{gate.id} stays open: {wrong}")
    return f"{made.id} takes its place; it is checked and tried again, and asked about by a gate of its own", [
        closed,
        made,
    ]


def _more(command: Command, body: dict[str, Any], state: State) -> tuple[str, list[ev.Event]]:
    """Without a gate's id: for the one that is open."""
    gate = _waiting(state, str(body["gate"])) if body.get("gate") else state.waiting
    step = state.current
    if gate is None or step is None:
        raise Refused("no gate is open")
    told, possible = more_for(state, step)
    _require(possible, told)
    return f"{gate.id} is put again with {told}", [EvidenceWanted(gate.id, command.by)]


def _propose(
    command: Command, body: dict[str, Any], state: State, fault: Fault, rules: Rules | None
) -> tuple[str, list[ev.Event]]:
    """A person's patch of the incumbent, in the next turn."""
    if rules is not None and (spent := used_up(state, rules)):
        raise Refused(f"{spent}: nothing more is tried; branch from a generation to go on")
    title, reason = (str(body.get(name) or "").strip() for name in ("title", "reason"))
    revives = str(body["revives"]) if body.get("revives") else None
    made = proposed(state, command.by, str(body["patch"]), title, reason, revives)
    if wrong := fault(made):
        raise Refused(wrong)
    said = f"“{one_line(made.title, 80)}” is checked, tried and asked about {_turn(state)}, like any proposal"
    return said, [ev.ProposalWanted(made, command.by)]


def _turn(state: State) -> str:
    step, resumed = state.current, " once the run is resumed" if state.status == "paused" else ""
    if step is None:
        return resumed.strip() or "now"
    if step.can_wait:
        return f"before the run may end: {step.id} is put aside{resumed}"
    return f"after {step.id}{resumed}"


def _waiting(state: State, gate_id: str) -> Gate:
    gate, step = state.waiting, state.current
    if step is not None and step.wanted is not None and step.wanted.gate == gate_id:
        raise Refused(f"gate {gate_id} waits for the evidence that {step.wanted.by} wanted, and is then put again")
    if gate is None or gate.id != gate_id:
        known = any(gate_id == old.id for old in state.gates)
        now_open = f"; open now: {gate.id}" if gate else "; no gate is open"
        raise Refused(f"gate {gate_id} {'is answered already' if known else 'is unknown'}{now_open}")
    return gate


def _cut_short(command: Command, state: State, saved: str) -> tuple[str, list[ev.Event]]:
    step = state.training
    if step is None:
        raise Refused("no training is under way")
    if step.cut_short_by is not None:
        raise Refused(f"{step.cut_short_by} has asked for it already")
    said = "ending after the optimizer step under way; the best adapter so far is measured"
    return said, [ev.TrainingCutShort(step.id, command.by, saved)]


def _go_back(command: Command, body: dict[str, Any], state: State) -> tuple[str, list[ev.Event]]:
    index = int(body["generation"])
    _require(0 <= index < len(state.generations), f"no generation g{index}")
    _require(state.incumbent != index, f"g{index} is the incumbent already")
    _require("dev" in state.generations[index].results, f"g{index} was never measured")
    step = state.current
    _require(step is None or step.open_gate is not None, "a step is under way; pause at its gate or wait for its end")
    events: list[ev.Event] = []
    if step is not None:
        back = f"{command.by} went back to g{index}"
        events += [ev.GenerationRolledBack(made.index, back) for made in undecided(state, step)]
        if not events:
            events.append(ev.ProposalRefused(step.id, command.by, f"went back to g{index}"))
    return f"g{index} is the incumbent", [*events, ev.WentBack(index, command.by)]


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Refused(otherwise)
