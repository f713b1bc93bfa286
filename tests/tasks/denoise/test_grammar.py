from __future__ import annotations

import ast
from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia_tui.tasks.denoise.grammar import (
    FIELDS,
    MEANING,
    Plan,
    PlanError,
    format_plan,
    from_letters,
    letters,
    neighbours,
    parse,
    random_plan,
)
from sia_tui.tasks.denoise.nulls import diffusion, principal
from sia_tui.tasks.denoise.protocol import fault, judge
from sia_tui.tasks.denoise.render import render
from sia_tui.tasks.denoise.simulator import Tissue

PLANS = st.builds(Plan, **{name: st.sampled_from(words) for name, words in FIELDS.items()})
PLAIN = parse(
    "depth:one form:plain thin:no axes:10 knn:5 kernel:decay steps:1 weigh:none keep:0 bag:1 rank:none fit:svd"
    " shrink:no power:1 floor:none round:no total:counts"
)


def run(plan: Plan, counts: np.ndarray) -> np.ndarray:
    names: dict[str, Any] = {}
    exec(render(plan), names)
    found: np.ndarray = names["denoise"](counts)
    return found


@st.composite
def tiny(draw: st.DrawFn) -> np.ndarray:
    """Counts down to one cell of one gene, sparse to dense, none of the cells and genes empty."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = (draw(st.integers(1, 12)), draw(st.integers(1, 15)))
    counts = rng.negative_binomial(1, 1 / (1 + draw(st.sampled_from((0.2, 2.0, 300.0)))), shape)
    counts[np.arange(shape[0]), rng.integers(shape[1], size=shape[0])] += 1
    counts[rng.integers(shape[0], size=shape[1]), np.arange(shape[1])] += 1
    return counts


@given(PLANS)
def test_a_line_says_the_plan(plan: Plan) -> None:
    line = format_plan(plan)
    assert parse(line) == plan and "\n" not in line
    assert parse("  " + line.replace(" ", "\n  ")) == plan


@given(PLANS)
def test_letters_say_the_plan(plan: Plan) -> None:
    said = letters(plan)
    assert len(said) == len(FIELDS) and said.isalpha() and said.isupper()
    assert from_letters(f" {said}\n") == plan


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("", "17 letters, this has 0"),
        ("A" * 18, "17 letters, this has 18"),
        ("AAB" + "Z" * 14, "'Z' stands for no axes: A to E"),
        ("a" * 17, "'a' stands for no depth"),
    ],
)
def test_what_is_no_plan_in_letters_is_told_why(said: str, complaint: str) -> None:
    with pytest.raises(PlanError, match=complaint):
        from_letters(said)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "17 words, this has 0"),
        (format_plan(PLAIN) + " more:1", "17 words, this has 18"),
        (format_plan(PLAIN).replace("steps:1", "steps:4"), "steps is one of 0, 1, 2, 3, 5"),
        (format_plan(PLAIN).replace("steps:1", "step:1"), "stands where steps should"),
        (format_plan(PLAIN).replace("depth:one form:plain", "form:plain depth:one"), "stands where depth should"),
        (format_plan(PLAIN).replace("knn:5", "knn:5;import os"), "words"),
        (format_plan(PLAIN).replace("knn:5", "knn:5)"), "knn is one of"),
    ],
)
def test_what_is_no_plan_is_told_why(line: str, complaint: str) -> None:
    with pytest.raises(PlanError, match=complaint):
        parse(line)


def test_random_plans_are_uniform_word_by_word() -> None:
    rng = Random(0)
    drawn = [random_plan(rng) for _ in range(3000)]
    for name, words in FIELDS.items():
        counts = Counter(getattr(plan, name) for plan in drawn)
        expected = 3000 / len(words)
        assert all(abs(counts[word] - expected) < 5 * expected**0.5 for word in words), name


def test_a_neighbour_differs_in_one_word() -> None:
    near = neighbours(PLAIN)
    assert len(near) == len(set(near)) == sum(len(words) - 1 for words in FIELDS.values())
    for plan in near:
        assert sum(getattr(plan, name) != getattr(PLAIN, name) for name in FIELDS) == 1


def test_every_field_has_its_meaning() -> None:
    assert list(MEANING) == list(FIELDS) == list(Plan.__dataclass_fields__)


@settings(max_examples=200, deadline=None)
@given(PLANS, tiny())
def test_every_plan_runs_and_is_legal_on_any_counts(plan: Plan, counts: np.ndarray) -> None:
    before = counts.copy()
    with np.errstate(all="raise", under="ignore"):
        found = run(plan, counts)
    assert fault(counts, found) is None
    assert (counts == before).all()
    totals = found.sum(axis=1)
    wanted = np.ones(len(counts)) if plan.total == "one" else counts.sum(axis=1)
    assert plan.round == "yes" or plan.floor == "tenth" or totals == pytest.approx(wanted)
    assert (found == run(plan, counts)).all(), "the same counts, the same answer"


@pytest.mark.parametrize("plan", neighbours(PLAIN), ids=lambda plan: format_plan(plan)[:0])
def test_each_word_alone_runs_at_full_size_of_a_small_tissue(plan: Plan, small: Tissue) -> None:
    assert fault(small.train, run(plan, small.train)) is None


@settings(max_examples=50)
@given(PLANS)
def test_rendered_code_imports_numpy_and_nothing_else(plan: Plan) -> None:
    tree = ast.parse(render(plan))
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imported] == ["import numpy as np"]
    assert len(render(plan)) < 5000


def test_a_plan_without_steps_gives_the_counts_back(small: Tissue) -> None:
    for form in FIELDS["form"]:
        plan = replace(PLAIN, steps="0", form=form)
        np.testing.assert_allclose(run(plan, small.train), small.train, rtol=1e-9, atol=1e-9)


def test_a_step_is_diffusion_of_the_shares(small: Tissue) -> None:
    shares = small.train / small.train.sum(axis=1, keepdims=True)
    places, _ = principal(shares - shares.mean(axis=0), 10)
    kernel = diffusion(places, knn=5, decay=1.0, widest=1)
    smooth = kernel @ shares
    expected = smooth / smooth.sum(axis=1, keepdims=True) * small.train.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(run(PLAIN, small.train), expected, rtol=1e-6, atol=1e-12)


def test_thinning_is_the_mean_over_thinned_counts() -> None:
    """Against draws: each molecule kept with a tenth, the log taken, averaged."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(6.0, (1, 40)) + 1
    names: dict[str, Any] = {}
    exec(render(replace(PLAIN, form="log", depth="fixed", thin="yes")), names)
    library = counts.sum(axis=1, keepdims=True).astype(float)
    found = names["transformed"](counts.astype(float), library, np.full_like(library, 1e4))
    drawn = rng.binomial(counts[0], 0.1, (40_000, 40))
    expected = np.log1p(drawn * 1e4 / (library[0, 0] * 0.1)).mean(axis=0)
    assert found[0] == pytest.approx(expected, rel=0.05)


def test_the_words_matter_to_the_reward(tissue: Tissue) -> None:
    good = replace(PLAIN, depth="fixed", form="log", thin="yes", axes="20", knn="10", keep="0.25", total="one")
    paid = judge(tissue.train, tissue.test, run(good, tissue.train))
    unpaid = judge(tissue.train, tissue.test, run(replace(good, total="counts"), tissue.train))
    assert paid["failure"] is None and paid["reward"] > 0.1
    assert unpaid["failure"] == "poisson"
