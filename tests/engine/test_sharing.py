"""Viewers and approvers, as real users of other numbers: what they can read, and in whose name they answer."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sia_tui.config.sections import ShareConfig
from sia_tui.core import events as ev
from sia_tui.engine.commands import heed
from sia_tui.engine.hearing import hearing
from sia_tui.store.asked import ask
from sia_tui.store.reader import RunReader, append_command
from sia_tui.store.sharing import admit
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.store.writer import RunStore
from tests.engine.test_commands import go_on
from tests.others import Other, groups

VIEWER, APPROVER, STRANGER = 2_000_100_001, 2_000_100_002, 2_000_100_003


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    """Where others could come, if they were let."""
    with tempfile.TemporaryDirectory(prefix="sia-shared-") as folder:
        Path(folder).chmod(0o755)
        made = Workspace(Path(folder) / "ws")
        made.create()
        (made.folder("tasks") / "labels.csv").write_text("secret")
        made.run("r").root.mkdir(parents=True)
        yield made


def begun(paths: RunPaths) -> RunStore:
    store = RunStore(paths.db)
    if not store.state.run:
        store.record(ev.RunCreated("r", "lawbench", "c"))
        go_on(store)
    return store


def test_viewers_read_what_others_do_not_and_nobody_writes(workspace: Workspace) -> None:
    group, other = groups(2)
    paths = workspace.run("r")
    viewer, stranger = Other(VIEWER, (group.gr_gid,)), Other(STRANGER, (other.gr_gid,))

    def read() -> Any:
        return RunReader(paths.db).state().status

    with begun(paths) as store:
        admit(workspace, paths, group.gr_name)
        assert viewer.does(read) == "running"
        assert stranger.does(read)["error"] in ("StoreError", "PermissionError")
        assert viewer.does(lambda: append_command(paths.db, "pause", "x", {}))["error"] == "StoreError"
        assert viewer.does(lambda: (paths.root / "new").write_text("x"))["error"] == "PermissionError"
        for closed in (paths.root / "verifier", workspace.root / "tasks"):
            assert viewer.does(partial(os.listdir, closed))["error"] == "PermissionError"
        store.record(ev.RunPaused("me", "saved"))
        assert viewer.does(read) == "paused"
        admit(workspace, paths, None)
        assert viewer.does(read)["error"] in ("StoreError", "PermissionError")


def test_a_run_is_read_while_no_engine_lives_and_on_when_one_comes_back(workspace: Workspace) -> None:
    (group,) = groups(1)
    paths = workspace.run("r")
    with begun(paths):
        admit(workspace, paths, group.gr_name)
    assert not paths.db.with_name("run.db-wal").exists()
    go = workspace.runs / "go"

    def watch() -> Any:
        reader = RunReader(paths.db)
        first = reader.state().status
        while not go.exists():
            pass
        return [first, reader.state().status]

    async def meanwhile() -> Any:
        watching = asyncio.create_task(asyncio.to_thread(Other(VIEWER, (group.gr_gid,)).does, watch))
        await asyncio.sleep(0.3)
        with begun(paths) as store:
            admit(workspace, paths, group.gr_name)
            store.record(ev.RunPaused("me", "saved"))
            go.touch()
            return await asyncio.wait_for(watching, 20)

    assert asyncio.run(meanwhile()) == ["running", "paused"]


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
            no = await asks(viewer, says("approve", **yes))
            assert no[0] is False and f"is not in the group {approvers.gr_name}" in no[1]
            assert (await asks(stranger, says("approve", **yes)))["error"] == "StoreError"
            assert (await asks(approver, says("stop")))[0] is False
            assert (await asks(approver, says("approve", **(yes | {"hash": "stale"}))))[0] is False
            assert await asks(approver, says("approve", **yes)) == [True, f"approved {gate.id}"]
        assert (await asks(approver, says("approve", **yes)))["error"] == "StoreError"

    with begun(paths) as store:
        admit(workspace, paths, share.readers)
        asyncio.run(heard(store))
        given = json.loads(RunReader(paths.db).rows()[-1].data)
        assert (given["uid"], given["verdict"]["by"], given["seen"]) == (APPROVER, f"uid-{APPROVER}", "s")


def test_a_group_that_is_none_and_a_workspace_that_another_has_are_said(workspace: Workspace) -> None:
    one, other = groups(2)
    with pytest.raises(StoreError, match="groupadd no-such-group"):
        admit(workspace, workspace.run("r"), "no-such-group")
    admit(workspace, workspace.run("r"), one.gr_name)
    with pytest.raises(StoreError, match=f"shared with {one.gr_name} already"):
        admit(workspace, workspace.run("r"), other.gr_name)
