"""Measuring: a generation on a split, a proposal on a slice of train, a candidate against its incumbent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from sia_tui.core import events as ev
from sia_tui.core.episodes import Attempt, Case, Score, Split
from sia_tui.core.hashing import short_id
from sia_tui.core.proposals import Preview
from sia_tui.core.state import Generation, Step, undecided
from sia_tui.core.stats import estimate, paired_gain
from sia_tui.core.surprise import surprising
from sia_tui.engine.crew import Crew
from sia_tui.engine.lookout import Lookout
from sia_tui.engine.lots import Trial
from sia_tui.engine.prepare import policy_folder
from sia_tui.engine.rollout import VIEWS_AT_ONCE, Rollout, Terms
from sia_tui.engine.session import Session, harness_of, rewards
from sia_tui.store.reader import EpisodeRow

CLEARLY = 5
"""By how many looks the interval of a slice is widened: 99 %, so that a whole measure is seldom spared in error."""


@dataclass(frozen=True)
class Drawn:
    """What an episode's chances hang on."""

    key: str
    """Of the generation, of which the ids are made that its harness sees."""
    seed: int
    """Of the policy's samples."""


async def evaluate(session: Session, index: int, split: Split) -> None:
    """Measure a generation on a split. A candidate that is clearly worse on the slice that the config looks at first is
    measured on no more than that."""
    generation = session.state.generations[index]
    cases = session.cases(split, getattr(session.config.evaluate, split))
    if split == "dev" and generation.kept is None and await _hopeless(session, generation, cases):
        return
    await run_cases(
        session,
        generation.commit,
        generation.key,
        generation.adapter,
        cases,
        f"g{index} on {split}",
        generation.proposal if generation.kept is None else None,
    )
    mine = {case.id for case in cases}
    rows = [row for row in session.reader.episodes(generation.key, split) if row.case_id in mine]
    found = estimate([row.reward for row in rows])
    failures = Counter(row.failure for row in rows if row.failure)
    session.record(
        ev.Evaluated(
            index, split, found.mean, found.lo, found.hi, found.n, tool_share(rows), dict(failures.most_common())
        )
    )


async def _hopeless(session: Session, candidate: Generation, cases: Sequence[Case]) -> bool:
    size = session.config.evaluate.cascade
    if size is None or size >= len(cases) or candidate.parent is None or candidate.proposal is None:
        return False
    step = session.state.step(candidate.proposal)
    first = cases[:size]
    told = f"g{candidate.index} on the first {size} of {len(cases)} dev cases"
    await run_cases(session, candidate.commit, candidate.key, candidate.adapter, first, told, step.id)
    found = _measured(session, step, candidate, first, CLEARLY * len(step.candidates))
    if found.outcome != "worse":
        return False
    session.record(replace(found, spared=len(cases) - size))
    return True


async def preview(session: Session, step: Step, most: int | None = None) -> None:
    """Try a patch on a slice of train, of `most` cases or as many as the config says. Raises HarnessBroken when its code
    does not even begin."""
    best = session.state.best
    assert best is not None and step.commit is not None and step.tree is not None
    cases = session.cases("train", min(most or session.config.evaluate.preview, best.results["train"].n))
    key = session.key(step.tree, best.adapter)
    await run_cases(session, step.commit, key, best.adapter, cases, f"preview of {step.id}", step.id)
    old, new = rewards(session, best.key, cases), rewards(session, key, cases)
    gain = paired_gain(old, new)
    seen = Preview(
        n=gain.n,
        incumbent=sum(old.values()) / gain.n,
        candidate=sum(new.values()) / gain.n,
        gain=gain.mean,
        lo=gain.lo,
        hi=gain.hi,
        fixed=gain.fixed,
        broke=gain.broke,
        tokens_before=mean_tokens(session, best.key, cases),
        tokens_after=mean_tokens(session, key, cases),
        tool_share=tool_share([row for row in session.reader.episodes(key, "train") if row.case_id in new]),
    )
    session.record(ev.PreviewDone(step.id, seen))


def compare(session: Session, step: Step) -> None:
    """Each candidate paired with the incumbent over dev: better, worse or indecisive, with an interval for as many as are
    compared."""
    candidates = undecided(session.state, step)
    cases = session.cases("dev", session.config.evaluate.dev)
    unmeasured = [candidate for candidate in candidates if step.measure_of(candidate.index) is None]
    session.record(*(_measured(session, step, candidate, cases, len(candidates)) for candidate in unmeasured))


def _measured(session: Session, step: Step, candidate: Generation, cases: Sequence[Case], looks: int) -> ev.Measured:
    assert candidate.parent is not None
    parent = session.state.generations[candidate.parent]
    old, new = rewards(session, parent.key, cases), rewards(session, candidate.key, cases)
    gain = paired_gain(old, new, looks)
    cost = _cost(session, parent.key, candidate.key, {case.id for case in cases})
    told = (gain.outcome, gain.mean, gain.lo, gain.hi, gain.n, gain.fixed, gain.broke, cost)
    found = ev.Measured(step.id, candidate.index, *told)
    if found.outcome == "worse":
        return found
    gate, before = session.config.gate, sum(old.values()) / len(old)
    return replace(found, held=surprising(step, found, before, gate.hold_sigmas, gate.bound))


def _cost(session: Session, old: str, new: str, cases: Set[str]) -> dict[str, float]:
    """Calls and tokens a dev case, as factors of the old generation's; nothing for what that one had none of."""
    before, after = _spent(session, old, cases), _spent(session, new, cases)
    return {name: after[name] / before[name] for name in before if before[name]}


def _spent(session: Session, key: str, cases: Set[str]) -> dict[str, int]:
    calls = [attempt.calls for _, attempt, _ in session.reader.trajectories(key, "dev") if attempt.case.id in cases]
    return {"calls": sum(map(len, calls)), "tokens": sum(call.tokens for made in calls for call in made)}


async def run_cases(
    session: Session,
    commit: str,
    key: str,
    adapter: str | None,
    cases: Sequence[Case],
    phase: str,
    proposal: str | None = None,
    drawn: Drawn | None = None,
) -> None:
    """Run those cases that have no finished episode under the key yet. `proposal`: whose change is at work, where it is not
    the incumbent; `drawn`: by default as the key and the run say."""
    finished = {row.case_id for row in session.reader.episodes(key)}
    left = [case for case in cases if case.id not in finished]
    done = len(cases) - len(left)
    if not left:
        return
    place = await session.place(await policy_folder(session))
    if drawn is not None:
        place = replace(place, seed=drawn.seed)
    harness = harness_of(session, commit, drawn.key if drawn else key)
    terms = Terms(await session.served(place.gateway, adapter))
    views = min(VIEWS_AT_ONCE, len({case.view for case in left}))
    session.report.phase(phase, len(cases), done)

    def save(trial: Trial, attempt: Attempt, score: Score) -> None:
        nonlocal done
        session.store.record_episode(short_id("e", [key, trial.case.id, 0]), key, attempt, score)
        lookout.see(attempt)
        done += 1
        session.report.at(done)

    crew = Crew(place, harness, views)
    with Lookout(session, crew, key, proposal) as lookout:
        async with crew:
            await Rollout(place, harness, crew, session.interrupted).run([Trial(case) for case in left], terms, save)


def tool_share(rows: Sequence[EpisodeRow]) -> float:
    return sum(row.source == "tool" and row.answer is not None for row in rows) / len(rows)


def mean_tokens(session: Session, key: str, cases: Sequence[Case]) -> float:
    """Sampled and prompt tokens a case."""
    wanted = {case.id for case in cases}
    return sum(row.tokens for row in session.reader.episodes(key) if row.case_id in wanted) / len(wanted)
