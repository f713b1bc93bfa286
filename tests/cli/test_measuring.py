"""What is measured beside a run: from what its generations are made of, never from what it stored, never into its log."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sia_tui.cli.main import main
from sia_tui.config import load_config
from sia_tui.core import events as ev
from sia_tui.core.attribution import pairs
from sia_tui.core.hashing import digest
from sia_tui.core.meantime import Attribute, Gather
from sia_tui.core.state import State
from sia_tui.core.telling import repeated
from sia_tui.engine import evaluate, meantime
from sia_tui.engine import session as sessions
from sia_tui.engine import step as steps
from sia_tui.engine.again import Wanted, beside, measure
from sia_tui.engine.opening import open_session
from sia_tui.engine.progress import Reporter
from sia_tui.engine.session import Session
from sia_tui.harness.repository import HarnessRepository
from sia_tui.policy.adapters import adapter_hash
from sia_tui.store.again import Remeasures
from sia_tui.store.browse import Browser
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import Workspace
from sia_tui.store.writer import RunStore
from tests.cli.exported import Shop, _seeds
from tests.e2e.script import unified

pytestmark = pytest.mark.xdist_group("export")


@pytest.fixture
def copied(shop: Shop, tmp_path: Path) -> Iterator[Shop]:
    """A copy with the shop's seed in place of the house's, to be measured beside."""
    root = tmp_path / "copy"
    shutil.copytree(shop.workspace.root, root / "w", symlinks=True)
    workspace = Workspace(root / "w")
    run = workspace.run("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "SEEDS", _seeds(root / "seeds"))
        yield Shop(
            workspace, run, workspace.root / "policies" / shop.base.name, run.adapter(adapter_hash(shop.adapter))
        )


def state_of(shop: Shop) -> State:
    with closing(RunReader(shop.run.db)) as reader:
        return reader.state()


def asked(shop: Shop, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code = main([*words, "--workspace", str(shop.workspace.root), "--json"])
    out, err = capsys.readouterr()
    assert out, err
    return code, json.loads(out)


def test_what_is_measured_again_owes_nothing_to_what_is_stored(
    copied: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answers hang on adapter, sampling seed, rows and the ids that the harness sees; three stored ones are spoilt
    here, and every reward."""
    recorded = Remeasures(copied.run, state_of(copied), 0).recorded(0, "dev")
    spoilt = sorted(row.case_id for row in recorded)[:3]
    with closing(sqlite3.connect(copied.run.db)) as db, db:
        db.execute("update episodes set reward = 1")
        db.executemany("update episodes set answer = 'spoilt' where case_id = ?", [[case] for case in spoilt])
    before = copied.run.db.read_bytes()
    code, told = asked(copied, capsys, "reproduce", "real", "g0")
    assert all(seal["holds"] for seal in told["seals"]) and len(told["seals"]) == 10
    measured = told["measured"]
    assert (measured["differing"], measured["same"]) == (spoilt, len(recorded) - 3) and len(recorded) > 10
    assert (code, told["reproduces"], measured["recorded"]) == (1, False, 1.0) and measured["again"] < 0.5
    assert copied.run.db.read_bytes() == before


def test_what_is_not_as_recorded_is_named_and_not_measured(copied: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    weights = copied.adapter / "adapter_model.safetensors"
    whole, config = weights.read_bytes(), copied.run.config.read_text()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    copied.run.config.write_text(config.replace("deadline_s: 30.0", "deadline_s: 29.0"))
    code, told = asked(copied, capsys, "reproduce", "real", "g0")
    broken = [seal["name"] for seal in told["seals"] if not seal["holds"]]
    assert (code, told["measured"]) == (1, None)
    assert [name.split()[0] for name in broken] == ["config", "serving", "adapter"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["reproduce", "real", "g7"], "real has no generation g7"),
        (["attribute", "real"], "no such pair of a harness and a weights step"),
        (["attribute", "real", "g0"], "name both generations of a kept pair"),
        (["more-evidence", "real", "g0"], "g0 is nobody's candidate"),
        (["more-evidence", "real", "gate-1"], "real has no generation gate-1"),
    ],
)
def test_wrong_usage_is_one_line(copied: Shop, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main([*words, "--workspace", str(copied.workspace.root)]) == 2
    out, err = capsys.readouterr()
    assert said in err and err.count("\n") == 1 and not out


def test_test_is_no_split_to_measure_again(copied: Shop) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["reproduce", "real", "g0", "--split", "test", "--workspace", str(copied.workspace.root)])
    assert ended.value.code == 2


def test_a_kept_pair_gets_its_fourth_cell_and_other_seeds_stand_beside_it(
    copied: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two steps are put into the log as if they had been kept; what is missing is then measured for real, once."""
    state = put_steps(copied)
    config = load_config(copied.run.config)
    wanted = [Wanted(0, 2, "dev", config.seed), *(Wanted(index, index, "dev", 1) for index in (0, 1))]

    async def work() -> list[ev.MeasuredAgain]:
        said: list[str] = []
        async with beside(copied.workspace, copied.run, config, state, said.append) as session:
            return [await measure(session, state, one) for one in wanted]

    made = asyncio.run(work())
    assert asyncio.run(work()) == made, "what is finished is not measured twice"
    again = Remeasures(copied.run, state, config.seed)
    missing, other = ({row.case_id: row.answer for row in again.episodes(one)} for one in made[:2])
    recorded = {row.case_id: row.answer for row in again.recorded(0, "dev")}
    assert missing.keys() == recorded.keys() == other.keys()
    assert recorded not in (missing, other), "other weights and another seed say something else"
    code, told = asked(copied, capsys, "attribute", "real", "g1", "g2")
    (pair,) = told["pairs"]
    assert code == 0 and all(pair["cells"][name] for name in ("harness", "weights", "both", "interaction"))
    code, told = asked(copied, capsys, "more-evidence", "real", "g1", "--seeds", "1")
    assert code == 0 and [draw["seed"] for draw in told["draws"]] == [config.seed, 1]
    assert told["pooled"]["n"] == len(recorded)


def test_the_engine_learns_more_of_its_own_steps_into_its_own_log(
    copied: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """A patch of three hunks that answers every case with one charge: the hunk that says it, the file it is said in, and
    one that does nothing. It waits at a gate about its result, as if dev could not tell."""
    put_steps(copied)
    config = load_config(copied.run.config)

    async def work() -> None:
        said: list[str] = []
        with RunStore(copied.run.db) as store:
            report = Reporter(store, said.append)
            async with open_session(copied.workspace, copied.run, config, store, report, lambda: False) as session:
                await learn(session, said)

    asyncio.run(work())
    state = state_of(copied)
    step = state.steps[-1]
    assert step.traced is not None and step.measured is not None
    named = {hunk.split(":")[0]: number for number, hunk in enumerate(step.traced.hunks)}
    assert step.traced.untold == (named["said.py"],) and step.measured.fixed
    assert sorted(one.case for one in step.traced.fixed) == list(step.measured.fixed)
    assert {one.hunks for one in step.traced.fixed} == {(named["harness.py"],)}
    with closing(Browser(copied.run.db)) as browser:
        newest = browser.of_cases(step.measured.fixed)
    assert {row.key for row in newest.values()} == {state.generations[step.measured.generation].key}
    code, told = asked(copied, capsys, "attribute", "real", "g1", "g2")
    assert code == 0 and told["pairs"][0]["cells"]["interaction"] and not copied.run.again.db.is_file()
    code, told = asked(copied, capsys, "show", "real")
    assert [len(told[name]) for name in ("attributions", "traced", "kept_pairs", "more_evidence")] == [1, 1, 0, 1]
    assert told["more_evidence"][0]["pooled"]["n"] == step.measured.n


async def learn(session: Session, said: list[str]) -> None:
    """As the engine would: measured, asked, asked again with more, and meanwhile whatever waiting leaves time for."""
    session.record(ev.RunResumed("me"))
    await meantime.perform(session, Attribute(pairs(session.state)[0]))
    best = session.state.best
    assert best is not None
    files = session.repository.files(best.commit, session.package)
    label = session.task.gold[session.task.ids("dev")[0]]
    spoken = files["harness.py"].replace("import Answer", "import Answer\nfrom said import SAID")
    spoken = spoken[: spoken.index("    return")] + "    return Answer(SAID)\n"
    new = {"harness.py": spoken, "said.py": f"SAID = {label!r}\n", "tools.py": "NOTHING = 0\n" + files["tools.py"]}
    made = replace(stub("harness"), base_commit=best.commit, patch=unified(files, files | new))
    session.record(ev.ProposalMade("p-3", made))
    steps.check(session, session.state.steps[-1])
    steps.apply(session, session.state.steps[-1])
    (index,) = session.state.steps[-1].candidates
    await evaluate.evaluate(session, index, "dev")
    evaluate.compare(session, session.state.steps[-1])
    steps.open_gate(session, session.state.steps[-1], "keep")
    first = session.state.waiting
    assert first is not None
    async with meantime.Meanwhile(session, "waiting") as measuring:
        before = session.state
        while session.state.steps[-1].traced is None:
            measuring.look()
            assert measuring.undisturbed(before)
            await asyncio.sleep(0.05)
    (again,) = session.state.repeats
    assert again.differing and session.state.waiting == first, "that noise is no evidence for the answer"
    assert f"the incumbent again: {100 * again.mean:.1f} % ({again.differing} of" in repeated(again)
    session.record(ev.EvidenceWanted(first.id, "me"))
    await meantime.perform(session, Gather("p-3"))
    steps.open_gate(session, session.state.steps[-1], "keep")
    second, (found,) = session.state.waiting, session.state.steps[-1].evidence
    assert second is not None and (second.id, second.parts.keys() - first.parts.keys()) == (first.id, {"evidence"})
    assert (found.seed, found.draws, found.generation) == (again.seed, 2, index)
    assert sum(f"g{best.index} again on dev" in line for line in said) == 1, (
        "what idle time measured is not measured twice"
    )


def put_steps(shop: Shop) -> State:
    """g1, a harness step that changes nothing, and g2, weights that are the base's own."""
    first = state_of(shop).generations[0]
    repository = HarnessRepository(shop.workspace.harness_repository)
    bare = repository.generation(first.commit) | {"adapter": None}
    dev = first.results["dev"]
    with RunStore(shop.run.db) as store:
        for index, lever, adapter in ((1, "harness", first.adapter), (2, "weights", None)):
            generation = bare | {"adapter": adapter, "step": index}
            commit = repository.commit_generation(
                first.commit, generation, first.commit, "m", {}, "2026-01-01T00:00:00Z"
            )
            key = digest(generation)
            created = ev.GenerationCreated(index, lever, commit, first.tree, key, adapter, index - 1, f"p-{index}")  # type: ignore[arg-type]
            proposal = ev.ProposalMade(f"p-{index}", stub(lever))
            store.record(proposal, created, ev.Evaluated(index, "dev", dev.mean, dev.lo, dev.hi, dev.n, 0.0, {}))
            store.record(ev.GenerationKept(index, "put there"))
        with closing(sqlite3.connect(shop.run.db)) as db, db:
            for made in store.state.generations[1:]:
                columns = "case_id, split, fold, reward, failure, source, answer, tokens, seconds, isolation, at"
                query = f"insert into episodes (id, key, {columns}) select ? || id, ?, {columns} from episodes where key = ?"
                db.execute(query, [f"g{made.index}", made.key, first.key])
        return store.state


def stub(lever: str) -> Any:
    from sia_tui.core.proposals import Proposal

    return Proposal(lever, "put there", "for the test", f"idea-{lever}", "c0")  # type: ignore[arg-type]
