"""Rollouts of one training: by one crew that stays, each made once and stored under what it was made of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sia_tui.core.episodes import Attempt, Case, Purpose, Sampled, Score
from sia_tui.core.hashing import digest, short_id
from sia_tui.core.plans import TrainPlan
from sia_tui.core.state import Step
from sia_tui.engine.crew import Crew
from sia_tui.engine.lookout import Lookout
from sia_tui.engine.lots import Trial
from sia_tui.engine.prepare import policy_folder
from sia_tui.engine.rollout import Rollout, Terms, first_of
from sia_tui.engine.session import Session, harness_of
from sia_tui.policy.adapters import adapter_hash
from sia_tui.policy.client import Gateway, GatewayError

LEAST_FRESH = 20
"""Rollouts from which a pace is reckoned: the first come in a bunch."""


@dataclass
class Sampling:
    """Made by `sampling`."""

    session: Session
    proposal: str
    plan: TrainPlan
    gateway: Gateway
    rollout: Rollout
    lookout: Lookout
    key: str
    """Of everything the rollouts have in common: harness, base, parent adapter, verifier, split."""
    parent: str | None
    """sha256 of the adapter that training goes on from."""
    made: int = 0
    counted: bool = False
    """Whether the phase under way counts rollouts."""
    _ends: list[float] = field(default_factory=list, init=False)
    """When each fresh rollout was stored, by the monotonic clock."""
    _served: str | None = field(default=None, init=False)
    """The gateway's name of the step adapter it holds for this training."""

    async def make(
        self, adapter: Path | None, purpose: Purpose, behind: int, trials: Sequence[Trial]
    ) -> list[tuple[Attempt, Score]]:
        """One episode a trial, by the adapter in that folder (None: the parent), `behind` optimizer steps old.

        Raises Interrupted, HarnessBroken, GatewayDied, VerifierFailed; what is done by then is stored.
        """
        sha256 = None if adapter is None else adapter_hash(adapter)
        explores = purpose != "held_out"
        name, plan = await self._name(adapter, sha256), self.plan
        terms = Terms(name)
        if explores:
            terms = Terms(name, True, plan.temperature, plan.max_tokens, sha256 or self.parent)
        names = {trial: self.name(sha256, trial, terms.train) for trial in trials}
        stored = ((trial, self.session.reader.trajectory(name)) for trial, name in names.items())
        done = {trial: found for trial, found in stored if found is not None}
        self.made += len(done)

        def save(trial: Trial, attempt: Attempt, score: Score) -> None:
            sampled = Sampled(self.proposal, purpose, behind, trial.sample)
            self.session.store.record_episode(names[trial], self.key, attempt, score, sampled)
            self.lookout.see(attempt)
            done[trial] = (attempt, score)
            self.made += 1
            self._ends.append(time.monotonic())
            self.session.report.at(self.made) if self.counted else self.session.report.beat()

        await self.rollout.run([trial for trial in trials if trial not in done], terms, save)
        self.lookout.see_key()
        return [done[trial] for trial in trials]

    @property
    def pace(self) -> float | None:
        """Seconds a fresh rollout took, beside the others and judged; None for too few to tell."""
        fresh = len(self._ends) - 1
        return (self._ends[-1] - self._ends[0]) / fresh if fresh >= LEAST_FRESH else None

    def name(self, sha256: str | None, trial: Trial, train: bool) -> str:
        """The episode's id."""
        return short_id("e", [self.key, sha256, train, trial.case.id, trial.sample])

    async def unload(self) -> None:
        """Let the step adapter go, unless the gateway is about to go too."""
        task = asyncio.current_task()
        if self._served is not None and not (task and task.cancelling()):
            with suppress(GatewayError):
                await self.session.wake()
                await self.gateway.unload_adapter(self._served)
            self._served = None

    async def _name(self, adapter: Path | None, sha256: str | None) -> str | None:
        """Have the adapter served; the step adapter before it is let go."""
        if adapter is None or sha256 is None:
            return await self.session.served(self.gateway, self.parent)
        name = f"{self.proposal}-{sha256[:12]}"
        if name != self._served:
            await self.gateway.load_adapter(name, adapter)
            await self.unload()
            self._served = name
        return name


@asynccontextmanager
async def sampling(
    session: Session, step: Step, plan: TrainPlan, interrupted: Callable[[], bool] | None = None
) -> AsyncIterator[Sampling]:
    """The incumbent's harness, with the step's patch where it has one, at work for a training; its workers and its step
    adapter are gone afterwards. `interrupted`: whether to begin no more of them; the session's own by default."""
    best = session.state.best
    assert best is not None and step.commit is not None and step.tree is not None
    commit, key = best.commit, best.key
    if step.proposal.patches:
        commit, key = step.commit, session.key(step.tree, best.adapter)
    place = await session.place(await policy_folder(session))
    harness = harness_of(session, commit, digest(["training", key, plan.temperature, plan.max_tokens]))
    crew = Crew(place, harness, session.config.task.folds, stay=True)
    with Lookout(session, crew, harness.key, step.id) as lookout:
        async with crew:
            rollout = Rollout(place, harness, crew, interrupted or session.interrupted)
            made = Sampling(session, step.id, plan, place.gateway, rollout, lookout, harness.key, best.adapter)
            try:
                yield made
            finally:
                await made.unload()


def training_cases(session: Session, plan: TrainPlan) -> tuple[list[Case], list[Case]]:
    """Cases to learn from and cases to stop by; fewer than the plan asks for where train has no more.

    The latter are of one fold and the former of the others, so that near-duplicates, which share a fold, are never on
    both sides. Learned are first those that generations are not measured on, for on these the agent diagnoses and patches
    are previewed; every training takes them in another order.
    """
    train, config = session.cases("train", None), session.config
    held_out = [case for case in train if case.fold == 0][: plan.held_out]
    pool = [case for case in train[config.evaluate.train or 0 :] if case.fold != 0]
    if len(pool) < plan.cases:
        pool = [case for case in train if case.fold != 0]
    before = sum(step.trained is not None for step in session.state.steps if step is not session.state.current)
    return first_of(pool, plan.cases, config.seed + 1 + before), held_out
