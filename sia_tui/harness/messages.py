"""What a worker may say, and how much of it.

The worker shares its process with the harness, so every line is read as if the harness had written it: strict types,
nothing extra, sizes capped. What does not fit is no message at all, and the worker is killed.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator

from sia_tui.core.episodes import HarnessError, Source, ToolCall

LINE_BYTES = 8 * 1024 * 1024
CAPS = {"answer": 100_000, "notes": 20_000, "message": 2_000, "traceback": 8_000, "tool_calls": 200, "tool_text": 2_000}
"""In characters, but for the number of tool calls. Handed to the worker, which cuts; held here, where it counts."""

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Untrusted(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ToolCallLine(Untrusted):
    name: str = Field(max_length=200)
    arguments: str = Field(max_length=CAPS["tool_text"])
    result: str = Field(max_length=CAPS["tool_text"])
    seconds: Seconds


class ErrorLine(Untrusted):
    kind: Literal["exception", "timeout", "bad_answer"]
    message: str = Field(max_length=CAPS["message"])
    traceback: str = Field(max_length=CAPS["traceback"])


class Done(Untrusted):
    id: int
    answer: str | None = Field(max_length=CAPS["answer"])
    source: Source
    notes: dict[str, JsonValue]
    tool_calls: list[ToolCallLine] = Field(max_length=CAPS["tool_calls"])
    tool_calls_dropped: int = Field(ge=0)
    error: ErrorLine | None

    @field_validator("notes")
    @classmethod
    def storable(cls, notes: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """JSON that parses need not be JSON that can be written again: NaN, numbers of thousands of digits."""
        if len(json.dumps(notes, ensure_ascii=False, allow_nan=False)) > CAPS["notes"]:
            raise ValueError("too long")
        return notes

    def recorded_calls(self) -> tuple[ToolCall, ...]:
        calls = tuple(ToolCall(c.name, c.arguments, c.result, c.seconds) for c in self.tool_calls)
        if self.tool_calls_dropped:
            calls += (ToolCall("…", "", f"{self.tool_calls_dropped} further calls are not recorded", 0.0),)
        return calls

    def harness_error(self) -> HarnessError | None:
        return HarnessError(self.error.kind, self.error.message, self.error.traceback) if self.error else None


class AttemptLine(Untrusted):
    """A question to the task's compiler."""

    id: int
    answer: str = Field(max_length=CAPS["answer"])


class Ready(Untrusted):
    seconds: Seconds


class Failed(Untrusted):
    """The worker could not begin: the sandbox (`confine`) or the harness' own code."""

    stage: Literal["confine", "import", "prepare"]
    kind: Literal["exception", "crash"]
    message: str = Field(max_length=CAPS["message"])
    traceback: str = Field(default="", max_length=CAPS["traceback"])


class Prepared(Untrusted):
    pass


Said = Ready | Failed | Prepared | AttemptLine | Done


class Line(Untrusted):
    """One line of the control socket; exactly one of the fields is set."""

    ready: Ready | None = None
    failed: Failed | None = None
    prepared: Prepared | None = None
    attempt: AttemptLine | None = None
    done: Done | None = None

    @property
    def said(self) -> Said | None:
        parts = (self.ready, self.failed, self.prepared, self.attempt, self.done)
        spoken = [part for part in parts if part is not None]
        return spoken[0] if len(spoken) == 1 else None


class Garbage(ValueError):
    """A line that is not a message."""


def parse(line: bytes) -> Said:
    try:
        said = Line.model_validate_json(line).said
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"][:4])
        raise Garbage(f"{where[:80]}: {first['msg'][:120]}".lstrip(": ")) from None
    if said is None:
        raise Garbage("no message or several in one line")
    return said
