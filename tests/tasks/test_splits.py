from __future__ import annotations

import random
from collections import Counter, defaultdict
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia_tui.tasks import duplicates, splits
from sia_tui.tasks.splits import Item, Place
from sia_tui.tasks.task import TaskError

labels = st.sampled_from("ABCDE")
shapes = st.lists(st.tuples(labels, st.integers(0, 40)), min_size=1, max_size=120)
fractions = st.sampled_from([0.0, 0.1, 0.15, 0.3, 0.45])
seeds = st.integers(0, 5)


def items_of(shape: list[tuple[str, int]]) -> list[Item]:
    """Rows whose group number is drawn; most groups have one row, some several, of one label or of two."""
    return [Item(f"id{index}", label, str(group)) for index, (label, group) in enumerate(shape)]


@settings(max_examples=60)
@given(shapes, seeds, fractions, fractions)
def test_every_row_once_groups_whole_and_order_irrelevant(
    shape: list[tuple[str, int]], seed: int, dev: float, hidden: float
) -> None:
    items = items_of(shape)
    places = splits.split(items, seed, 3, dev, hidden)
    assert set(places) == {item.id for item in items}
    assert all((place.fold is not None) == (place.split == "train") for place in places.values())
    by_group: dict[str, set[Place]] = defaultdict(set)
    for item in items:
        by_group[item.group].add(places[item.id])
    assert all(len(sides) == 1 for sides in by_group.values())
    mixed = items[:]
    random.Random(1).shuffle(mixed)
    assert splits.split(mixed, seed, 3, dev, hidden) == places


@settings(max_examples=60)
@given(st.lists(labels, min_size=1, max_size=150), seeds, fractions, fractions)
def test_stratified_to_the_row(drawn: list[str], seed: int, dev: float, hidden: float) -> None:
    items = [Item(f"id{index}", label, str(index)) for index, label in enumerate(drawn)]
    places = splits.split(items, seed, 3, dev, hidden)
    for label, size in Counter(drawn).items():
        sides = Counter(places[item.id].split for item in items if item.label == label)
        folds = Counter(
            places[item.id].fold for item in items if item.label == label and places[item.id].fold is not None
        )
        assert sides["train"] >= 1
        assert max(folds.values()) - min(folds[fold] for fold in range(3)) <= 1
        if size * (1 - dev - hidden) >= 3:
            assert abs(sides["dev"] - size * dev) < 1 + 1e-9
            assert abs(sides["hidden"] - size * hidden) < 1 + 1e-9
    totals = Counter(place.fold for place in places.values() if place.fold is not None)
    assert max(totals.values()) - min(totals[fold] for fold in range(3)) <= len(set(drawn))


@settings(max_examples=40)
@given(shapes, seeds, st.integers(3, 60))
def test_limit_keeps_a_share_of_each_side(shape: list[tuple[str, int]], seed: int, limit: int) -> None:
    items = items_of(shape)
    full = splits.split(items, seed, 3, 0.2, 0.2)
    thin = splits.split(items, seed, 3, 0.2, 0.2, limit)
    sizes, whole = (Counter(place.split for place in places.values()) for places in (thin, full))
    assert sizes["train"] <= limit
    assert all(full[id].split == place.split for id, place in thin.items())
    for side in ("dev", "hidden"):
        assert sizes[side] <= splits.share(whole[side], limit, whole["train"])
    if limit >= whole["train"]:
        assert thin == full


def test_another_seed_another_split() -> None:
    items = [Item(f"id{index}", "A", str(index)) for index in range(60)]
    assert splits.split(items, 0, 3, 0.2, 0.2) != splits.split(items, 1, 3, 0.2, 0.2)


@pytest.mark.parametrize(
    ("folds", "dev", "hidden", "limit"), [(1, 0.1, 0.1, None), (3, 0.6, 0.4, None), (3, -0.1, 0.1, None), (3, 0, 0, 2)]
)
def test_settings_that_cannot_be_met(folds: int, dev: float, hidden: float, limit: int | None) -> None:
    with pytest.raises(TaskError):
        splits.split([Item("a", "A", "0")], 0, folds, dev, hidden, limit)


def naive(texts: list[str]) -> list[set[int]]:
    """Connected components of Jaccard at least THRESHOLD, every pair compared."""
    sets = []
    for text in texts:
        plain = duplicates.normalise(text).ljust(duplicates.SHINGLE, "\0")
        sets.append({plain[at : at + duplicates.SHINGLE] for at in range(len(plain) - duplicates.SHINGLE + 1)})
    parts = [{index} for index in range(len(texts))]
    for left, right in combinations(range(len(texts)), 2):
        if len(sets[left] & sets[right]) >= duplicates.THRESHOLD * len(sets[left] | sets[right]):
            joined = parts[left] | parts[right]
            for index in joined:
                parts[index] = joined
    return [part for index, part in enumerate(parts) if min(part) == index]


def edited(text: str, draw: random.Random, edits: int) -> str:
    chars = list(text)
    for _ in range(edits):
        chars[draw.randrange(len(chars))] = chr(draw.randrange(0x4E00, 0x4F00))
    return "".join(chars)


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_groups_are_those_of_comparing_every_pair(seed: int) -> None:
    draw = random.Random(seed)
    originals = ["".join(chr(draw.randrange(0x4E00, 0x4F00)) for _ in range(draw.randint(40, 200))) for _ in range(8)]
    copies = [edited(text, draw, edits) for text in originals for edits in (0, 1, 2)]
    texts = [*originals, *copies, "", " ", "短", "ab", "ab\n", "\U00020000\U00020001"]
    draw.shuffle(texts)
    found: dict[int, set[int]] = defaultdict(set)
    for index, group in enumerate(duplicates.groups(texts)):
        found[group].add(index)
    assert sorted(map(sorted, found.values())) == sorted(map(sorted, naive(texts)))


def test_punctuation_width_and_case_hide_no_copy() -> None:
    assert len(set(duplicates.groups(["被告人Ａ，盗窃。", "被告人a 盗窃", "被告人b抢劫了一家商店"]))) == 2


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_texts(count: int) -> None:
    assert duplicates.groups(["文"] * count) == [0] * count
