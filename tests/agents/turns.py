"""What a scripted provider is asked and what it says, in no provider's words; the wire formats translate both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Json = dict[str, Any]


@dataclass(frozen=True)
class Usage:
    """Tokens of one request. `input` is all of the prompt, what was read from and written to the cache included."""

    input: int = 100
    output: int = 20
    cache_read: int = 0
    cache_write: int = 0


@dataclass(frozen=True)
class Say:
    text: str
    """Nothing at all is an answer too: empty content."""
    usage: Usage = Usage()
    cut_short: bool = False
    """The output grew longer than the limit: `length`, `max_tokens`."""


@dataclass(frozen=True)
class Call:
    tool: str
    args: Json | str
    """A string goes out as it stands, malformed or not."""
    usage: Usage = Usage()
    id: str = ""
    """The provider names the call when it says it."""


@dataclass(frozen=True)
class Calls:
    calls: Iterable[Call]
    text: str = ""
    usage: Usage = Usage()
    cut_short: bool = False


Kind = Literal[
    "status", "key_echoed", "stall", "stall_midway", "cut", "cut_midway", "ends_early", "malformed", "error_midway"
]


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request; where it goes wrong midway, it is `begun` that was being said.

    status: an error of `status`, with `retry_after` seconds where given · key_echoed: 401, the key in its text ·
    stall: no byte for `seconds`, then hangs up · stall_midway · cut: hangs up before the first byte · cut_midway ·
    ends_early: half an answer, and an end that looks like one · malformed: 200, not JSON · error_midway: an error
    inside a stream that began well (without a stream: a plain 500)
    """

    kind: Kind
    status: int = 500
    retry_after: int | str | None = None
    seconds: float = 60.0
    begun: Say | Call | Calls = Say("this will not be said to its end")


Turn = Say | Call | Calls | Fault
Script = Callable[["Asked"], Turn] | Iterable[Turn]


@dataclass(frozen=True)
class ToolResult:
    tool: str
    text: str
    id: str
    failed: bool = False
    """Only Anthropic's wire says so."""


@dataclass(frozen=True)
class Message:
    role: Literal["user", "assistant"]
    text: str = ""
    calls: tuple[Call, ...] = ()
    results: tuple[ToolResult, ...] = ()


@dataclass(frozen=True)
class Tool:
    name: str
    description: str
    schema: Json


@dataclass(frozen=True)
class Asked:
    """A request that the real API would have taken."""

    model: str
    system: str
    messages: tuple[Message, ...]
    tools: Mapping[str, Tool]
    stream: bool
    raw: Json
    headers: Mapping[str, str] = field(default_factory=dict)
    """Lower case, without the key."""

    @property
    def prompt(self) -> str:
        """The first thing the user said."""
        return next((message.text for message in self.messages if message.role == "user"), "")

    @property
    def turn(self) -> int:
        """How often the assistant has spoken in this conversation: 0 at its start."""
        return sum(message.role == "assistant" for message in self.messages)

    @property
    def calls(self) -> list[Call]:
        return [call for message in self.messages for call in message.calls]

    @property
    def results(self) -> list[ToolResult]:
        return [result for message in self.messages for result in message.results]


@dataclass(frozen=True)
class Answer:
    """A turn as every wire can say it."""

    text: str
    calls: tuple[Call, ...]
    usage: Usage
    cut_short: bool

    @property
    def stop(self) -> Literal["end", "calls", "length"]:
        return "length" if self.cut_short else "calls" if self.calls else "end"


def answer(turn: Say | Call | Calls, names: Iterator[str]) -> Answer:
    """`names` names the calls."""
    match turn:
        case Say(text, usage, cut_short):
            return Answer(text, (), usage, cut_short)
        case Call():
            made: tuple[Call, ...] = (turn,)
            text, usage, cut_short = "", turn.usage, False
        case Calls(calls, text, usage, cut_short):
            made = tuple(calls)
    return Answer(text, tuple(Call(call.tool, call.args, id=next(names)) for call in made), usage, cut_short)


class Refused(Exception):
    """The real API would refuse this request, with this status and these words."""

    def __init__(self, message: str, *, status: int = 400, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message, self.status, self.code, self.param = message, status, code, param


class Wire(Protocol):
    """One provider's format; each is a module."""

    CALL_ID: str
    """What the name of a call begins with."""

    def key(self, headers: Mapping[str, str]) -> str | None: ...
    def parse(self, body: Json, headers: Mapping[str, str], matched: Mapping[str, str]) -> Asked: ...
    def whole(self, said: Answer, asked: Asked) -> Json: ...
    def events(self, said: Answer, asked: Asked) -> list[str]: ...
    def error(self, refused: Refused) -> Json: ...
    def error_event(self, refused: Refused) -> str: ...


def bearer(headers: Mapping[str, str]) -> str | None:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return given if scheme == "Bearer" and given else None


def pieces(text: str) -> list[str]:
    """A few characters each, as models say them; of a long text no more than some hundreds."""
    size = max(7, len(text) // 400)
    return [text[at : at + size] for at in range(0, len(text), size)]


def require(holds: object, message: str, **details: Any) -> None:
    if not holds:
        raise Refused(message, **details)
