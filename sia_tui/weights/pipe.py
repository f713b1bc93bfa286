"""The trainer's end of the pipe to the engine."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import ValidationError

from sia_tui.weights.protocol import End, Need, Notice, Rollout, Said, Told, Turn

ENGINE_GONE = 3
"""Exit status when the engine closed the pipe."""


class Pipe:
    """Asks for rollouts and reports. Ends the process at once when the engine closes either direction."""

    def __init__(self, told: BinaryIO, said: BinaryIO) -> None:
        self._said = said
        self._told: queue.SimpleQueue[Told | ValidationError] = queue.SimpleQueue()
        self._asked: dict[int, Need | Turn] = {}
        self._answers: dict[int, Told] = {}
        self._over = False
        self.stop = ""
        """Who asked the training to end early; empty while nobody has."""
        self.leave = False
        """It is to end with a checkpoint, and to be gone on with by another process."""
        self.waited = 0.0
        """Seconds spent waiting for rollouts so far, and for the turns that they take."""
        threading.Thread(target=self._listen, args=(told,), daemon=True).start()

    @classmethod
    def take_over(cls) -> Pipe:
        """The process' stdin and stdout, for the protocol alone: what libraries print goes to stderr from here on."""
        told, said = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        return cls(told, said)

    def say(self, line: Said) -> None:
        self._over = isinstance(line, End)
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

    def _wait(self, asked: int) -> Told:
        started = time.monotonic()
        while asked not in self._answers:
            told = self._told.get()
            if isinstance(told, ValidationError):
                raise told
            if told.id not in self._asked:
                raise ValueError(f"an answer to question {told.id}, which nobody asked")
            self._answers[told.id] = told
        self.waited += time.monotonic() - started
        return self._answers.pop(asked)

    def _listen(self, told: BinaryIO) -> None:
        for line in told:
            try:
                heard = Told.model_validate_json(line)
            except ValidationError as error:
                self._told.put(error)
                continue
            self.stop = heard.stop or self.stop
            self.leave = heard.leave or self.leave
            if heard.id >= 0:
                self._told.put(heard)
        if not self._over:
            os._exit(ENGINE_GONE)
