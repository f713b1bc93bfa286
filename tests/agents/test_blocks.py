"""Every block against the seed harness as it is in the repository."""

import ast
from collections.abc import Iterable
from pathlib import Path
from random import Random

import pytest

from sia_tui.agents.blocks import BLOCKS, Block

SEED = Path(__file__).parents[2] / "harness_repo" / "lawbench"
BY_NAME = {block.name: block for block in BLOCKS}


def seed() -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in SEED.iterdir() if path.is_file()}


def applied(files: dict[str, str], blocks: Iterable[Block]) -> dict[str, str]:
    for block in blocks:
        files = files | (block.apply(files) or {})
    return files


def parses(files: dict[str, str]) -> None:
    for path, text in files.items():
        if path.endswith(".py"):
            ast.parse(text, path)


NEEDS = {"narrower-5": ["shortlist"], "narrower-3": ["shortlist"]}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_changes_something_once(block: Block) -> None:
    before = applied(seed(), [BY_NAME[name] for name in NEEDS.get(block.name, [])])
    change = block.apply(before)
    assert change
    assert all(before[path] != text for path, text in change.items())
    after = before | change
    parses(after)
    assert block.apply(after) is None


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_leaves_a_foreign_harness_alone(block: Block) -> None:
    assert block.apply({"harness.py": "async def solve(case, llm, tools):\n    return None\n"}) is None
    assert block.apply({}) is None


@pytest.mark.parametrize("order", range(30))
def test_any_order(order: int) -> None:
    blocks = list(BLOCKS)
    Random(order).shuffle(blocks)
    files = seed()
    for block in blocks:
        files = applied(files, [block])
        parses(files)
        assert block.apply(files) is None
    assert "READERS = (exact, letter, lettered, named, nearest)" in files["answers.py"]


def test_orders_without_a_choice_meet() -> None:
    names = ["shortlist", "lenient-extraction", "finer-features", "centroids", "warmer-retry", "label-snapping"]
    blocks = [BY_NAME[name] for name in names]
    assert applied(seed(), blocks) == applied(seed(), reversed(blocks))


def test_greedy_and_voting_exclude_each_other() -> None:
    assert BY_NAME["voting"].apply(applied(seed(), [BY_NAME["greedy"]])) is None
    assert BY_NAME["greedy"].apply(applied(seed(), [BY_NAME["voting"]])) is None


def test_none_answers_without_the_policy() -> None:
    files = applied(seed(), BLOCKS)
    assert all('source="tool"' not in text for text in files.values())
