"""Escape attempts as data (`escapes/*.yaml`), each tried for real, and what came of it.

An entry: what it `tries`, its `code`, and what must come of it (`comes`, at every level or by level):
`refused`, `limited` (by a limit it ran into), `killed`, `harmless` (it ran and gained nothing), `seen` (it learns what the
level is known not to hide), or, in rights.yaml, the text that a harness must get. `code` is the body of an async function
in a harness; of `where: prepare` that of prepare, of `where: patch` a patch. `answer` is an expression for what `solve`
returns. What may kill or exhaust its process has one of its own (`where: alone`); all others share one.
"""

from __future__ import annotations

import asyncio
import errno
import json
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyseccomp
import yaml
from pydantic import BaseModel, ConfigDict

from sia_tui.harness.repository import HarnessRepository, RepositoryError
from sia_tui.harness.sandbox import Isolation
from sia_tui.harness.seccomp import RECENT
from sia_tui.harness.workers import HarnessBroken, Outcome, Worker, WorkerDied, prepare
from tests.harness.planted import Planted, planted
from tests.harness.slots import Slots, slots
from tests.harness.world import World, case

FOLDER = Path(__file__).parent / "escapes"
HARNESS = (Path(__file__).parent / "escaping_harness.py").read_text(encoding="utf-8")
AT_ONCE = 3
"""Attempts with a process of their own that run side by side."""
SURFACE = ("*.py", "*.md")
OPEN: Isolation = "none"
"""Without walls only what reads is tried: all else would do to this machine what it tries. An attempt that gains nothing
here shows nothing of the walls elsewhere."""
UNWALLED = "reading"
KINDS = ("refused", "limited", "killed", "harmless", "seen")
_REFUSALS = {errno.EPERM, errno.EACCES, errno.ENOENT, errno.ENOSYS, errno.EROFS, errno.EXDEV, errno.ESRCH}
_LIMITS = {errno.ENOSPC, errno.EFBIG, errno.EMFILE, errno.EAGAIN, errno.ENOMEM}


class Attempt(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    about: str
    """The file it stands in."""
    tries: str
    comes: str | dict[str, str]
    code: str = ""
    answer: str = ""
    where: Literal["shared", "alone", "prepare", "patch"] = "shared"
    lane: Literal["open", "closed"] = "open"
    limits: dict[str, Any] = {}
    files: dict[str, str] = {}
    deadline: float = 10.0
    machine: str = ""
    """The only architecture that it means anything on."""

    def expected(self, level: Isolation) -> str:
        return self.comes if isinstance(self.comes, str) else self.comes.get(level, self.comes["bwrap"])


@dataclass(frozen=True)
class Came:
    """`kind` is one of KINDS, or "escaped"; `how` is the wall that was met, or what was gained."""

    kind: str
    how: str = ""
    result: str = ""

    def is_as(self, expected: str) -> bool:
        return self.kind in expected.split(" or ") or (self.kind == "escaped" and self.result == expected)


def attempts() -> list[Attempt]:
    """Of every file, in order."""
    found = []
    for file in sorted(FOLDER.glob("*.yaml")):
        for name, entry in yaml.safe_load(file.read_text(encoding="utf-8")).items():
            found.append(Attempt(name=name, about=file.stem, **entry))
    assert len({attempt.name for attempt in found}) == len(found), "two attempts of one name"
    return [attempt for attempt in found if attempt.machine in ("", platform.machine())]


async def tried(level: Isolation, folder: Path, some: Sequence[Attempt]) -> dict[str, Came]:
    """What came of each that is tried at this level, and of the host: raises AssertionError where something outside was
    touched."""
    some = [one for one in some if level != OPEN or one.about == UNWALLED]
    with planted(folder) as host:
        async with slots(folder) as gateway:
            trial = _Trial(level, folder, host, gateway)
            shared = await trial.shared([one for one in some if one.where == "shared"])
            once = asyncio.Semaphore(AT_ONCE)
            own = [one for one in some if one.where != "shared"]
            alone = await asyncio.gather(*(trial.alone(one, once) for one in own))
        gateway.check()
        host.check()
    came = shared | dict(zip((one.name for one in own), alone, strict=True))
    assert level == OPEN or not any(host.secret in one.how + one.result for one in came.values())
    return came


@dataclass
class _Trial:
    level: Isolation
    folder: Path
    host: Planted
    gateway: Slots

    async def shared(self, some: Sequence[Attempt]) -> dict[str, Came]:
        """One after the other in one process, and in another where that one died."""
        came: dict[str, Came] = {}
        left = list(some)
        while left:
            world = World(self.level, self.folder / f"shared-{len(left)}").write(HARNESS)
            async with world.worker([self.gateway.lane()]) as worker:
                while left and worker.alive:
                    attempt = left.pop(0)
                    came[attempt.name] = await self._asked(attempt, worker, world)
        return came

    async def _asked(self, attempt: Attempt, worker: Worker, world: World) -> Came:
        if attempt.lane == "open":
            self.gateway.open()
        try:
            return await _solved(attempt, worker, self._told(attempt, world))
        finally:
            await self.gateway.close()

    async def alone(self, attempt: Attempt, once: asyncio.Semaphore) -> Came:
        if attempt.where == "patch":
            return await asyncio.to_thread(self._patched, attempt)
        folder = self.folder / re.sub(r"\W", "-", attempt.name)
        async with once:
            if attempt.where == "prepare":
                return await self._prepared(attempt, World(self.level, folder))
            world = World(self.level, folder).write(HARNESS)
            for name, text in attempt.files.items():
                (folder / "harness" / name).write_text(text)
            async with world.worker(**attempt.limits) as worker:
                came = await _solved(attempt, worker, self._told(attempt, world))
            kept = attempt.limits.get("log_kb", 1024) * 1024 + 100
            return came if world.log.stat().st_size <= kept else Came("escaped", "the log holds more than it may")

    async def _prepared(self, attempt: Attempt, world: World) -> Came:
        body = "".join(f"    {line}\n" for line in attempt.code.splitlines())
        world.write("", f"import os, time\nfrom pathlib import Path\ndef prepare(rows, out):\n{body}")
        try:
            await prepare(world.setup(**attempt.limits), attempt.deadline)
        except HarnessBroken as broken:
            by_kernel = broken.error.message.startswith("PermissionError")
            return Came("refused", "EPERM" if by_kernel else "by the engine")
        except WorkerDied as death:
            return Came("killed", _shortly(death.reason))
        return Came("escaped", "kept")

    def _patched(self, attempt: Attempt) -> Came:
        root = self.folder / "patched" / re.sub(r"\W", "-", attempt.name)
        repository, seed = HarnessRepository.plant(root, "task", {"harness.py": b"x = 1\n"})
        try:
            tree = repository.patched_tree(seed, "task", attempt.code, SURFACE)
        except RepositoryError:
            return Came("refused", "by the engine")
        return Came("escaped", tree)

    def _told(self, attempt: Attempt, world: World) -> dict[str, str]:
        inside = world.level in ("bwrap", "container")
        names = self.host.names | self.gateway.names
        names |= {"rows": "/rows/rows.jsonl" if inside else str(world.folder / "rows" / "rows.jsonl")}
        calls = {name: _number(name) for name in re.findall(r'call\("(\w+)"', attempt.code)}
        told = {"host": json.dumps(names), "calls": json.dumps(calls)}
        return told | ({"answer": attempt.answer} if attempt.answer else {"code": attempt.code})


async def _solved(attempt: Attempt, worker: Worker, told: dict[str, str]) -> Came:
    try:
        return _came(await worker.solve(0, case(**told), attempt.deadline), attempt)
    except WorkerDied as death:
        return Came("killed", _shortly(death.reason))


def _came(outcome: Outcome, attempt: Attempt) -> Came:
    if outcome.error is not None:
        kinds = {"timeout": "limited", "bad_answer": "refused"}
        said = "its deadline" if outcome.error.kind == "timeout" else "by the engine"
        return Came(kinds.get(outcome.error.kind, "escaped"), said, outcome.error.message)
    if attempt.answer:
        return Came("harmless" if isinstance(outcome.answer, str) else "escaped", "", "")
    try:
        told: dict[str, Any] = json.loads(outcome.answer or "")
    except ValueError:
        return Came("escaped", f"answered {outcome.answer!r:.100}")
    if "result" in told:
        result = told["result"]
        if result in ("None", "[]", "") and not attempt.expected("bwrap").startswith("["):
            return Came("harmless")
        seen = attempt.expected("landlock") == "seen" or attempt.expected("bwrap") == "seen"
        return Came("seen" if seen else "escaped", result[:100], result)
    return _refusal(told["error"], told["errno"], told["message"])


def _refusal(error: str, number: int, message: str) -> Came:
    if error == "Answered":
        return Came("refused", f"HTTP {number}")
    if error == "gaierror" or message.startswith("not allowed to raise"):
        return Came("refused", "EPERM")
    if error == "MemoryError" or "new thread" in message:
        return Came("limited", "no memory" if error == "MemoryError" else "no thread")
    if number in _REFUSALS or number in _LIMITS:
        return Came("refused" if number in _REFUSALS else "limited", errno.errorcode[number])
    return Came("escaped", f"{error}: {message}"[:200])


def _shortly(reason: str) -> str:
    for sign, said in {"SIGSYS": "SIGSYS", "garbage": "garbage", "endless": "garbage", "CPU": "CPU time"}.items():
        if sign in reason:
            return said
    if "killed for" in reason:
        return "more than " + reason.split("more than ")[1]
    return "its deadline" if "did not end" in reason else reason.removeprefix("the worker ended: ")[:60]


def _number(name: str) -> int:
    """Of a system call, here."""
    number = int(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name))
    return RECENT[name] if number == -1 else number
