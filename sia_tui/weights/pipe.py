"""The trainer's end of the pipe to the engine."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from pydantic import ValidationError

from sia_tui.weights import ranks
from sia_tui.weights.protocol import End, Need, Notice, Rollout, Said, Told, Turn

ENGINE_GONE = 3
"""Exit status when the engine closed the pipe."""


def ends() -> tuple[BinaryIO, BinaryIO]:
    """The process' stdin and stdout, for the protocol alone: what libraries print goes to stderr from here on."""
    told, said = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return told, said


class Out(Protocol):
    """Where lines go; raises BrokenPipeError when nobody reads them any more."""

    def write(self, line: bytes, /) -> object: ...

    def flush(self) -> object: ...


class Pipe:
    """Asks for rollouts and reports. Ends the process at once when the engine closes either direction.

    Of a training's several processes only that of rank 0 has a pipe with ends: the others hear from it.
    """

    def __init__(self, told: Iterable[bytes] | None, said: Out | None) -> None:
        self._said = said
        self._told: queue.SimpleQueue[Told | ValidationError] = queue.SimpleQueue()
        self._asked: dict[int, Need | Turn] = {}
        self._answers: dict[int, Told] = {}
        self._over = False
        self._wished = ("", False)
        self.stop = ""
        """Who asked the training to end early, as of the last answer or `heed`; empty while nobody had."""
        self.leave = False
        """Likewise: it is to end with a checkpoint, and to be gone on with by another process."""
        self.waited = 0.0
        """Seconds spent waiting for rollouts so far, and for the turns that they take."""
        if told is not None:
            threading.Thread(target=self._listen, args=(told,), daemon=True).start()

    @classmethod
    def take_over(cls) -> Pipe:
        return cls(*ends())

    def say(self, line: Said) -> None:
        self._over = isinstance(line, End)
        if self._said is None:
            return
        try:
            self._said.write(line.model_dump_json().encode() + b"\n")
            self._said.flush()
        except BrokenPipeError:
            os._exit(ENGINE_GONE)

    def ask(
        self,
        purpose: Literal["train", "held_out"],
        cases: Sequence[str],
        *,
        samples: int,
        adapter: Path | None,
        step: int,
        first: Sequence[int] = (),
    ) -> int:
        """Send a question; `answer` waits for what came of it. Ids count from 0 in every life of the process."""
        need = Need(
            id=len(self._asked),
            adapter=adapter,
            step=step,
            purpose=purpose,
            cases=tuple(cases),
            samples=samples,
            first=tuple(first),
        )
        self._asked[need.id] = need
        self.say(need)
        return need.id

    def notice(self, text: str) -> None:
        self.say(Notice(text=text))

    def answer(self, asked: int) -> tuple[Rollout, ...]:
        """Waits for it; answers to other questions are kept. Raises ValueError for one that is not what was asked for."""
        told, need = self._wait(asked), self._asked[asked]
        assert isinstance(need, Need)
        wanted = [case for case in need.cases for _ in range(need.samples)]
        if [rollout.case for rollout in told.rollouts] != wanted:
            raise ValueError(f"the answer to question {asked} is not what was asked for")
        for call in (call for rollout in told.rollouts for call in rollout.calls):
            if len(call.logprobs) != len(call.completion_ids):
                raise ValueError(f"the answer to question {asked} has not one logprob for every sampled token")
        return told.rollouts

    def turn(self) -> None:
        """Waits until the policy has left the GPUs."""
        turn = Turn(id=len(self._asked))
        self._asked[turn.id] = turn
        self.say(turn)
        self._wait(turn.id)

    def heed(self) -> None:
        """What was wished meanwhile is known from here on, to all processes of the training alike."""
        self.stop, self.leave = ranks.first(self._wished)

    def _wait(self, asked: int) -> Told:
        started = time.monotonic()
        told = ranks.first(self._told_of(asked) if self._said is not None else None)
        assert told is not None
        self.heed()
        self.waited += time.monotonic() - started
        return told

    def _told_of(self, asked: int) -> Told:
        while asked not in self._answers:
            told = self._told.get()
            if isinstance(told, ValidationError):
                raise told
            if told.id not in self._asked:
                raise ValueError(f"an answer to question {told.id}, which nobody asked")
            self._answers[told.id] = told
        return self._answers.pop(asked)

    def _listen(self, told: Iterable[bytes]) -> None:
        for line in told:
            try:
                heard = Told.model_validate_json(line)
            except ValidationError as error:
                self._told.put(error)
                continue
            stop, leave = self._wished
            self._wished = heard.stop or stop, heard.leave or leave
            if heard.id >= 0:
                self._told.put(heard)
        if not self._over:
            os._exit(ENGINE_GONE)
