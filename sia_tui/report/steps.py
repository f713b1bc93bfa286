"""What was tried: every step with its hypothesis, its prediction beside what was measured, and who decided why."""

from __future__ import annotations

import json
from dataclasses import asdict

from sia_tui.core.clock import utc
from sia_tui.core.hunks import hunks
from sia_tui.core.state import State, Step
from sia_tui.core.telling import matched, points, traced
from sia_tui.core.text import one_line
from sia_tui.report.blocks import Block, Code, Section, Table, Words
from sia_tui.report.facts import Facts
from sia_tui.report.figures import training
from sia_tui.report.words import gained, minutes, share

HEAD = ("step", "lever", "what", "predicted", "measured on dev", "came to", "who decided last, and why")


def tried(facts: Facts) -> list[Section]:
    """All steps at a glance, then each by itself."""
    state = facts.state
    if not state.steps:
        return [Section("What was tried", (Words("Nothing yet."),))]
    rows = [_row(state, number, step) for number, step in enumerate(state.steps, 1)]
    note = Words("Gains are paired, in points of mean reward, with 95 % intervals.")
    whole = [_whole(facts, number, step) for number, step in enumerate(state.steps, 1)]
    return [Section("What was tried", (note, Table(HEAD, rows))), *whole]


def _row(state: State, number: int, step: Step) -> tuple[str, ...]:
    proposal = step.proposal
    predicted = "–" if proposal.predicted_gain is None else points(proposal.predicted_gain)
    if proposal.predicted_range is not None:
        predicted += f" [{points(proposal.predicted_range[0])}, {points(proposal.predicted_range[1])}]"
    return (
        str(number),
        proposal.lever,
        one_line(proposal.title, 120),
        predicted,
        gained(step.measured),
        fate(state, step),
        _decided(state, step),
    )


def fate(state: State, step: Step) -> str:
    if step.refused is not None:
        return "refused"
    if step.amended is not None:
        return f"amended into {step.amended.into}"
    kept = [f"g{index} kept" for index in step.candidates if state.generations[index].kept]
    back = [f"g{index} rolled back" for index in step.candidates if state.generations[index].kept is False]
    if kept or back:
        return ", ".join(kept + back)
    if step.closed:
        return "the end of the run" if step.proposal.lever == "stop" else "broken off"
    return "at the gate" if step.open_gate else "under way"


def _decided(state: State, step: Step) -> str:
    if step.refused is not None:
        return one_line(f"{step.refused.by}: {step.refused.reason}", 300)
    if step.amended is not None:
        return step.amended.by
    why = next((state.generations[index].why for index in step.candidates if state.generations[index].why), "")
    by = f"{step.verdicts[-1].by} said {step.verdicts[-1].kind}" if step.verdicts else ""
    return one_line("; ".join(filter(None, (by, why))), 300) or "–"


def _whole(facts: Facts, number: int, step: Step) -> Section:
    proposal = step.proposal
    told: list[Block] = [
        Words(f"Proposal {step.id} by {proposal.agent}. Hypothesis: {one_line(proposal.reason, 2000)}"),
    ]
    if proposal.refuted_by:
        told.append(Words(f"It would be wrong if: {one_line(proposal.refuted_by, 600)}"))
    told += _seen(step)
    told += _verdicts(step)
    if step.trained is not None:
        done = step.trained
        told.append(
            Words(
                f"Trained in {minutes(done.seconds)} on {done.rollouts} rollouts: {done.steps} steps, the best of them "
                f"{done.best_step} (train cases held out {share(done.held_out_before)} → {share(done.held_out_after)}); "
                f"ended because: {one_line(done.stopped, 200)}"
            )
        )
    if figure := training(
        f"Reward in the training of step {number}, and on the train cases held out of it",
        facts.metrics.get(step.id, ()),
    ):
        told.append(figure)
    told += _changed(step)
    if proposal.plan is not None:
        told.append(Code(f"plan of step {number}", json.dumps(asdict(proposal.plan), indent=1)))
    if proposal.patch:
        told.append(Code(f"patch of step {number}", proposal.patch))
    return Section(f"Step {number}, {proposal.lever}: {one_line(proposal.title, 200)}", tuple(told))


def _seen(step: Step) -> list[Block]:
    """What was known before anybody was asked."""
    told: list[Block] = []
    if (seen := step.preview) is not None:
        told.append(
            Words(
                f"Preview on {seen.n} train cases: {share(seen.incumbent)} → {share(seen.candidate)}, "
                f"{points(seen.gain)} [{points(seen.lo)}, {points(seen.hi)}]"
            )
        )
    if step.matched is not None:
        told.append(Words(f"For about as many tokens as the patch takes: {matched(step.matched)}"))
    if step.pilot is not None:
        pilot = step.pilot.pilot
        told.append(
            Words(
                f"Pilot on {pilot.n} train cases × {pilot.samples}: {share(pilot.pass_1)} of the rollouts solve their case, "
                f"{share(pilot.pass_n)} of the cases are solved at least once"
            )
        )
    return told


def _verdicts(step: Step) -> list[Block]:
    rows = [
        (gate.id, gate.kind, verdict.by, verdict.kind, one_line(verdict.note, 300) or "no note", utc(verdict.at))
        for gate, verdict in zip(step.gates, step.verdicts, strict=False)
    ]
    return [Table(("gate", "asks", "who", "said", "why", "when"), rows)] if rows else []


def _changed(step: Step) -> list[Block]:
    """The cases that changed sides, and through what."""
    if step.measured is None:
        return []
    found = step.measured
    said = f"Of {found.n} dev cases, g{found.generation} fixed {len(found.fixed)} and broke {len(found.broke)}"
    told: list[Block] = [Words(f"{said}. {_through(step)}"), *_hunk_by_hunk(step)]
    if found.spared:
        told.append(Words(f"Clearly worse on these, it was not measured on the other {found.spared} dev cases."))
    if found.held:
        told.append(Words(f"Held for a person: {one_line(found.held, 600)}"))
    if found.fixed or found.broke:
        ids = f"fixed: {', '.join(found.fixed) or 'none'}\nbroke: {', '.join(found.broke) or 'none'}"
        told.append(Code("which cases", ids))
    return told


def _hunk_by_hunk(step: Step) -> list[Block]:
    found = step.traced
    if found is None:
        return []
    sides = (("fixed", found.fixed), ("broke", found.broke))
    rows = [
        (one.case, side, ", ".join(str(number + 1) for number in one.hunks) or "none alone")
        for side, through in sides
        for one in through
    ]
    told: list[Block] = [Words(f"{one_line(text, 200)}.") for text in traced(found)]
    return [*told, Table(("case", "", "not so without hunk"), rows)]


def _through(step: Step) -> str:
    """Of several hunks only answering again without each can tell, which is said apart."""
    made = hunks(step.proposal.patch or "")
    named = "; ".join(one_line(hunk.told, 120) for hunk in made)
    if step.proposal.lever == "weights":
        return "All of it came through the new weights."
    if len(made) == 1 and step.proposal.lever == "harness":
        return f"All of it came through the patch's one hunk: {named}."
    if step.traced is not None:
        return f"The patch has {len(made)} hunks. Some of the cases were answered again without each of them in turn:"
    return (
        f"The patch has {len(made)} hunks, measured together, so which case came through which is not known: {named}."
    )
