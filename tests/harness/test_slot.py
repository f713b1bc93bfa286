"""A user number and a control group for each slot, where this machine has them to give."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sia_tui.harness import cgroups, uids
from sia_tui.harness.cgroups import Hierarchy, candidates
from sia_tui.harness.environment import base_interpreter
from sia_tui.harness.launch import INSIDE
from sia_tui.harness.sandbox import Isolation, probe
from sia_tui.harness.walls import UIDS, Walls
from sia_tui.harness.workers import prepare
from tests.harness.world import RUN_CODE, World, case

MEBIBYTE = 1024 * 1024
FORKS = """
import os, time
count = 0
try:
    for count in range(40):
        if os.fork() == 0:
            os.close(1); os.close(2); time.sleep(5); os._exit(0)
except BlockingIOError:
    print("held at", count < 20)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Where anybody may go, as a temporary folder of pytest's is not."""
    with tempfile.TemporaryDirectory(prefix="sia-slot-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def world(level: Isolation, open_folder: Path) -> World:
    """Whose slots are users of their own."""
    if uids.not_here(UIDS) or (level == "bwrap" and not probe().as_root):
        pytest.skip(uids.not_here(UIDS) or "bubblewrap works here with a namespace of users alone")
    python = base_interpreter() if level == "bwrap" else Path("/usr/bin/python3")
    if level == "landlock" and (not python.exists() or uids.in_the_way(INSIDE)):
        pytest.skip("no Python here, or no sia-tui, that every user can read")
    return World(level, open_folder, python)


@pytest.mark.asyncio
async def test_slots_are_users_of_their_own(world: World) -> None:
    world.write(RUN_CODE)
    told = case(code="import os; result = *os.getresuid(), *os.getresgid(), os.getgroups()")
    async with world.worker() as one, world.worker() as other:
        first, second = [(await worker.solve(0, told, 5)).answer or "" for worker in (one, other)]
        numbers = [int(said.strip("()").split(",")[0]) for said in (first, second)]
        assert numbers[0] != numbers[1] and all(UIDS[0] <= number <= UIDS[1] for number in numbers)
        assert first == f"({', '.join([str(numbers[0])] * 6)}, [])"
        pid = next(int(one.name) for one in Path("/proc").glob("[0-9]*") if one.stat().st_uid == numbers[1])
        assert _reached(numbers[0], pid) == ""
        assert _reached(numbers[1], pid).startswith("signals")


OWN_FILES = """
import os, tempfile

def prepare(rows, out):
    (out / "deep").mkdir(mode=0o700)
    file, name = tempfile.mkstemp(dir=out / "deep")
    os.write(file, b"fitted")
    os.rename(name, out / "deep" / "model")

def load(rows, out):
    return (out / "deep" / "model").read_text()
"""


@pytest.mark.asyncio
async def test_what_one_slot_made_for_itself_alone_the_next_can_read(world: World) -> None:
    world.write(RUN_CODE, OWN_FILES)
    await prepare(world.setup(), 20)
    async with world.worker() as worker:
        told = case(code="import os; result = (os.getuid(), tools.upper())")
        said = (await worker.solve(0, told, 5)).answer or ""
    number, tools = said.strip("()").split(", ")
    assert tools == "'FITTED'" and UIDS[0] <= int(number) <= UIDS[1]


def test_without_a_place_for_their_locks_there_are_no_numbers_and_it_is_said(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container whose /run may only be read."""
    if uids.not_here(UIDS):
        pytest.skip(uids.not_here(UIDS))
    (open_folder / "run").touch()
    monkeypatch.setattr(uids, "LOCKS", open_folder / "run" / "uids")
    assert uids.held(UIDS) is None and "cannot be made: Not a directory" in uids.not_here(UIDS)


def _reached(uid: int, pid: int) -> str:
    """What a process of that number, in no walls at all, can do to this one."""
    words = "kill -0 $0 2>&1 && echo signals; head -c1 /proc/$0/maps >/dev/null && echo memory; true"
    told = subprocess.run(
        ["/bin/sh", "-c", words, str(pid)],
        user=uid,
        group=uid,
        extra_groups=[],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return " ".join(word for word in told.stdout.split() if word in ("signals", "memory"))


@pytest.mark.asyncio
async def test_without_numbers_of_their_own_they_run_as_before(level: Isolation, open_folder: Path) -> None:
    world = World(level, open_folder, walls=Walls(uids=None)).write(RUN_CODE)
    async with world.worker() as worker:
        said = (await worker.solve(0, case(code="import os; result = os.getuid()"), 5)).answer
        assert said == ("65534" if level == "bwrap" else str(os.getuid()))


def test_a_number_is_given_once_until_it_is_given_back() -> None:
    if uids.not_here(UIDS):
        pytest.skip(uids.not_here(UIDS))
    few = (UIDS[1] - 1, UIDS[1])
    one, two = uids.held(few), uids.held(few)
    assert one is not None and two is not None and {one.uid, two.uid} == set(few)
    assert uids.held(few) is None
    one.let_go()
    again = uids.held(few)
    assert again is not None and again.uid == one.uid
    for held in (again, two):
        held.let_go()


def test_what_others_cannot_read_is_found(open_folder: Path) -> None:
    inside = open_folder / "a" / "b"
    inside.mkdir(parents=True)
    assert uids.in_the_way(inside) is None
    (inside.parent).chmod(0o700)
    assert uids.in_the_way(inside) == inside.parent and uids.closed(inside) is None
    (inside / "file").touch(0o600)
    assert uids.closed(inside) == inside / "file"


@pytest.fixture
def where() -> Hierarchy:
    found = cgroups.hierarchy()
    if found is None:
        pytest.skip("no control groups with memory and pids can be made here")
    return found


def test_a_group_holds_processes_and_memory(where: Hierarchy) -> None:
    group = cgroups.made(where, 64 * MEBIBYTE, 10)
    try:
        forks = subprocess.run(
            group.entered([sys.executable, "-S", "-c", FORKS]), capture_output=True, text=True, check=False
        )
        assert forks.stdout == "held at True\n"
        eats = [sys.executable, "-S", "-c", "len(bytes(200 << 20)); b = bytearray(b'x') * (200 << 20)"]
        assert subprocess.run(group.entered(eats), capture_output=True, check=False).returncode == -9
    finally:
        for pid in map(int, (group.folders[-1] / "cgroup.procs").read_text().split()):
            os.kill(pid, 9)
        group.close()
    assert not any(folder.exists() for folder in group.folders)


def test_where_groups_may_be_made(tmp_path: Path) -> None:
    """Of version 2 the own group holds the engine itself, and so hands nothing down; the one around it may."""
    around, own = tmp_path / "user.slice", tmp_path / "user.slice" / "run.scope"
    own.mkdir(parents=True)
    (own / "cgroup.subtree_control").write_text("\n")
    (around / "cgroup.subtree_control").write_text("cpu memory pids\n")
    two = f"cgroup2 {tmp_path} cgroup2 rw 0 0\n"
    assert list(candidates(two, "0::/user.slice/run.scope\n")) == [Hierarchy((around,), 2)]
    one = f"c {tmp_path} cgroup rw,memory 0 0\nc {around} cgroup rw,pids 0 0\n"
    found = list(candidates(one, "4:memory:/user.slice\n8:pids:/\n"))
    assert found == [Hierarchy((around, around), 1)]
    assert list(candidates(one, "4:memory:/\n")) == []
