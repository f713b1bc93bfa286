"""The verifier as its own process: a pristine, hashed copy of verify.py beside a hashed file of gold.

The copy runs isolated with an empty environment. Gold of the test split is not on disk until `open_test`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sia_tui.children import die_with_parent, ended, started
from sia_tui.core.episodes import Score
from sia_tui.tasks.judge import Judge
from sia_tui.tasks.reads import unlike

EXACT = Judge()
CODE, GOLD, TEST_GOLD, COMPLAINTS = "verify.py", "gold.json", "gold-test.json", "complaints.log"
LONGEST = 1 << 26
"""Bytes of a reply: it repeats the gold."""
START_SECONDS = 60.0
"""For the process to come up; generous, because a busy machine is no verdict on an answer."""
PUT_BACK = "the reward judges no further; put that back and resume, or begin another run"
FAILED = Score(0.0, "verifier_failed")
"""What to record for an answer that nobody judged: not the policy's zero, and not to be counted as one."""


ENDED = "verifier_ended"
"""The kind of failure of an answer under which the verifier dies while it judges others."""


class VerifierFailed(Exception):
    """The verifier gave no judgement, also not after a restart. The caller decides what becomes of the episode."""

    score = FAILED


class VerifierDied(VerifierFailed):
    """The process ended, went silent or talked nonsense, and so did the one started in its place. Another may do better."""


class VerifierTampered(VerifierFailed):
    """The verifier's code or gold is not what it was at the start: no score since the last check can be trusted."""


class VerifierProcess:
    """Scores answers, one at a time, each within the judge's deadline; async context manager.

    `gold` holds train, dev and hidden, never test. Scores raise VerifierFailed: VerifierDied, or VerifierTampered for a
    changed file.
    """

    def __init__(
        self,
        folder: Path,
        gold: Mapping[str, str],
        labels: Sequence[str],
        judge: Judge = EXACT,
    ) -> None:
        self.folder = folder.resolve()
        self._judge = judge
        self._files = {
            **judge.beside,
            CODE: judge.source.read_bytes(),
            GOLD: _canonical({"gold": dict(gold), "labels": list(labels)}),
        }
        self.verifier_hash = _combined(self._files)
        """Of code and gold; the same for the same inputs, and not changed by opening the test."""
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._queue = asyncio.Lock()
        """What nobody's deadline runs for waits here first, so that whoever asks the compiler waits for two of it at most."""
        self._requests = 0
        id, answer = next(iter(gold.items()), ("", ""))
        self._judged_well: dict[str, Any] = {"case": id, "answer": answer}
        """The last request under which it did not die."""

    async def __aenter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        # A reward's complaints may quote what it judges by.
        self.folder.chmod(0o700)
        (self.folder / TEST_GOLD).unlink(missing_ok=True)
        for name, content in self._files.items():
            _write(self.folder / name, content)
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def unlike(self) -> tuple[str, ...]:
        """What is other than in the verifier that an earlier engine left here; to be asked before this one is entered."""
        return tuple(unlike(self.folder, self._files))

    def check(self) -> None:
        """Call before and after a batch: VerifierTampered unless every file is byte for byte what was written, or read."""
        for name, content in self._files.items():
            path = self.folder / name
            try:
                same = not path.is_symlink() and path.read_bytes() == content
            except OSError:
                same = False
            if not same:
                raise VerifierTampered(f"{path} was changed or removed: scores since the last check are void")
        self._look(anew=True)

    def _look(self, anew: bool = False) -> None:
        if self._judge.reads is not None and (how := self._judge.reads.differs(anew)):
            raise VerifierTampered(f"{how}: {PUT_BACK}")

    async def open_test(self, gold: Mapping[str, str]) -> None:
        """Make the test split scorable; to be called once its opening is on record."""
        self._files[TEST_GOLD] = _canonical({"gold": dict(gold)})
        _write(self.folder / TEST_GOLD, self._files[TEST_GOLD])
        async with self._turn:
            await self._twice({"open": str(self.folder / TEST_GOLD)})

    async def score(self, case_id: str, answer: object) -> Score:
        """The judgement of an untrusted answer. Raises VerifierFailed; its `score` says so in a record."""
        plain = answer if answer is None or type(answer) is str else {"type": type(answer).__name__}
        async with self._queue, self._turn:
            reply = await self._outlived({"case": case_id, "answer": plain})
        self._look()
        if "score" not in reply:
            raise VerifierFailed(f"the verifier has no gold for case {case_id}: a test case before the test is opened?")
        return _judgement(reply["score"])

    async def null(self, case_id: str) -> Score:
        """The score of the null that the judge itself brings, where it has one. Raises VerifierFailed."""
        async with self._queue, self._turn:
            reply = await self._twice({"case": case_id, "null": True, "answer": None})
        return _judgement(reply["score"])

    async def compiler_says(self, answer: str) -> str:
        """The lines of the judge's own compiler, where it has one; nothing where the answer compiles. Raises VerifierFailed."""
        async with self._turn:
            reply = await self._twice({"compile": answer})
        said = reply.get("said")
        if not isinstance(said, str):
            raise VerifierFailed("the verifier has no compiler to ask")
        return said

    async def _outlived(self, request: dict[str, Any]) -> dict[str, Any]:
        """An answer under which it dies time and again while it judges another is that answer's fault, and ends no run."""
        try:
            reply = await self._twice(request)
        except VerifierDied:
            await self._twice(self._judged_well)
            try:
                return await self._ask(request)
            except VerifierDied as died:
                await self._stop()
                return {"score": {"reward": 0.0, "failure": ENDED, "detail": {"verifier": str(died)}}}
        self._judged_well = request
        return reply

    async def _twice(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Ask; after a crash, a timeout or nonsense restart once and ask again. Nothing runs once this has raised."""
        try:
            return await self._ask(request)
        except VerifierFailed as first:
            await self._stop()
            if not isinstance(first, VerifierDied):
                raise
        try:
            return await self._ask(request)
        except VerifierFailed:
            await self._stop()
            raise

    async def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if self._process is None:
            await self._start()
        self._requests += 1
        line = json.dumps({"id": self._requests, **request}).encode() + b"\n"
        try:
            async with asyncio.timeout(self._judge.deadline_s):
                return await self._exchange(line, self._requests)
        except TimeoutError as error:
            raise VerifierDied(f"the verifier gave no judgement within {self._judge.deadline_s:g} s") from error
        except (OSError, ValueError) as error:
            raise VerifierDied(f"the verifier broke off: {error}") from error

    async def _exchange(self, line: bytes, number: int) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None:
            raise VerifierDied("the verifier is not running")
        process.stdin.write(line)
        await process.stdin.drain()
        while True:
            reply = await self._reply()
            if reply.get("id") == number:
                return reply

    async def _reply(self) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdout is None:
            raise VerifierDied("the verifier is not running")
        line = await process.stdout.readline()
        if not line:
            raise VerifierDied(f"the verifier ended with code {await process.wait()}{self._complaint()}")
        reply = json.loads(line)
        if not isinstance(reply, dict):
            raise VerifierDied("the verifier answered with something other than an object")
        return reply

    def _complaint(self) -> str:
        with contextlib.suppress(OSError):
            said = (self.folder / COMPLAINTS).read_text("utf-8", "replace").strip().splitlines()
            return f": {said[-1][:300]}" if said else ""
        return ""

    async def _start(self) -> None:
        self.check()
        alone = self._judge.alone
        options = ["-I", "-S"] if alone else ["-I"]
        command = [
            str(self._judge.python or sys.executable),
            *options,
            str(self.folder / CODE),
            str(self.folder / GOLD),
        ]
        pipe = asyncio.subprocess.PIPE
        complaints = (self.folder / COMPLAINTS).open("wb")
        self._process = await started(
            command,
            stdin=pipe,
            stdout=pipe,
            stderr=complaints,
            env={} if alone else None,
            cwd=self._judge.folder or self.folder,
            # What a judge leaves behind is its group's, and ends with it.
            start_new_session=True,
            # One that hangs does not read that its engine is gone.
            preexec_fn=die_with_parent,
            limit=LONGEST,
        )
        complaints.close()
        try:
            await self._greet()
        except BaseException:
            await self._stop()
            raise

    async def _greet(self) -> None:
        """Wait until the process is up with the right gold; an opened test is opened again."""
        try:
            async with asyncio.timeout(START_SECONDS):
                ready = await self._reply()
        except (TimeoutError, ValueError) as error:
            raise VerifierDied(f"the verifier did not start: {error}") from error
        if ready.get("ready") != hashlib.sha256(self._files[GOLD]).hexdigest():
            raise VerifierTampered("the verifier read another gold than was written: scores are void")
        if TEST_GOLD in self._files:
            await self._ask({"open": str(self.folder / TEST_GOLD)})

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await ended(process)


def _judgement(plain: Any) -> Score:
    try:
        score = Score(**plain)
        sound = 0.0 <= score.reward <= 1.0 and (score.failure is None or type(score.failure) is str)
    except TypeError as error:
        raise VerifierFailed(f"the verifier's judgement is malformed: {error}") from error
    if not sound:
        raise VerifierFailed(f"the verifier's judgement is out of range: reward {score.reward}")
    return score


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _combined(files: Mapping[str, bytes]) -> str:
    each = [hashlib.sha256(files[name]).hexdigest() for name in sorted(files)]
    return hashlib.sha256("".join(each).encode()).hexdigest()


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, readable by this user only."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    temporary.replace(path)
