"""Denoising's verifier in an engine: tissues by a workspace's own key, candidates confined, test sealed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sia_tui.core.episodes import Case
from sia_tui.engine.tissues import TissueVerifier
from sia_tui.harness.walls import Walls
from sia_tui.tasks.denoise.render import render
from sia_tui.tasks.denoise.store import COUNTS, TissueStore, key_hash, open_store
from sia_tui.tasks.denoise.task import DenoiseTask, load
from sia_tui.tasks.probes.tissues import GOOD
from sia_tui.tasks.verifier import VerifierFailed
from tests.harness.world import LEVELS


def task(store: TissueStore) -> DenoiseTask:
    """Two tissues of it, without making the rest."""
    cases = {"a": Case("a", "dev", {}), "t": Case("t", "test", {})}
    names = {"a": "dev-00", "t": "test-00"}
    return DenoiseTask("denoise", "", (), cases, dict.fromkeys(cases, ""), store=store, names=names)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TissueStore:
    return open_store(tmp_path_factory.mktemp("denoise"))


def test_a_workspace_has_tissues_of_its_own(store: TissueStore, tmp_path: Path) -> None:
    again, other = open_store(store.folder), open_store(tmp_path / "other")
    assert key_hash(again) == key_hash(store) != key_hash(other)
    assert oct((store.folder / "key").stat().st_mode & 0o777) == "0o600"
    one, same, another = store.tissue("dev-00"), again.tissue("dev-00"), other.tissue("dev-00")
    assert (one.train == same.train).all() and (one.test == same.test).all()
    assert one.train.shape != another.train.shape or (one.train != another.train).any()


async def test_sources_are_scored_and_test_is_sealed(tmp_path: Path) -> None:
    """By a key that is always the same, for what a source earns hangs on the tissue."""
    (tmp_path / "key").write_bytes(bytes(32))
    store, good = open_store(tmp_path), render(GOOD)
    async with TissueVerifier(tmp_path / "v", task(store), LEVELS[0], Walls()) as verifier:
        paid = await verifier.score("a", good)
        assert paid.failure is None and paid.reward == paid.metrics["mse_norm"] > 0.1
        assert (await verifier.score("a", None)).failure == "no_answer"
        assert (await verifier.score("a", "def denoise(counts): return counts * -1")).failure == "negative"
        with pytest.raises(VerifierFailed, match="before the test is opened"):
            await verifier.score("t", good)
        verifier.check()
        await verifier.open_test({"t": ""})
        assert (await verifier.score("t", "def denoise(counts): return counts")).failure == "no_gain"


def test_no_two_tissues_share_a_name(tmp_path: Path) -> None:
    named = [f"{split}-{index:02d}" for split, count in COUNTS.items() for index in range(count)]
    store = open_store(tmp_path)
    (store.folder / "facts.json").write_text(json.dumps({name: {"cells": "9"} for name in named}))
    found = load(tmp_path, seed=0, folds=5, limit=None)
    assert {split: len(found.ids(split)) for split in COUNTS} == dict(COUNTS)
    assert sorted(found.names.values()) == sorted(named)
