"""What the figures rest on: digests, sealed splits, lights, and what was measured again."""

from __future__ import annotations

from collections import Counter

from sia_tui.core import events as ev
from sia_tui.core.attribution import attribution
from sia_tui.core.attribution import told as attributed
from sia_tui.core.clock import utc
from sia_tui.core.state import Step
from sia_tui.core.stats import Gain
from sia_tui.core.text import one_line
from sia_tui.report.blocks import Block, Code, Section, Table, Words
from sia_tui.report.facts import Facts
from sia_tui.report.words import gain, interval, share


def integrity(facts: Facts) -> Section:
    seen = [seal for seal in facts.seals if seal.seen]
    changed = [seal.name for seal in seen if not seal.holds]
    said = f"Not as recorded: {', '.join(changed)}." if changed else "All of it is as it was recorded."
    if len(seen) < len(facts.seals):
        said += " What is its owner's alone was not looked at."
    rows = [(seal.name, seal.recorded[:16], (seal.found or "–")[:16], seal.told) for seal in facts.seals]
    told: list[Block] = []
    if rows:
        told += [Words(f"Digests when the run was made, and when this report was. {said}")]
        told += [Table(("what", "then", "now", ""), rows), Code("digests in full", _in_full(facts))]
    told += [Words(_openings(facts)), Words(_looks(facts)), *_alarms(facts), *_lights(facts), *_without_policy(facts)]
    return Section("Integrity", tuple(told))


def _in_full(facts: Facts) -> str:
    return "\n".join(f"{seal.name}\n  then {seal.recorded}\n  now  {seal.found or seal.why}" for seal in facts.seals)


def _openings(facts: Facts) -> str:
    opened = facts.state.test_opened
    mine = (
        "This run has not opened its test set"
        if opened is None
        else f"This run opened its test set for g{opened.generation}"
    )
    if facts.openings is None:
        return f"{mine}. Whether other runs of the workspace have opened the same set is its owner's to see."
    others = [one.run for one in facts.openings if one.run != facts.state.run]
    named = f": {', '.join(one_line(run, 64) for run in others)}" if others else ""
    return f"{mine}. Other runs of the workspace that have opened the same set: {len(others)}{named}."


def _looks(facts: Facts) -> str:
    """Every one is an audit of a generation; nothing was chosen by it, and no agent was told."""
    audits = [e.event for e in facts.log if isinstance(e.event, ev.Evaluated) and e.event.split == "hidden"]
    again = sum(one.split == "hidden" for one in facts.again)
    rest = f", and {again} times again after its end" if again else ""
    return (
        f"The hidden split was measured {len(audits)} times in the run (once a kept generation, for people only){rest}."
    )


def _alarms(facts: Facts) -> list[Block]:
    rows = [(one.kind, _whose(facts, one), one_line(one.detail, 300)) for one in facts.state.alarms]
    if not rows:
        return [Words("No episode raised an alarm (the planted answer key, the network, claims that nothing backs).")]
    return [Words("Alarms that episodes raised:"), Table(("kind", "whose", "what"), rows)]


def _whose(facts: Facts, one: ev.Alarmed) -> str:
    made = next((generation.index for generation in facts.state.generations if generation.key == one.key), None)
    return one.proposal or (f"g{made}" if made is not None else "the incumbent")


def _lights(facts: Facts) -> list[Block]:
    rows = [
        (step.id, light.level, light.name, one_line(light.detail, 300), _passed(step))
        for step in facts.state.steps
        for light in step.lights or ()
        if light.level != "ok"
    ]
    if not rows:
        return [Words("No proposal had a red or amber light.")]
    return [
        Words("Red and amber lights, and who let them pass:"),
        Table(("proposal", "level", "light", "detail", "passed by"), rows),
    ]


def _passed(step: Step) -> str:
    if step.refused is not None:
        return f"nobody: refused by {step.refused.by}"
    verdict = step.verdict_on("step")
    if verdict is None:
        return "not asked yet" if not step.closed else "nobody"
    return f"{verdict.by}, {utc(verdict.at)}" if verdict.kind == "approve" else f"nobody: {verdict.by} said no"


def _without_policy(facts: Facts) -> list[Block]:
    rows = [
        (f"g{made.index}", split, share(found.tool_share))
        for made in facts.state.generations
        for split, found in made.results.items()
        if found.tool_share and (facts.over or split in ("train", "dev"))
    ]
    if not rows:
        return [Words("No answer was given without the policy.")]
    return [Words("Share of answers given without the policy:"), Table(("", "split", "share"), rows)]


def levers(facts: Facts) -> Section:
    """The two-by-two tables: of steps that pulled both levers, and of kept pairs of steps."""
    told: list[Block] = []
    for step in facts.state.steps:
        if step.proposal.lever == "both" and (found := attribution(facts.state, step)):
            title = f"{one_line(step.proposal.title, 120)}, one step of both levers"
            told.append(Code(title, "\n".join(attributed(found)), folded=False))
    for pair, found in facts.apart:
        mix = pair.missing
        table = "\n".join(attributed(found))
        told.append(
            Code(f"g{pair.between} and g{pair.new}, kept one after the other on g{pair.old}", table, folded=False)
        )
        if found.together is None:
            told.append(
                Words(
                    f"The harness of g{mix.harness} with the weights of g{mix.weights} was not measured. Do it with: "
                    f"sia-tui attribute {facts.state.run} g{pair.between} g{pair.new}"
                )
            )
    return Section("Which lever", tuple(told) or (Words("No pair of the two levers was kept."),))


def again(facts: Facts) -> Section:
    """Nothing of this changed what the run decided."""
    seen = [one for one in facts.again if facts.over or one.split in ("train", "dev")]
    rows = [
        (
            _of(one),
            one.split,
            str(one.seed),
            f"{share(one.mean)} {interval(one.lo, one.hi)}",
            str(one.n),
            _then(facts, one),
        )
        for one in seen
    ]
    if not rows:
        return Section("Measured again", (Words("Nothing was measured again."),))
    times = Counter((one.harness, one.weights, one.split, one.seed) for one in seen)
    note = f"The run's own sampling seed is {facts.seed}. Every one of them is listed, {max(times.values())} at most of a kind."
    head = ("what", "split", "sampling seed", "mean [95 %]", "n", "the run had")
    return Section("Measured again", (Words(note), Table(head, rows), *_evidence(facts)))


def _evidence(facts: Facts) -> list[Block]:
    told: list[Block] = []
    for found in facts.evidence:
        rows = [(str(draw.seed), _gain(draw.gain)) for draw in found.draws]
        rows.append(("together, by case", _gain(found.pooled)))
        told += [
            Words(
                f"The gain of g{found.candidate} over g{found.incumbent} on dev under every sampling seed it was measured with:"
            ),
            Table(("seed", "gain [95 %]"), rows),
        ]
    return told


def _gain(found: Gain) -> str:
    return gain(found.mean, found.lo, found.hi)


def _of(one: ev.MeasuredAgain) -> str:
    if one.harness == one.weights:
        return f"g{one.harness}"
    return f"harness of g{one.harness}, weights of g{one.weights}"


def _then(facts: Facts, one: ev.MeasuredAgain) -> str:
    found = facts.state.generations[one.harness].results.get(one.split) if one.harness == one.weights else None
    return share(found.mean) if found else "–"
