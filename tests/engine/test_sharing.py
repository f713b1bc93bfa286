"""Viewers and approvers, as real users of other numbers: what they can read, and in whose name they answer."""

from __future__ import annotations

import asyncio
import json
import os
import select
import socket
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sia_tui.cli.beginning import create
from sia_tui.cli.main import main
from sia_tui.config.sections import ShareConfig
from sia_tui.core import events as ev
from sia_tui.engine import hearing as ears
from sia_tui.engine.commands import heed
from sia_tui.engine.engine import Options, run_engine
from sia_tui.engine.hearing import hearing
from sia_tui.engine.history import follow_log
from sia_tui.harness.repository import HarnessRepository
from sia_tui.repositories import repository_of
from sia_tui.store.asked import SOCKET, ask
from sia_tui.store.browse import Browser, Wanted
from sia_tui.store.lock import hold, is_held
from sia_tui.store.memory import remember
from sia_tui.store.openings import record_opening
from sia_tui.store.reader import RunReader, append_command
from sia_tui.store.search import FILE, keep_up
from sia_tui.store.sharing import admit
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.store.writer import RunStore
from tests.engine.filling import CONFIG
from tests.engine.test_commands import go_on
from tests.others import Other, groups
from tests.store.test_run_store import ATTEMPT, SCORE
from tests.tui.grown import commit, grown_run

VIEWER, APPROVER, STRANGER, OWNER = 2_000_100_001, 2_000_100_002, 2_000_100_003, 2_000_100_004


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    """Where others could come, if they were let."""
    with tempfile.TemporaryDirectory(prefix="sia-shared-") as folder:
        Path(folder).chmod(0o755)
        made = Workspace(Path(folder) / "ws")
        made.create()
        (made.folder("tasks") / "labels.csv").write_text("secret")
        for run in ("r", "private"):
            made.run(run).root.mkdir(parents=True)
            made.run(run).config.touch()
        yield made


def begun(paths: RunPaths) -> RunStore:
    store = RunStore(paths.db)
    if not store.state.run:
        store.record(ev.RunCreated("r", "lawbench", "c"))
        go_on(store)
    return store


def test_viewers_read_what_others_do_not_and_nobody_writes(workspace: Workspace) -> None:
    group, other = groups(2)
    paths, private = workspace.run("r"), workspace.run("private")
    viewer, stranger = Other(VIEWER, (group.gr_gid,)), Other(STRANGER, (other.gr_gid,))
    for folder in (paths.root / "verifier", paths.again.root / "verifier", workspace.harness_repository):
        folder.mkdir(parents=True)

    def read() -> Any:
        return RunReader(paths.db).state().status

    with begun(paths) as store, begun(private):
        admit(workspace, paths, group.gr_name)
        assert viewer.does(read) == "running" and viewer.does(workspace.run_names) == ["r"]
        assert stranger.does(read)["error"] in ("StoreError", "PermissionError")
        assert viewer.does(lambda: append_command(paths.db, "pause", "x", {}))["error"] == "StoreError"
        assert viewer.does(lambda: (paths.root / "new").write_text("x"))["error"] == "PermissionError"
        closed = (paths.root / "verifier", paths.again.root / "verifier", workspace.root / "tasks", private.root)
        for folder in (*closed, workspace.harness_repository):
            assert viewer.does(partial(os.listdir, folder))["error"] == "PermissionError"
        assert viewer.does(lambda: workspace.existing("private"))["error"] == "StoreError"
        store.record(ev.RunPaused("me", "saved"))
        assert viewer.does(read) == "paused"
        admit(workspace, private, group.gr_name)
        admit(workspace, paths, group.gr_name)
        assert sorted(viewer.does(workspace.run_names)) == ["private", "r"], "a second one that is shared stays so"
        admit(workspace, paths, None)
        assert viewer.does(read)["error"] in ("StoreError", "PermissionError")


def test_what_is_made_in_a_workspace_is_its_owners_alone_from_the_beginning(workspace: Workspace) -> None:
    """The way to a shared run leads by it."""
    run = create(workspace, CONFIG, ev.RunCreated("new", "lawbench", CONFIG.hash))
    repository, _ = HarnessRepository.plant(workspace.harness_repository, "toy", {"harness.py": b"pass\n"})
    record_opening(workspace.db, "new", "t")
    workspace.db.unlink()
    remember(workspace.db, RunReader(run.db).state())
    for made in (run.root, repository.root, workspace.db):
        assert made.stat().st_mode & 0o077 == 0, made


def test_what_another_has_put_into_the_workspace_is_left_as_it_is(workspace: Workspace) -> None:
    (group,) = groups(1)
    for path in (workspace.root, *workspace.root.rglob("*")):
        os.chown(path, OWNER, -1)
    (workspace.root / "theirs").touch(mode=0o644)
    assert Other(OWNER, (group.gr_gid,)).does(lambda: admit(workspace, workspace.run("r"), group.gr_name)) is None


@pytest.mark.parametrize("alive", [True, False], ids=["by an engine", "and nobody is left"])
def test_a_run_is_read_while_no_engine_lives_and_when_it_was_written_since(workspace: Workspace, alive: bool) -> None:
    (group,) = groups(1)
    paths = workspace.run("r")
    with begun(paths):
        admit(workspace, paths, group.gr_name)
    assert not paths.db.with_name("run.db-wal").exists()
    go, (ready, tell) = workspace.runs / "go", os.pipe()

    def watch() -> Any:
        reader = RunReader(paths.db)
        first, version = reader.state().status, reader.version()
        os.write(tell, b"x")
        while not go.exists():
            pass
        return [first, reader.version() != version, reader.state().status]

    async def meanwhile() -> Any:
        watching = asyncio.create_task(asyncio.to_thread(Other(VIEWER, (group.gr_gid,)).does, watch))
        await asyncio.wait_for(asyncio.to_thread(os.read, ready, 1), 20)
        with begun(paths) as store:
            admit(workspace, paths, group.gr_name)
            store.record(ev.RunPaused("me", "saved"))
            if alive:
                go.touch()
                return await asyncio.wait_for(watching, 20)
        go.touch()
        return await asyncio.wait_for(watching, 20)

    assert asyncio.run(meanwhile()) == ["running", True, "paused"]


def test_a_search_index_is_the_owners_and_looked_through_by_those_who_may_read_it(workspace: Workspace) -> None:
    (group,) = groups(1)
    paths, viewer = workspace.run("r"), Other(VIEWER, (group.gr_gid,))
    with begun(paths) as store:
        store.record_episode("e-1", "k", ATTEMPT, SCORE)
        admit(workspace, paths, group.gr_name)

        def found() -> Any:
            return [len(Browser(paths.db).numbers(Wanted(sealed=False, text=text))) for text in ("", "nothing", "事实")]

        def indexes() -> Any:
            keep_up(paths.db, lambda done, of: True)

        assert viewer.does(found) == [1, 0, 0]
        assert viewer.does(indexes)["said"].endswith("only what its owner has indexed is searched")
        keep_up(paths.db, lambda done, of: True)
        assert viewer.does(found) == [1, 0, 1], "made later, it is the group's as its folder is"
        (paths.root / FILE).chmod(0o600)
        assert viewer.does(found) == [1, 0, 0], "one that may not be read takes no row away"
        admit(workspace, paths, group.gr_name)
        assert viewer.does(found) == [1, 0, 1]


def test_a_verdict_is_that_of_the_user_who_gave_it(workspace: Workspace) -> None:
    viewers, approvers = groups(2)
    paths = workspace.run("r")
    approver = Other(APPROVER, (viewers.gr_gid, approvers.gr_gid))
    viewer, stranger = Other(VIEWER, (viewers.gr_gid,)), Other(STRANGER)
    share = ShareConfig(viewers=viewers.gr_name, approvers=approvers.gr_name)

    def says(kind: str, **body: Any) -> Any:
        def act() -> Any:
            answer = ask(paths, kind, body)
            return [answer.ok, answer.message]

        return act

    async def heard(store: RunStore) -> None:
        gate = store.state.waiting
        assert gate is not None
        yes = {"gate": gate.id, "hash": gate.hash, "uid": 0, "by": "root", "seen": "s"}

        async def asks(who: Other, act: Any) -> Any:
            asking = asyncio.create_task(asyncio.to_thread(who.does, act))
            while not asking.done():
                heed(store, paths)
                await asyncio.sleep(0.02)
            return await asking

        async with hearing(paths, share):
            assert viewer.does(lambda: is_held(paths.lock)) is True
            assert viewer.does(lambda: os.open(paths.lock, os.O_RDONLY))["error"] == "PermissionError"
            no = await asks(viewer, says("approve", **yes))
            assert no[0] is False and f"is not in the group {approvers.gr_name}" in no[1]
            assert (await asks(stranger, says("approve", **yes)))["error"] == "StoreError"
            assert (await asks(approver, says("stop")))[0] is False
            assert (await asks(approver, says("approve", **(yes | {"hash": "stale"}))))[0] is False
            assert await asks(approver, says("approve", **yes)) == [True, f"approved {gate.id}"]
        assert viewer.does(lambda: is_held(paths.lock)) is False
        assert (await asks(approver, says("approve", **yes)))["error"] == "StoreError"

    paths.lock.touch(mode=0o644)
    with hold(paths.lock), begun(paths) as store:
        admit(workspace, paths, share.readers)
        asyncio.run(heard(store))
        given = json.loads(RunReader(paths.db).written().rows[-1].data)
        assert (given["uid"], given["verdict"]["by"], given["seen"]) == (APPROVER, f"uid-{APPROVER}", "s")


def test_a_group_that_is_none_and_a_workspace_that_another_has_are_said(workspace: Workspace) -> None:
    one, other = groups(2)
    with pytest.raises(StoreError, match="groupadd no-such-group"):
        admit(workspace, workspace.run("r"), "no-such-group")
    admit(workspace, workspace.run("r"), one.gr_name)
    with pytest.raises(StoreError, match=f"shared with {one.gr_name} already"):
        admit(workspace, workspace.run("r"), other.gr_name)


def test_whoever_says_nothing_keeps_no_approver_out(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as strangers may be silent, an approver would wait."""
    monkeypatch.setattr(ears, "LINE_S", 60.0)
    monkeypatch.setattr(ears, "ANSWER_S", 90.0)
    viewers, approvers = groups(2)
    paths, share = workspace.run("r"), ShareConfig(viewers=viewers.gr_name, approvers=approvers.gr_name)
    viewer = Other(VIEWER, (viewers.gr_gid,))
    approver = Other(APPROVER, (viewers.gr_gid, approvers.gr_gid))
    go, many, (ready, tell) = workspace.root / "go", 2 * ears.EACH, os.pipe()

    def silent() -> Any:
        held = [socket.socket(socket.AF_UNIX) for _ in range(many)]
        for one in held:
            one.connect(str(paths.root / SOCKET))
        os.write(tell, b"x")
        while not go.exists():
            time.sleep(0.01)
        return len(select.select(held, [], [], 0)[0])

    async def heard(store: RunStore) -> Any:
        async with hearing(paths, share):
            quiet = asyncio.create_task(asyncio.to_thread(viewer.does, silent))
            await asyncio.wait_for(asyncio.to_thread(os.read, ready, 1), 20)
            asking = asyncio.create_task(asyncio.to_thread(approver.does, asks))
            while not asking.done():
                heed(store, paths)
                await asyncio.sleep(0.02)
            go.touch()
            return await asking, await quiet

    def asks() -> Any:
        answer = ask(paths, "defer", {"gate": "gate-1"})
        return [answer.ok, answer.message]

    with begun(paths) as store:
        admit(workspace, paths, share.readers)
        answer, refused = asyncio.run(heard(store))
    assert answer[0] is True and refused == many - ears.EACH


def test_what_cannot_be_written_is_said_to_whoever_asked(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise StoreError("run.db: the command could not be written (disk full)")

    (group,) = groups(1)
    monkeypatch.setattr(ears, "append_command", full)
    paths, share = workspace.run("r"), ShareConfig(approvers=group.gr_name)

    async def heard() -> Any:
        async with hearing(paths, share):
            return await asyncio.to_thread(ask, paths, "approve", {})

    with begun(paths):
        admit(workspace, paths, share.readers)
        assert asyncio.run(heard()).message.endswith("(disk full)")


@pytest.mark.parametrize(
    "said",
    [b'{"kind": "approve", "body": {"gate": "gate-1", "hash": "\\ud800"}}\n', b"[" * 100_000 + b"\n"],
    ids=["half a character", "deep"],
)
def test_words_that_are_none_are_answered(workspace: Workspace, said: bytes) -> None:
    (group,) = groups(1)
    paths, share = workspace.run("r"), ShareConfig(approvers=group.gr_name)

    async def heard() -> Any:
        async with hearing(paths, share):
            reader, writer = await asyncio.open_unix_connection(paths.root / SOCKET)
            writer.write(said)
            answer = json.loads(await asyncio.wait_for(reader.readline(), 20))
            writer.close()
            return answer

    with begun(paths) as store:
        admit(workspace, paths, share.readers)
        answer = asyncio.run(heard())
        assert not answer["ok"] and answer["message"] and store.commands() == []


def test_a_run_without_approvers_says_so_and_that_its_engine_lives(workspace: Workspace) -> None:
    (group,) = groups(1)
    paths, share = workspace.run("r"), ShareConfig(viewers=group.gr_name)

    async def heard() -> Any:
        async with hearing(paths, share):
            return await asyncio.to_thread(ask, paths, "approve", {})

    with begun(paths):
        admit(workspace, paths, share.readers)
        assert "has no approvers" in asyncio.run(heard()).message


def test_a_group_that_is_none_ends_no_run(workspace: Workspace) -> None:
    (group,) = groups(1)
    paths, share = workspace.run("r"), ShareConfig(viewers=group.gr_name, approvers="no-such-group")
    begun(paths)
    with pytest.raises(StoreError, match="groupadd no-such-group"):
        asyncio.run(run_engine(workspace, paths, CONFIG.model_copy(update={"share": share}), Options()))
    assert RunReader(paths.db).state().status == "running"


def test_viewers_have_the_history_of_the_run_that_is_shared_and_of_no_other(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (group,), mine = groups(1), workspace.root.with_name("tmp")
    mine.mkdir()
    mine.chmod(0o777)
    # A forked process leaves behind what it would have cleared away at its end.
    monkeypatch.setattr(tempfile, "tempdir", str(mine))
    paths, viewer = grown_run(workspace.root), Other(VIEWER, (group.gr_gid,))
    state, own = RunReader(paths.db).state(), repository_of(paths)
    secret = commit(own, state.generations[0].commit, "ASK = 'private'\n", "of another run")
    own.mark("refs/tags/private/g1", secret)

    def engine_turns(share: ShareConfig) -> None:
        session = {"state": state, "repository": own, "paths": paths, "config": SimpleNamespace(share=share)}
        follow_log(cast(Any, SimpleNamespace(**session)))

    def cannot() -> Any:
        return repository_of(paths)

    def reads() -> Any:
        theirs, told = repository_of(paths), state.generations[1].commit
        assert repository_of(paths) is theirs, "unpacked once"
        there = [theirs.files(told, "lawbench")["harness.py"].split()[5], theirs.noted("r", told) is not None]
        return [*there, sorted(theirs.names().values()), theirs.resolve(f"{secret}^{{commit}}")]

    def reports() -> Any:
        with tempfile.TemporaryDirectory() as out:
            words = ("report", "r", "--workspace", str(workspace.root), "--out", out)
            return [main([*words]), (Path(out) / "report.md").read_text()]

    engine_turns(ShareConfig())
    admit(workspace, paths, group.gr_name)
    assert "no history of its harness is packed" in viewer.does(cannot)["said"]
    (paths.root / ".harness.bundle.new.lock").touch()
    engine_turns(ShareConfig(viewers=group.gr_name))
    assert viewer.does(reads) == ["'two'", True, ["r/g0", "r/g1", "r/g2"], None]
    before = paths.history.stat().st_ino
    engine_turns(ShareConfig(viewers=group.gr_name))
    assert paths.history.stat().st_ino == before, "packed again only where something is new"
    code, told = viewer.does(reports)
    assert code == 0 and "was not looked at" in told and "its owner's to see" in told, told
    assert f"{state.generations[1].tree[:16]}" in told
