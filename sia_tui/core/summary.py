"""A run's state as plain data: the stable shape of `show --json`, which scripts may rely on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sia_tui.core import events as ev
from sia_tui.core.advice import page, text
from sia_tui.core.attribution import attribution
from sia_tui.core.attribution import told as attributed
from sia_tui.core.memo import told
from sia_tui.core.pulls import said
from sia_tui.core.rewards import rewards
from sia_tui.core.standing import left
from sia_tui.core.state import Generation, State, Step
from sia_tui.core.stats import resolvable_gain
from sia_tui.core.telling import matched, pooled, repeated, traced


def summary(state: State) -> dict[str, Any]:
    return {
        "run": state.run,
        "task": state.task,
        "status": "waiting" if state.waiting and state.status == "running" else state.status,
        "stop_reason": state.stop_reason,
        "parent": state.parent,
        "incumbent": state.incumbent,
        "generations": [_generation(state, generation) for generation in state.generations],
        "attributions": [
            {"proposal": step.id, "title": _attributed(state, step), "table": table}
            for step in state.steps
            if (table := _attribution(state, step))
        ],
        "measured_again": [asdict(one) for one in state.again],
        "traced": [
            {"proposal": step.id, "title": step.proposal.title, **asdict(step.traced), "lines": traced(step.traced)}
            for step in state.steps
            if step.traced
        ],
        "manifest": _manifest(state),
        "contract": None if state.contract is None else asdict(state.contract) | {"left": left(state, state.contract)},
        "contract_ended": state.contract_ended or None,
        "nodes": [asdict(node) for node in state.nodes],
        "replicas": [asdict(replica) for replica in state.replicas],
        "alarms": [asdict(alarm) for alarm in state.alarms],
        "refused": [_refused(step) for step in state.steps if step.refused is not None],
        "evaluator": {
            "findings": None if state.findings is None else [asdict(row) for row in state.findings],
            "accepted": [asdict(risk) for risk in state.risks],
        },
        "waiting": None if state.waiting is None else gate(state),
        "test": _test(state),
        "null_baselines": _baselines(state),
        "cost": {
            "wall_s": round(state.cost.wall_s, 1),
            "gpu_hours": round(state.cost.gpu_s / 3600, 4),
            "tokens": state.cost.tokens,
            "episodes": state.cost.episodes,
            "calls": state.cost.calls,
            "agent_tokens": state.cost.agent_tokens,
            "money": round(state.cost.money, 4),
        },
    }


def _manifest(state: State) -> dict[str, str]:
    """sha256 (hex) of all that scores rest on, as it was when the run began; what is not the same again ends the run."""
    task, policy = state.task_ready, state.policy_ready
    data = {"data": task.split_hash, "test": task.test_hash, "verifier": task.verifier_hash} if task else {}
    return {"config": state.config_hash, **data, **({"base": policy.sha256} if policy else {})}


def gate(state: State) -> dict[str, Any]:
    """The open gate with what it is about."""
    waiting, step = state.waiting, state.current
    assert waiting is not None and step is not None
    seen = step.preview
    return {
        "run": state.run,
        "gate": waiting.id,
        "hash": waiting.hash,
        "kind": waiting.kind,
        "proposal": step.id,
        "lever": step.proposal.lever,
        "title": step.proposal.title,
        "reason": step.proposal.reason,
        "agent": step.proposal.agent,
        "amended": asdict(was.amended) if (was := state.amends(step)) and was.amended else None,
        "predicted_gain": step.proposal.predicted_gain,
        "predicted_range": step.proposal.predicted_range,
        "refuted_by": step.proposal.refuted_by,
        "record": _record(step),
        "advice": step.advice and asdict(step.advice) | {"told": said(step.advice)},
        "resolvable_gain": _resolvable(state),
        "clusters": dict(step.proposal.clusters),
        "evidence": list(step.proposal.evidence),
        "lights": [{"name": x.name, "level": x.level, "detail": x.detail} for x in step.lights or ()],
        "preview": seen
        and {
            "n": seen.n,
            "incumbent": seen.incumbent,
            "candidate": seen.candidate,
            "gain": seen.gain,
            "ci95": [seen.lo, seen.hi],
            "fixed": len(seen.fixed),
            "broke": len(seen.broke),
            "tokens_before": seen.tokens_before,
            "tokens_after": seen.tokens_after,
            "tool_share": seen.tool_share,
        },
        "pilot": _pilot(step),
        "measured": _measured(step.measured),
        "under_seeds": [asdict(found) | {"told": pooled(found)} for found in step.evidence],
        "noise": [repeated(one) for one in state.repeats],
        "matched": asdict(step.matched) | {"told": matched(step.matched)} if step.matched else None,
        "traced": traced(step.traced) if step.traced else None,
        "attribution": _attribution(state, step),
        "patch": step.proposal.patch,
        "plan": asdict(step.proposal.plan) if step.proposal.plan else None,
        "last_plan": asdict(state.last_plan) if state.last_plan else None,
    }


def _record(step: Step) -> dict[str, Any] | None:
    """How earlier predictions of its agent and lever have held, and the gain that leaves to be expected."""
    record, predicted = step.record, step.proposal.predicted_gain
    if record is None:
        return None
    expected = None if predicted is None else record.discounted(predicted)
    return asdict(record) | {"told": told(record), "expected_gain": expected}


def _resolvable(state: State) -> float | None:
    """The smallest gain that dev, at its size, can tell from noise about half the time."""
    dev = state.best.results.get("dev") if state.best else None
    return resolvable_gain(dev.n) if dev else None


def _generation(state: State, generation: Generation) -> dict[str, Any]:
    step = next((step for step in state.steps if generation.index in step.candidates), None)
    return {
        "index": generation.index,
        "lever": generation.lever or "seed",
        "commit": generation.commit,
        "adapter": generation.adapter,
        "dev": _result(generation.results.get("dev")),
        "train": _result(generation.results.get("train")),
        "hidden": _result(generation.results.get("hidden")),
        "kept": generation.kept,
        "proposal": generation.proposal,
        "title": step.proposal.title if step else state.beginning,
        "gain": _measured(step.measure_of(generation.index)) if step else None,
        "training": asdict(step.trained) if step and step.trained else None,
        "verdict": _verdict(step),
    }


def _attributed(state: State, step: Step) -> str:
    """What the table is about: a step of both levers, or the pair that a step ends."""
    pair = next((found for found in state.tables if found.new in step.candidates), None)
    return step.proposal.title if pair is None else f"g{pair.between} and g{pair.new}, kept one after the other"


def _attribution(state: State, step: Step) -> list[str] | None:
    found = attribution(state, step)
    return attributed(found) if found else None


def _pilot(step: Step) -> dict[str, Any] | None:
    if step.pilot is None:
        return None
    seen = step.pilot.pilot
    advised = step.pilot.advised
    return asdict(seen) | {
        "pass_1": seen.pass_1,
        "pass_n": seen.pass_n,
        "expected_s": step.pilot.expected_s,
        "expected_gpu_hours": round(step.pilot.gpu_hours, 3),
        "measured": asdict(rewards(seen)),
        "advised": asdict(advised) if advised else None,
        "page": text(page(seen, advised)),
    }


def _result(found: ev.Evaluated | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"mean": found.mean, "ci95": [found.lo, found.hi], "n": found.n, "tool_share": found.tool_share}


def _measured(found: ev.Measured | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "outcome": found.outcome,
        "gain": found.gain,
        "ci95": [found.lo, found.hi],
        "n": found.n,
        "fixed": len(found.fixed),
        "broke": len(found.broke),
        "spared": found.spared,
        "held": found.held,
    }


def _verdict(step: Step | None) -> dict[str, Any] | None:
    if step is None or not step.verdicts:
        return None
    last = step.verdicts[-1]
    return {"by": last.by, "kind": last.kind, "at": last.at, "note": last.note}


def _refused(step: Step) -> dict[str, Any]:
    assert step.refused is not None
    return {
        "proposal": step.id,
        "lever": step.proposal.lever,
        "title": step.proposal.title,
        "commit": step.commit,
        "by": step.refused.by,
        "reason": step.refused.reason,
        "verdict": _verdict(step),
    }


def _test(state: State) -> dict[str, Any] | None:
    """None until the run has ended: a score on test must not steer anything."""
    opened = state.test_opened
    if opened is None or state.status not in ("done", "stopped", "failed"):
        return None
    found = state.generations[opened.generation].results.get("test")
    if found is None:
        return None
    return {
        "mean": found.mean,
        "ci95": [found.lo, found.hi],
        "n": found.n,
        "generation": opened.generation,
        "opened_at": state.test_opened_at,
        "opened_before": opened.opened_before,
        "tool_share": found.tool_share,
    }


def _baselines(state: State) -> dict[str, dict[str, float | None]]:
    over = state.status in ("done", "stopped", "failed")
    test = (state.baselines_test or {}) if over else {}
    return {name: {"dev": mean, "test": test.get(name)} for name, mean in (state.baselines_dev or {}).items()}
