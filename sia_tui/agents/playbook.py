"""The offline agents: the method as a few written rules, so that the loop runs without a key.

The Feedback-Agent reads every train and dev trajectory, classifies the failures, lets each rule say what it would change
and what that should gain, and proposes the one that promises most. A rule only promises what the trajectories bear out,
and no rule ever answers in the policy's place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sia_tui.agents import planbook
from sia_tui.agents.blocks import BLOCKS
from sia_tui.agents.diagnosis import CLASSES, Diagnosis, diagnose
from sia_tui.agents.lever import HOW, Training, glance, training, weights_first
from sia_tui.agents.protocol import Brief, Reading, Record, Workbench, Written
from sia_tui.core.choosing import Setting, recommend
from sia_tui.core.diffs import patch
from sia_tui.core.proposals import RIGHT, Lever, Proposal
from sia_tui.core.state import State, Step

WORTH_A_STEP = 0.004
"""A smaller promise (in reward) is not worth a measurement."""
FIRST_LIST = 0.08
"""Accuracy to expect of a blind pick from a first list of ten."""
MENDED = {
    "lenient-extraction": 0.9,
    "label-snapping": 0.4,
    "warmer-retry": 0.5,
    "finer-features": 0.25,
    "centroids": 0.25,
}
"""Which part of the failures it is about each block can be hoped to mend. Rough, and so corrected by every measurement:
what does not turn out better is not proposed again on the same generation."""
SAMPLES = 5
"""Votes of the voting block."""
EVIDENCE = 8


@dataclass(frozen=True)
class Suggestion:
    """What a rule would do, and what for."""

    block: str
    kind: str
    """The failure class it is about."""
    gain: float
    why: str
    calls: float = 1.0


Rule = Callable[[Diagnosis], Iterator[Suggestion]]


def search(found: Diagnosis) -> Iterator[Suggestion]:
    """The policy is asked openly while a search over solved cases stands unused: bring the right charge into sight."""
    if found.without_search > found.n / 2:
        yield Suggestion(
            "shortlist",
            "tool_unused",
            max(0.0, FIRST_LIST - found.accuracy),
            f"{found.without_search} never asked the search over solved cases: the policy answers from memory, which holds "
            "no charges of cases",
        )


def reading(found: Diagnosis) -> Iterator[Suggestion]:
    """Answers are there but not found: read replies less strictly, then forgive misspelling."""
    lost = found.share("unparsed") * found.read_accuracy
    for block, why in (
        ("lenient-extraction", "extraction misses answers"),
        ("label-snapping", "misspelling loses answers"),
    ):
        yield Suggestion(block, "unparsed", lost * MENDED[block], why)


def asking_again(found: Diagnosis) -> Iterator[Suggestion]:
    """Nothing was said: ask once more, more freely."""
    silent = found.share("no_answer", "unparsed")
    gain = silent * found.read_accuracy * MENDED["warmer-retry"]
    yield Suggestion("warmer-retry", "no_answer", gain, "silence is taken as final", 1 + silent)


def list_length(found: Diagnosis) -> Iterator[Suggestion]:
    """Much of what the policy picks stands low in the list, where the right charge seldom is: show fewer."""
    for size in (5, 3):
        shorter = found.habit()[:size]
        if size < found.shown and any(shorter):
            gain = found.expect([share / sum(shorter) for share in shorter]) - found.accuracy
            yield Suggestion(
                f"narrower-{size}",
                "confused",
                gain,
                f"{100 * (1 - sum(shorter)):.0f} % of the picks fall below place {size}, where only "
                f"{100 * (found.in_sight(found.shown) - found.in_sight(size)):.0f} % of the right charges stand",
            )


def search_quality(found: Diagnosis) -> Iterator[Suggestion]:
    """The right charge is often not shown at all: search better."""
    missed = 1 - found.in_sight(found.shown) if found.ranks else 0.0
    chosen = found.accuracy / max(0.01, found.in_sight(found.shown))
    why = f"the search leaves {100 * missed:.0f} % of the right charges out of sight"
    for block in ("finer-features", "centroids"):
        yield Suggestion(block, "not_in_sight", missed * chosen * MENDED[block], why)


def choice(found: Diagnosis) -> Iterator[Suggestion]:
    """Where the policy's likeliest pick is right more often than its usual one: take it, or let samples vote for it."""
    habit = found.habit()
    if not any(habit):
        return
    greedy = [float(share == max(habit)) for share in habit]
    spread = sum(share**2 for share in habit)
    votes = [share**2 / spread for share in habit]
    why = "sampling blurs a choice that is better than its noise"
    yield Suggestion("greedy", "confused", found.expect(greedy) - found.accuracy, why)
    yield Suggestion("voting", "confused", found.expect(votes) - found.accuracy, why, SAMPLES)


RULES: tuple[Rule, ...] = (search, reading, asking_again, list_length, search_quality, choice)


class PlaybookMetaAgent:
    async def first_harness(self, brief: Brief, seed: Mapping[str, str], bench: Workbench) -> Written:
        """The house's own seed harness for the task. Raises ValueError where there is none."""
        if not seed:
            raise ValueError(f"the playbook has no harness for task {brief.name}")
        return Written(seed)


class PlaybookFeedbackAgent:
    """`order` says which lever is pulled, and which where there is nothing to do with that one; empty: by what fails. The
    rules say what is done with it; `why` is said with every proposal."""

    def __init__(self, order: Sequence[Lever] = (), why: str = "") -> None:
        self._order, self._why = order, why

    async def propose(self, record: Record) -> Proposal:
        plans = planbook.is_plan_harness(record.files)
        made = await planbook.propose(record, self._order) if plans else self._made(record)
        return replace(made, reason=f"{made.reason} {self._why}") if self._why else made

    def _made(self, record: Record) -> Proposal:
        best = record.state.best
        assert best is not None
        found = diagnose(_all_readings(record))
        refuted = _refuted(record.state, best.commit)
        options = [option for rule in RULES for option in rule(found) if option.block not in refuted]
        asked = _training(record, found, refuted)
        trains = asked is not None and weights_first(asked, found, best.results["dev"].n)
        wanted = self._order or (("weights", "harness") if trains else ("harness", "weights"))
        order = [lever for lever in wanted if lever in record.brief.levers]
        for lever in order:
            if lever == "harness" and (patched := _best_patch(record, options)):
                return _harness_step(*patched, found, best.commit, record.brief)
            # What is asked for first is tried however little it promises: that is what is to be found out.
            if lever == "weights" and asked and (asked.gain >= WORTH_A_STEP or order[0] == "weights"):
                return _weights_step(asked, found, best.commit)
        declined = [said for step in record.state.steps for said in _declined(step, best.commit)]
        return _stop(found, options, _left(asked, record.state), best.commit, declined)


def _best_patch(record: Record, options: list[Suggestion]) -> tuple[Suggestion, str] | None:
    """The most promising suggestion that is worth a step and for which the harness offers room, with its diff."""
    for option in sorted(options, key=lambda option: -option.gain):
        if option.gain >= WORTH_A_STEP and (patch := _patch(record.files, option.block)):
            return option, patch
    return None


def _training(record: Record, found: Diagnosis, refuted: set[str]) -> Training | None:
    """By what was measured on train anyway, and by the last pilot on this generation where there was one."""
    state, plans = record.state, record.brief.plans
    if "weights" not in record.brief.levers or not plans:
        return None
    assert state.best is not None
    setting = Setting(state.best.adapter is not None, record.brief.scores)
    seen = recommend(glance(record.trajectories("train")), setting, plans)
    return training(found, seen, state.advised, record.brief, refuted)


def _all_readings(record: Record) -> Iterator[Reading]:
    yield from record.trajectories("train")
    yield from record.trajectories("dev")


def _refuted(state: State, commit: str) -> set[str]:
    """Ideas that were refused or did not measure better: on this commit once, anywhere twice."""
    failed = [step for step in state.steps if step.refuted]
    here = {step.proposal.idea for step in failed if step.proposal.base_commit == commit}
    ideas = [step.proposal.idea for step in failed]
    return here | {idea for idea in ideas if ideas.count(idea) > 1}


def _patch(files: Mapping[str, str], block: str) -> str | None:
    """The block as a unified diff of the package, or None where the harness offers no room for it."""
    changed = next(known for known in BLOCKS if known.name == block).apply(files)
    return patch(files, {**files, **changed}) if changed else None


def _harness_step(option: Suggestion, patch: str, found: Diagnosis, commit: str, brief: Brief) -> Proposal:
    title = next(known for known in BLOCKS if known.name == option.block).title.rstrip(".")
    return Proposal(
        lever="harness",
        title=title,
        reason=f"{option.why[:1].upper()}{option.why[1:]}. {_counted(found)}.{_confused(found, brief)}",
        idea=option.block,
        base_commit=commit,
        evidence=_evidence(found, option.kind),
        patch=patch,
        predicted_gain=option.gain,
        predicted_cost={"calls": option.calls},
        clusters=dict(found.counts),
    )


def _weights_step(asked: Training, found: Diagnosis, commit: str) -> Proposal:
    plan = asked.plan
    return Proposal(
        lever="weights",
        title=f"{HOW[plan.algorithm][0]}: LoRA r {plan.rank}, {plan.steps} steps",
        reason=f"{100 * found.out_of_reach:.0f} % of the failures are choices that no scaffold mends: {asked.why}. "
        f"{_counted(found)}.",
        idea=plan.algorithm,
        base_commit=commit,
        evidence=_evidence(found, "confused"),
        plan=plan,
        predicted_gain=asked.gain,
        clusters=dict(found.counts),
    )


def _evidence(found: Diagnosis, kind: str) -> tuple[str, ...]:
    """Trajectories of the class the step is about; where that class is empty, of the commonest failure."""
    failures = sorted((name for name in found.examples if name != RIGHT), key=lambda name: -found.counts[name])
    return found.examples.get(kind, found.examples[failures[0]] if failures else ())[:EVIDENCE]


def _confused(found: Diagnosis, brief: Brief) -> str:
    """The pairs of charges most often taken for each other."""
    pairs = list(found.confusions.items())[:2]
    told = "; ".join(
        f"{brief.show(right)} answered as {brief.show(said)}, {n} ×" for (right, said), n in pairs if n > 1
    )
    return f" Most confused: {told}." if told else ""


def _declined(step: Step, commit: str) -> list[str]:
    """What a person said no to on this generation: all of it, or hunks."""
    title = step.proposal.title
    if step.proposal.base_commit != commit:
        return []
    if step.amended is not None:
        return [f"{hunk.told} of “{title}”" for hunk in step.amended.dropped]
    return [title] if step.refused and step.verdicts and step.verdicts[-1].by != "auto" else []


def _left(asked: Training | None, state: State) -> str:
    """What there is to say of the next training."""
    if asked is not None:
        return f"the next training {100 * asked.gain:.1f}"
    if state.advised is not None and state.advised.algorithm is None:
        return f"the last pilot: {state.advised.because}"
    return "no training is left to try"


def _stop(found: Diagnosis, options: list[Suggestion], trained: str, commit: str, declined: list[str]) -> Proposal:
    left = max((option.gain for option in options), default=0.0)
    reason = (
        f"{_counted(found)}. No change of the scaffold that has not been tried promises {100 * WORTH_A_STEP:.1f} points "
        f"(the best one {100 * left:.1f}; {trained}); what is left is knowledge and choice that neither lever gives here."
    )
    if declined:
        reason += f" Declined by a person on this generation, and so not proposed again: {'; '.join(declined)}."
    return Proposal(
        lever="stop",
        title="nothing left that promises a measurable gain",
        reason=reason,
        idea=f"stop at {commit[:10]}",
        base_commit=commit,
        clusters=dict(found.counts),
    )


def _counted(found: Diagnosis) -> str:
    failures = sorted(((count, kind) for kind, count in found.counts.items() if kind != RIGHT), reverse=True)
    said = "; ".join(f"{count} × {CLASSES[kind]}" for count, kind in failures[:4])
    return f"Read {found.n} trajectories, {found.counts.get(RIGHT, 0)} right. {said or 'No failures'}"
