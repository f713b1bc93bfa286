"""Best-of-N at equal cost: what drawing alone comes to, from generation 0's harness and the base, with no step made.

N is what an arm rolled out in all but the audits: evaluations on train and dev, plans tried, previews, pilots and trainings.

**Plans** (TriMul, denoising): N train rollouts look for one plan, by successive halving (Jamieson and Talwalkar 2016) in
three rounds of equal cost: N/3 plans drawn by the base on one train case, the best quarter of them on four others, the
best quarter of those on sixteen others; the best mean of that round is the plan, and then it is measured. That favours
drawing: the arm spends part of N on dev. **LawBench**: N/n answers drawn for each of the n cases, and the one given most
often (Wang et al. 2022, self-consistency, arXiv 2203.11171): a verifier that picks among answers would be an oracle.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from sia_tui.config import load_config
from sia_tui.core.episodes import Attempt, Case, Score, Split
from sia_tui.core.stats import Estimate, estimate
from sia_tui.engine.crew import Crew
from sia_tui.engine.lots import Trial
from sia_tui.engine.opening import open_session
from sia_tui.engine.prepare import policy_folder
from sia_tui.engine.progress import Reporter
from sia_tui.engine.rollout import Rollout, Terms
from sia_tui.engine.session import Session, harness_of
from sia_tui.store import drawn
from sia_tui.store.drawn import Drawn
from sia_tui.store.lock import hold
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import Workspace
from sia_tui.store.writer import RunStore
from sia_tui.tasks.denoise import grammar as pipelines
from sia_tui.tasks.denoise import render as denoising
from sia_tui.tasks.trimul import cases as kernels
from sia_tui.tasks.trimul import render_c
from sia_tui.tasks.trimul.grammar import CHOICES, Plan

ROUNDS, FEWER = 3, 4
AUDITS: tuple[Split, ...] = ("dev", "hidden")
DRAWN = "drawn"
"""Salt: other samples than any training's."""


@dataclass
class Kept:
    """What was judged already, a JSON line each, so that a killed draw goes on: {(what, case): (answer, reward)}."""

    path: Path
    found: dict[tuple[str, str], tuple[str | None, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                what, case, answer, reward = json.loads(line)
                self.found[what, case] = (answer, reward)

    def add(self, what: str, case: str, answer: str | None, reward: float) -> None:
        self.found[what, case] = (answer, reward)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([what, case, answer, reward], ensure_ascii=False) + "\n")


def spent(name: str) -> int:
    """Rollouts of a run, but for those of hidden and test, whose only use is to be looked at."""
    reader = RunReader(Workspace.locate(None).run(name).db)
    try:
        state = reader.state()
    finally:
        reader.close()
    audits = sum(
        made.results[split].n for made in state.generations for split in ("hidden", "test") if split in made.results
    )
    return state.cost.episodes - audits


async def draw(name: str) -> Drawn:
    """By generation 0 of a run that has ended, as many as it spent. Its log is left as it is; its report tells of it."""
    workspace = Workspace.locate(None)
    paths, n = workspace.run(name), spent(name)
    kept = Kept(paths.root / f"best-of-{n}.jsonl")
    with hold(paths.lock), RunStore(paths.db) as store:
        report, config = Reporter(store, print), load_config(paths.config)
        async with open_session(workspace, paths, config, store, report, lambda: False) as session:
            plans = bool(session.task.forms)
            found = await (_best_plan if plans else _vote)(session, n, kept)
    drawn.write(paths.root, found)
    return found


async def _vote(session: Session, n: int, kept: Kept) -> Drawn:
    cases = session.cases("dev", session.config.evaluate.dev)
    votes = max(1, n // len(cases))
    await _roll_out(session, [Trial(case, sample) for case in cases for sample in range(votes)], kept)
    rewards = []
    for case in cases:
        said = Counter(answer for vote in range(votes) if (answer := kept.found[_drawn(vote), case.id][0]) is not None)
        chosen = said.most_common(1)[0][0] if said else None
        rewards.append((await session.verifier.score(case.id, chosen)).reward)
    return Drawn(votes * len(cases), f"{votes} votes a case", estimate(rewards), None)


async def _best_plan(session: Session, n: int, kept: Kept) -> Drawn:
    train = session.cases("train", None)
    size, first = n // ROUNDS, train[0]
    await _roll_out(session, [Trial(first, sample) for sample in range(size)], kept)
    paid = sorted((kept.found[_drawn(sample), first.id] for sample in range(size)), key=lambda one: -one[1])
    plans, cases, used = [str(letters) for letters, _ in paid if letters], 1, 1
    for _ in range(ROUNDS - 1):
        cases *= FEWER
        plans = plans[: max(1, size // cases)]
        means = await _judge(session, plans, train[used : used + cases], kept)
        used += cases
        plans.sort(key=lambda plan: -means[plan])
    results: dict[Split, Estimate] = {}
    for split in AUDITS:
        some = session.cases(split, getattr(session.config.evaluate, split))
        await _judge(session, plans[:1], some, kept)
        results[split] = estimate([kept.found[plans[0], case.id][1] for case in some])
    return Drawn(n, plans[0], results["dev"], results["hidden"])


async def _roll_out(session: Session, trials: Sequence[Trial], kept: Kept) -> None:
    """Drawn from the whole distribution by the base, through generation 0's harness; of plans the letters are kept."""
    left = [trial for trial in trials if (_drawn(trial.sample), trial.case.id) not in kept.found]
    if not left:
        return
    seed = session.state.generations[0]
    place = await session.place(await policy_folder(session))
    harness = harness_of(session, seed.commit, f"{DRAWN} {seed.key}")
    session.report.phase("drawing", len(left))

    def save(trial: Trial, attempt: Attempt, score: Score) -> None:
        answer = attempt.notes.get("plan") if session.task.forms else attempt.answer
        kept.add(_drawn(trial.sample), trial.case.id, None if answer is None else str(answer), score.reward)

    async with Crew(place, harness, session.config.task.folds, stay=True) as crew:
        await Rollout(place, harness, crew, session.interrupted).run(left, Terms(None, True, salt=DRAWN), save)


def _drawn(sample: int) -> str:
    return f"sample {sample}"


async def _judge(session: Session, plans: Sequence[str], cases: Sequence[Case], kept: Kept) -> dict[str, float]:
    """Mean reward of each plan on these cases."""

    async def one(plan: str, case: Case) -> None:
        score = await session.verifier.score(case.id, _rendered(session.task.name, plan, case))
        kept.add(plan, case.id, None, score.reward)

    left = [(plan, case) for plan in plans for case in cases if (plan, case.id) not in kept.found]
    session.report.phase(f"{len(plans)} plans on {len(cases)} cases", len(left))
    await asyncio.gather(*(one(plan, case) for plan, case in left))
    means: dict[str, list[float]] = defaultdict(list)
    for plan in plans:
        means[plan] += [kept.found[plan, case.id][1] for case in cases]
    return {plan: fmean(rewards) for plan, rewards in means.items()}


def _rendered(task: str, letters: str, case: Case) -> str:
    """As the task's first harness renders a plan."""
    if task != kernels.NAME:
        return denoising.render(pipelines.from_letters(letters))
    words = {name: some[ord(letter) - ord("A")] for letter, (name, some) in zip(letters, CHOICES.items(), strict=True)}
    return render_c.render(Plan(**words), kernels.shape_of(case.inputs))
