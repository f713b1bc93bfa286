"""The offline rules for plans: what is read off judged plans, what is decided by it, and that the first harness bears it."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from sia_tui.agents import plan_effects, plan_rules
from sia_tui.agents.planbook import is_plan_harness
from sia_tui.agents.playbook import PlaybookFeedbackAgent
from sia_tui.agents.protocol import Brief, Reading
from sia_tui.core.episodes import Attempt, Call, Case, Score
from sia_tui.core.proposals import Proposal
from sia_tui.tasks.denoise.grammar import FIELDS, Plan, from_letters, letters, random_plan
from sia_tui.tasks.denoise.task import PACKAGED
from sia_tui.tasks.plans import forms_of, packaged
from tests.agents.test_playbook import Given, refuted, state

ROOT = Path(__file__).parents[2]
SEED = ROOT / "harness_repo" / "denoise"
Judged = Callable[[Plan, random.Random], Score]


def files() -> dict[str, str]:
    """The first harness, as it is planted."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in SEED.iterdir() if path.is_file()}
    return texts | packaged("sia_tui.tasks.denoise", PACKAGED, FIELDS)


def read(judged: Judged, count: int = 120, seed: int = 0, silent: int = 0) -> list[Reading]:
    draw, found = random.Random(seed), []
    for number in range(count + silent):
        plan = random_plan(draw)
        said = letters(plan) if number < count else "AB"
        call = Call(({"role": "user", "content": "?"},), said, (1,), (2,), (-0.1,), None, 1.0, 1.0, 24, "stop", 0.1)
        score = judged(plan, draw) if number < count else Score(0.0, "no_answer")
        notes = {"plan": said} if number < count else {}
        attempt = Attempt(Case(f"c{number}", "train", {}, 0), said, "policy", (call,), (), None, 0.2, "bwrap", notes)
        found.append(Reading(f"e-{number:010x}", attempt, score))
    return found


def by_form(plan: Plan, draw: random.Random) -> Score:
    """Paid for the square root, a little for chance."""
    value = (0.2 if plan.form == "sqrt" else 0.05) + 0.02 * draw.random()
    return Score(value, None, {"mse_norm": value, "poisson_norm": 0.99, "likelihood_norm": 1.2})


def by_chance(plan: Plan, draw: random.Random) -> Score:
    return Score(draw.random() * 0.1, None, {"mse_norm": 0.0})


def test_the_harness_grammar_is_read_as_it_is() -> None:
    assert plan_rules.grammar_of(files()) == dict(FIELDS) and is_plan_harness(files())
    for odd in ({}, {"grammar.json": "[1"}, {"grammar.json": "[1]"}, {"grammar.json": "{}"}):
        assert plan_rules.grammar_of(odd) == {} and not is_plan_harness(odd)


def choices(readings: list[Reading], decided: dict[str, str] | None = None) -> list[plan_effects.Choice]:
    return plan_effects.choices(plan_rules.plans(readings, FIELDS), FIELDS, decided or {}, plan_rules.merit)


def test_what_pays_stands_out() -> None:
    best = choices(read(by_form))[0]
    assert (best.field, best.word) == ("form", "sqrt") and best.sure > 10
    assert best.gain == pytest.approx(0.11, abs=0.03)


def test_what_stood_beside_a_word_is_not_taken_for_its_doing() -> None:
    """Every plan with 15 neighbours has the square root too: alone it earns nothing."""
    kept = [one for one in read(by_form, 400) if _form(one) == "sqrt" or _word(one, "knn") != "15"]
    found = {choice.field: choice for choice in choices(kept)}
    assert found["form"].word == "sqrt" and found["form"].sure > 3 * found["knn"].sure


def test_what_is_decided_is_no_longer_chosen_and_plans_against_it_count_for_less() -> None:
    def beside(plan: Plan, draw: random.Random) -> Score:
        """Thinned the kernel matters one way, and the other way round, and more, if not."""
        worth = 0.06 if plan.thin == "yes" else -0.09
        return Score(0.15 + worth * (plan.kernel == "box"), None, {})

    read_so = read(beside, 600)
    with_it = {choice.field: choice for choice in choices(read_so, {"thin": "yes"})}
    assert "thin" not in with_it and with_it["kernel"].word == "box"
    assert {choice.field: choice.word for choice in choices(read_so)}["kernel"] != "box"


def _word(reading: Reading, field: str) -> str:
    return str(getattr(from_letters(str(reading.attempt.notes["plan"])), field))


def _form(reading: Reading) -> str:
    return _word(reading, "form")


def test_floors_count_where_nothing_is_paid() -> None:
    def short(plan: Plan, draw: random.Random) -> Score:
        figures = {"mse_norm": 0.1, "poisson_norm": 0.96 if plan.total == "counts" else 0.2, "likelihood_norm": 1.1}
        return Score(0.0, "poisson", figures)

    best = choices(read(short))[0]
    assert (best.field, best.word) == ("total", "counts")


def test_of_mere_chance_little_is_made() -> None:
    sure = [choice.sure for seed in range(8) for choice in choices(read(by_chance, seed=seed))]
    assert sum(one > 4 for one in sure) == 0


def test_a_decision_is_the_harness_own_words(tmp_path: Path) -> None:
    once = files() | (plan_rules.decide(files(), {"form": "sqrt"}) or {})
    twice = once | (plan_rules.decide(once, {"knn": "15"}) or {})
    assert plan_rules.decided(twice) == {"form": "sqrt", "knn": "15"}
    for name, text in twice.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    asked = "from decided import DECIDED; from grammar import *; from random import Random\n"
    asked += "made = DECIDED.over(random_plan(Random(0))); print(made.form, made.knn, len(letters(made)))"
    told = subprocess.run([sys.executable, "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["sqrt", "15", "17"]
    assert plan_rules.decide({"decided.py": "WORDS = {}\n"}, {"form": "sqrt"}) is None


async def test_it_decides_then_trains_then_takes_the_likeliest() -> None:
    given = Given(read(by_form), state(), files(), Brief("denoise", "tissues", (), levers=("harness",)))
    first = await PlaybookFeedbackAgent().propose(given)
    assert first.lever == "harness" and first.idea.startswith("decide form sqrt") and first.patch is not None
    assert '+    "form": "sqrt",' in first.patch and first.predicted_gain is not None and first.predicted_gain > 0.02
    tried = state(refuted(first.idea))
    after = await PlaybookFeedbackAgent().propose(Given(given.readings, tried, files(), given.brief))
    assert after.idea != first.idea


@dataclass(frozen=True)
class Bench(Given):
    """Where harnesses can be tried, on train cases of the given readings."""

    tried: list[dict[str, str]] = field(default_factory=list)

    async def try_harness(self, files: Mapping[str, str], cases: Sequence[str]) -> list[Reading]:
        words = plan_rules.decided(files)
        self.tried.append(words)
        made = [one for one in self.readings if one.attempt.case.id in cases]
        plans = [replace(from_letters(str(one.attempt.notes["plan"])), **words) for one in made]
        return [replace(one, score=paid(plan)) for one, plan in zip(made, plans, strict=True)]


def paid(plan: Plan, draw: random.Random | None = None) -> Score:
    """A little for each of three words, and all is lost where values are rounded."""
    right = (plan.form == "sqrt") + (plan.kernel == "box") + (plan.knn == "15")
    return Score(0.0 if plan.round == "yes" else 0.1 + 0.1 * right, None, {})


async def test_a_whole_plan_is_tried_before_it_is_proposed_and_then_single_words() -> None:
    brief = Brief("denoise", "tissues", (), levers=("harness",), trials=40)
    first = await PlaybookFeedbackAgent().propose(bench := Bench(read(paid, 60), state(), files(), brief))
    assert "tried on 4 train cases" in first.reason and first.title == "Decide 17 choices" and len(bench.tried) == 10
    words = (
        dict.fromkeys(FIELDS, "") | {name: some[0] for name, some in FIELDS.items()} | {"round": "no", "form": "sqrt"}
    )
    later = files() | (plan_rules.decide(files(), words | {"kernel": "decay"}) or {})
    there = [replace(one, score=Score(0.2, None, {})) for one in read(paid, 60)]
    second = await PlaybookFeedbackAgent().propose(bench := Bench(there, state(), later, replace(brief, trials=80)))
    assert second.patch is not None and '+    "kernel": "box",' in second.patch and len(bench.tried) > 10
    assert all(sum(tried[name] != words[name] for name in FIELDS) <= 3 for tried in bench.tried)


async def test_a_reply_that_is_no_plan_is_asked_for_again() -> None:
    given = Given(
        read(by_form, 40, silent=40), state(refuted("x")), files(), Brief("denoise", "t", (), levers=("harness",))
    )
    made: Proposal = await PlaybookFeedbackAgent().propose(given)
    assert made.idea == "ask-again" or made.idea.startswith("decide")
    assert plan_rules.again(files()) == {"harness.py": files()["harness.py"].replace("ATTEMPTS = 1", "ATTEMPTS = 3")}
    assert plan_rules.likeliest(files()) is not None and plan_rules.likeliest({}) is None


def test_letters_of_slots_are_plans() -> None:
    from sia_tui.policy.nano_forms import plans

    slots = forms_of(FIELDS).slots
    drawn = plans(random.Random(0), ["plan:"], slots, 400)
    assert all(from_letters(example.answer) for example in drawn)
    first = [example.answer[3] for example in drawn]
    assert {first.count(letter) > 50 for letter in slots[3]} == {True} and len(slots[3]) == 5
