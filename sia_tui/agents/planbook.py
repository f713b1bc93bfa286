"""The offline Feedback-Agent of tasks whose answers are plans: decide what is clear, train for what is not, then take the
likeliest. Chosen by what the harness is, in place of the rules for labels."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from sia_tui.agents import plan_rules
from sia_tui.agents.lever import HOW, LEFT, glance
from sia_tui.agents.plan_effects import choices
from sia_tui.agents.plan_trials import CASES, Tried, best_tried
from sia_tui.agents.protocol import Reading, Record
from sia_tui.core.choosing import Setting, recommend
from sia_tui.core.diffs import patch
from sia_tui.core.plans import TrainPlan
from sia_tui.core.proposals import RIGHT, Lever, Proposal
from sia_tui.core.starting import house
from sia_tui.core.state import State

WORTH_A_STEP = 0.004
TAKEN = 0.5
"""Of what choices promise by plans seen once, how much is hoped to hold."""
STANDS_OUT = 2.0
"""Standard errors between a word and the others of its field from which it is decided while there are steps to learn more."""
TRAINED = 0.6
"""Of the way from the mean plan to the best tenth, how much a training is hoped to go."""
EVIDENCE = 8
NAMED = 4
"""Choices that a title names."""


@dataclass(frozen=True)
class Option:
    idea: str
    title: str
    why: str
    gain: float
    changed: Mapping[str, str]
    calls: float = 1.0


def is_plan_harness(files: Mapping[str, str]) -> bool:
    return plan_rules.DECIDED in files and bool(plan_rules.grammar_of(files))


async def propose(record: Record, order: Sequence[Lever] = ()) -> Proposal:
    """`order`: which lever goes first, where somebody says; else the one that promises more."""
    best = record.state.best
    assert best is not None
    readings = list(record.trajectories("train"))
    refuted = _refuted(record.state, best.commit)
    options = [option async for option in _options(record, readings) if option.idea not in refuted]
    plan = _training(record, refuted)
    left = set(plan_rules.grammar_of(record.files)) - set(plan_rules.decided(record.files))
    promised = _promise(readings) if left else 0.0
    top = max(options, key=lambda option: option.gain, default=None)
    first = order[0] == "weights" if order else promised > (top.gain if top else 0.0)
    if plan is not None and promised >= WORTH_A_STEP and (top is None or top.gain < WORTH_A_STEP or first):
        return _weights(plan, promised, readings, best.commit)
    if top is not None and top.gain >= WORTH_A_STEP:
        return _harness(top, record, readings, best.commit)
    return _stop(readings, promised, best.commit)


async def _options(record: Record, readings: Sequence[Reading]) -> AsyncIterator[Option]:
    """What the harness could do next; nothing where it is not to be touched."""
    if "harness" not in record.brief.levers:
        return
    files = record.files
    for option in _again(files, readings):
        yield option
    judged = plan_rules.plans(_seen(record), plan_rules.grammar_of(files))
    tried = await best_tried(record, judged)
    if tried is not None and (changed := plan_rules.decide(files, tried.words)) is not None:
        yield _tried(tried, changed)
    for option in _decided(record, judged) if tried is None else ():
        yield option
    best = record.state.best
    if best is not None and best.adapter is not None and (changed := plan_rules.likeliest(files)):
        gain = 0.5 * _spread(readings)
        why = "a trained policy's draws blur its choice"
        yield Option("likeliest", "Take the policy's likeliest plan", why, gain, changed)


def _again(files: Mapping[str, str], readings: Sequence[Reading]) -> Iterator[Option]:
    silent = fmean(reading.score.failure == "no_answer" for reading in readings) if readings else 0.0
    if silent and (changed := plan_rules.again(files)):
        gain = silent * fmean(reading.score.reward for reading in readings) / max(0.01, 1 - silent)
        why = f"{100 * silent:.0f} % of the replies are no plan, and a reply is asked for once"
        yield Option("ask-again", "Ask again where a reply is no plan", why, gain, changed, 1 + silent)


def _decided(record: Record, judged: Sequence[tuple[dict[str, str], Reading]]) -> Iterator[Option]:
    """What stands out, and after that, or at the last step, whatever is likelier than the rest of its field."""
    files = record.files
    found = choices(judged, plan_rules.grammar_of(files), plan_rules.decided(files), plan_rules.merit)
    clear = [choice for choice in found if choice.sure >= STANDS_OUT]
    for chosen in (clear if record.brief.left_steps > 1 else [], found):
        words = {choice.field: choice.word for choice in chosen}
        if words and (changed := plan_rules.decide(files, words)):
            said = ", ".join(f"{choice.field} {choice.word} ({choice.sure:.1f})" for choice in chosen)
            why = f"by {len(judged)} judged plans, in standard errors over the others of the field: {said}"
            yield _decision(words, why, TAKEN * sum(choice.gain for choice in chosen), changed)


def _tried(tried: Tried, changed: Mapping[str, str]) -> Option:
    said = " ".join(f"{name}:{word}" for name, word in tried.words.items())
    why = f"the best of {tried.among} tried on {CASES} train cases, {100 * tried.gain:+.1f} points there: {said}"
    return _decision(tried.words, why, TAKEN * tried.gain, changed)


def _decision(words: Mapping[str, str], why: str, gain: float, changed: Mapping[str, str]) -> Option:
    named = ", ".join(f"{name} {word}" for name, word in words.items())
    title = f"Decide {named}" if len(words) <= NAMED else f"Decide {len(words)} choices"
    return Option(f"decide {named}", title, why, gain, changed)


def _seen(record: Record) -> Iterator[Reading]:
    """Every plan of a train case that was judged in this run, whoever wrote it: what a plan earns is its own doing. None of
    dev's: what is chosen by them could not be measured on them."""
    known: set[str] = set()
    measured = (record.trajectories("train", generation.index) for generation in record.state.generations)
    rolled_out = (record.rollouts(step.id) for step in record.state.steps if step.pilot is not None)
    for reading in itertools.chain.from_iterable((*measured, *rolled_out)):
        if reading.episode not in known:
            known.add(reading.episode)
            yield reading


def _spread(readings: Sequence[Reading]) -> float:
    """From the mean reward to the best fifth's: what drawing loses, at the most."""
    rewards = sorted((reading.score.reward for reading in readings), reverse=True)
    return fmean(rewards[: max(1, len(rewards) // 5)]) - fmean(rewards) if rewards else 0.0


def _promise(readings: Sequence[Reading]) -> float:
    rewards = sorted((reading.score.reward for reading in readings), reverse=True)
    return TRAINED * (fmean(rewards[: max(1, len(rewards) // 10)]) - fmean(rewards)) if rewards else 0.0


def _training(record: Record, refuted: set[str]) -> TrainPlan | None:
    """As the last pilot on this generation recommends, else as the trajectories do, else what is left."""
    state, brief = record.state, record.brief
    if "weights" not in brief.levers or not brief.plans or state.best is None:
        return None
    setting = Setting(state.best.adapter is not None, brief.scores)
    seen = recommend(glance(record.trajectories("train")), setting, brief.plans)
    asked = [advised.plan for advised in (state.advised, seen) if advised is not None and advised.plan is not None]
    left = [name for name in LEFT if name in brief.algorithms] or brief.algorithms
    order = [*asked, *(house(name, brief.plans) for name in left)]
    return next((plan for plan in order if plan.algorithm in set(brief.algorithms) - refuted), None)


def _refuted(state: State, commit: str) -> set[str]:
    """On this generation; a choice may be right on another."""
    return {step.proposal.idea for step in state.steps if step.refuted and step.proposal.base_commit == commit}


def _harness(option: Option, record: Record, readings: Sequence[Reading], commit: str) -> Proposal:
    return Proposal(
        lever="harness",
        title=option.title,
        reason=f"{option.why[:1].upper()}{option.why[1:]}. {_counted(readings)}",
        idea=option.idea,
        base_commit=commit,
        evidence=_evidence(readings),
        patch=patch(record.files, {**record.files, **option.changed}),
        predicted_gain=option.gain,
        predicted_cost={"calls": option.calls},
        clusters=_clusters(readings),
    )


def _weights(plan: TrainPlan, gain: float, readings: Sequence[Reading], commit: str) -> Proposal:
    title, why = HOW[plan.algorithm]
    return Proposal(
        lever="weights",
        title=f"{title}: LoRA r {plan.rank}, {plan.steps} steps",
        reason=f"Plans differ widely in what they earn, and which is good the policy has to learn. {why}. {_counted(readings)}",
        idea=plan.algorithm,
        base_commit=commit,
        evidence=_evidence(readings),
        plan=plan,
        predicted_gain=gain,
        clusters=_clusters(readings),
    )


def _stop(readings: Sequence[Reading], promised: float, commit: str) -> Proposal:
    return Proposal(
        lever="stop",
        title="nothing left that promises a measurable gain",
        reason=f"{_counted(readings)} No choice stands out, and the next training promises {100 * promised:.1f} points.",
        idea=f"stop at {commit[:10]}",
        base_commit=commit,
        clusters=_clusters(readings),
    )


def _evidence(readings: Sequence[Reading]) -> tuple[str, ...]:
    """The best-paid plans, then the worst."""
    ordered = sorted(readings, key=lambda reading: -plan_rules.merit(reading))
    return tuple(reading.episode for reading in (*ordered[: EVIDENCE // 2], *ordered[-EVIDENCE // 2 :]))


def _clusters(readings: Sequence[Reading]) -> dict[str, int]:
    return dict(Counter(reading.score.failure or RIGHT for reading in readings).most_common())


def _counted(readings: Sequence[Reading]) -> str:
    counts = _clusters(readings)
    paid = counts.pop(RIGHT, 0)
    said = "; ".join(f"{count} × {kind}" for kind, count in list(counts.items())[:4]) or "no failures"
    return f"Read {len(readings)} trajectories, {paid} paid: {said}."
