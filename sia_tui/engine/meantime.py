"""Measuring to know more, not to decide: the same generations under other seeds, pairs of levers, patches hunk by hunk."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Self

from sia_tui.cluster.executor import ClusterError
from sia_tui.core import events as ev
from sia_tui.core.attribution import Pair, apart
from sia_tui.core.comparing import Draw, Evidence
from sia_tui.core.episodes import Case
from sia_tui.core.evidence import Cell, Through
from sia_tui.core.hashing import digest
from sia_tui.core.hunks import hunks, without
from sia_tui.core.loop import used_up
from sia_tui.core.meantime import Attribute, Gather, Match, Repeat, Trace, while_waiting
from sia_tui.core.state import State, Step
from sia_tui.core.stats import Gain
from sia_tui.core.text import one_line
from sia_tui.engine.again import Wanted, measure
from sia_tui.engine.evaluate import Drawn, mean_tokens, preview, run_cases
from sia_tui.engine.leaving import called_off
from sia_tui.engine.rollout import Interrupted
from sia_tui.engine.session import EngineError, Session, rewards
from sia_tui.harness.repository import RepositoryError
from sia_tui.harness.workers import HarnessBroken, WorkerDied
from sia_tui.policy.client import GatewayDied, GatewayError
from sia_tui.tasks.verifier import VerifierFailed


async def perform(session: Session, action: Gather | Attribute | Trace) -> None:
    match action:
        case Gather(proposal=proposal):
            await gather(session, session.state.step(proposal))
        case Attribute(pair=pair):
            await attribute(session, pair)
        case Trace(proposal=proposal):
            await trace(session, session.state.step(proposal))


async def gather(session: Session, step: Step) -> None:
    """What a person wanted more of before answering: a longer preview before the yes, after it another seed on dev."""
    try:
        if step.measured is None:
            assert step.preview is not None
            await preview(session, step, step.preview.n + session.config.evaluate.preview)
        else:
            session.record(await _drawn(session, step, step.measured.generation))
    except HarnessBroken as broken:
        session.record(ev.EvidenceMissed(step.id, one_line(f"the harness did not begin: {broken}", 1000)))


async def _drawn(session: Session, step: Step, candidate: int) -> ev.EvidenceFound:
    """One seed more than there are, and all of them pooled. Of several candidates the intervals hold at once."""
    incumbent = session.state.generations[candidate].parent
    assert incumbent is not None
    seeds = [session.config.seed + number for number in range(len(step.evidence) + 2)]
    draws = [Draw(seed, *[await _under(session, index, seed) for index in (incumbent, candidate)]) for seed in seeds]
    found = Evidence(candidate, incumbent, tuple(draws), len(step.candidates))
    last, pooled = draws[-1], found.pooled
    return ev.EvidenceFound(
        step.id,
        candidate,
        incumbent,
        last.seed,
        _cell(last.gain),
        len(draws),
        _cell(pooled),
        pooled.outcome,
        pooled.n,
        len(pooled.fixed),
        len(pooled.broke),
        found.moved,
    )


async def _under(session: Session, index: int, seed: int) -> Mapping[str, float]:
    """{case id: reward} of a generation on dev under a sampling seed; the run's own was measured at its time."""
    key = session.state.generations[index].key
    if seed != session.config.seed:
        key = (await measure(session, session.state, Wanted(index, index, "dev", seed))).key
    return rewards(session, key, session.cases("dev", session.config.evaluate.dev))


async def attribute(session: Session, pair: Pair) -> None:
    """Measure a kept pair's fourth cell, by the run's own seed: all four are paired."""
    mix, state = pair.missing, session.state
    cases = session.cases("dev", session.config.evaluate.dev)
    missing = None
    try:
        fourth = await measure(session, state, Wanted(mix.harness, mix.weights, "dev", session.config.seed))
        missing = rewards(session, fourth.key, cases)
    except HarnessBroken as broken:
        session.report.say(f"g{mix.harness}'s harness did not begin with the weights of g{mix.weights}: {broken}")
    made = (state.generations[index].key for index in (pair.old, pair.between, pair.new))
    old, between, new = (rewards(session, key, cases) for key in made)
    session.record(ev.Attributed(pair.old, pair.between, pair.new, apart(pair, old, between, new, missing)))


async def match(session: Session, step: Step, samples: int) -> None:
    """Further answers of the incumbent to the preview's cases, each under a sampling seed of its own; the next patch finds
    them there."""
    best, seen = session.state.best, step.preview
    assert best is not None and seen is not None
    cases, keys = session.cases("train", seen.n), [best.key]
    for number in range(1, samples):
        keys.append(digest(["more of", best.key, number]))
        drawn = Drawn(best.key, session.config.seed + number)
        phase = f"g{best.index} on the preview's cases again, {number} of {samples - 1}"
        await run_cases(session, best.commit, keys[-1], best.adapter, cases, phase, drawn=drawn)
    paid = [rewards(session, key, cases) for key in keys]
    mean = sum(max(one[case.id] for one in paid) for case in cases) / len(cases)
    tokens = sum(mean_tokens(session, key, cases) for key in keys)
    session.record(ev.Matched(step.id, best.index, samples, len(cases), mean, tokens))


async def trace(session: Session, step: Step) -> None:
    """Answer some of the cases that a patch changed again without each of its hunks in turn, under the ids and the seed
    that the whole patch had. A case that is then nearer to its reward before the patch came through that hunk."""
    found, patch, state = step.measured, step.proposal.patch, session.state
    assert found is not None and patch is not None
    candidate = state.generations[found.generation]
    assert candidate.parent is not None
    made = hunks(patch)
    fixed, broke = _some(found.fixed, found.broke, session.config.evaluate.trace)
    cases = [session.task.cases[case] for case in (*fixed, *broke)]
    old, new = (rewards(session, key, cases) for key in (state.generations[candidate.parent].key, candidate.key))
    lacking = [await _lacking(session, step, number, cases) for number in range(len(made))]

    def through(case: str) -> Through:
        gone = [number for number, paid in enumerate(lacking) if paid and _back(paid[case], old[case], new[case])]
        return Through(case, tuple(gone))

    untold = tuple(number for number, paid in enumerate(lacking) if paid is None)
    left = len(found.fixed) + len(found.broke) - len(cases)
    sides = (tuple(map(through, fixed)), tuple(map(through, broke)))
    session.record(ev.Traced(step.id, candidate.index, tuple(hunk.told for hunk in made), *sides, untold, left))


def _some(fixed: Sequence[str], broke: Sequence[str], most: int) -> tuple[Sequence[str], Sequence[str]]:
    """At most so many of both, half of them from either side where there are as many; drawn by their digest."""
    fixed, broke = sorted(fixed, key=digest), sorted(broke, key=digest)
    of_broke = min(len(broke), max(most // 2, most - len(fixed)))
    return fixed[: most - of_broke], broke[:of_broke]


def _back(without_it: float, old: float, new: float) -> bool:
    return abs(without_it - old) < abs(without_it - new)


async def _lacking(session: Session, step: Step, number: int, cases: Sequence[Case]) -> Mapping[str, float] | None:
    """{case id: reward} by the patch less one hunk; None where that does not apply or does not begin."""
    assert step.measured is not None and step.proposal.patch is not None
    candidate, repository = session.state.generations[step.measured.generation], session.repository
    base, patch = step.proposal.base_commit, without(step.proposal.patch, number)
    try:
        tree = repository.patched_tree(base, session.package, patch, session.config.harness.surface)
        key = digest(["without", candidate.key, number])
        drawn = Drawn(candidate.key, session.config.seed)
        phase = f"g{candidate.index} without its hunk {number + 1}"
        await run_cases(session, tree, key, candidate.adapter, cases, phase, step.id, drawn)
    except (HarnessBroken, RepositoryError):
        return None
    return rewards(session, key, cases)


class Meanwhile:
    """Measuring beside a wait: at a gate, while the policy is up. It ends with the wait, whatever it is at."""

    def __init__(self, session: Session, why: str) -> None:
        """`why`: what is waited for."""
        self._session, self._why = session, why
        self._work: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        state = self._session.state
        if state.waiting is not None and state.status == "running" and self._session.awake:
            self._work = asyncio.create_task(_meanwhile(self._session))
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        await self.end()

    def undisturbed(self, before: State) -> bool:
        """At the same gate still, unanswered: what is measured changes the state too."""
        now = self._session.state
        same = (now.waiting, now.status, now.incumbent) == (before.waiting, before.status, before.incumbent)
        return same and now.waiting is not None

    def look(self) -> None:
        """Raises what it failed by."""
        if self._work is not None and self._work.done():
            self._work.result()
            self._work = None
            self._session.report.phase(self._why)

    async def end(self) -> None:
        """What broke off goes on at the next gate."""
        if self._work is None:
            return
        work, self._work = self._work, None
        await called_off(work)
        self._session.report.phase(self._why)


async def _meanwhile(session: Session) -> None:
    """Whatever may be measured while a gate waits for a person, one thing after the other. A part of ours that fails over
    it costs the run nothing."""
    evaluate, rules = session.config.evaluate, session.config.rules
    try:
        while used_up(session.state, rules) is None:
            match while_waiting(session.state, evaluate.idle_repeats, evaluate.trace, evaluate.matched):
                case None:
                    return
                case Match(proposal=proposal, samples=samples):
                    await match(session, session.state.step(proposal), samples)
                case Repeat(generation=index, number=number):
                    wanted = Wanted(index, index, "dev", session.config.seed + number)
                    await measure(session, session.state, wanted)
                case Trace(proposal=proposal):
                    await trace(session, session.state.step(proposal))
    except Interrupted:
        return
    except (ClusterError, EngineError, GatewayDied, GatewayError, HarnessBroken, VerifierFailed, WorkerDied) as fault:
        session.report.say(f"not measured while waiting: {one_line(str(fault), 300)}")
        if isinstance(fault, GatewayDied):
            await session.leave_place()


def _cell(found: Gain) -> Cell:
    return Cell(found.mean, found.lo, found.hi)
