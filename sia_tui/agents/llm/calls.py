"""Every request to a model: tried again where the provider fails, recorded, and answered from the record when a run goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError, ModelTimeoutError, UserError
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelRequest, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from sia_tui.agents.llm.connection import connect, key_of, redact
from sia_tui.agents.llm.roles import Role
from sia_tui.core.events import AgentCalled
from sia_tui.core.hashing import digest
from sia_tui.core.text import one_line

if TYPE_CHECKING:
    from pydantic_ai import RunContext

AGAIN = {408, 409, 425, 429}
"""Statuses below 500 that say nothing against the request itself."""
FIRST_WAIT_S = 1.0

Said = dict[str, str]
"""One thing said, for people: `role` (system, user, tool, assistant, thinking, call) and `text`, of a tool its `name`."""


@dataclass(frozen=True)
class Call:
    """One request to a model and the reply."""

    event: AgentCalled
    """Under the content id of the request: model, settings, tools, messages."""
    sent: tuple[Said, ...]
    """What was new in it since the last reply."""
    said: tuple[Said, ...]
    response: bytes
    """The reply as the library keeps it."""


class Calls(Protocol):
    """Where calls are kept."""

    def reply(self, id: str) -> bytes | None:
        """The reply to exactly this request, if it was made before: an interrupted task goes on from where it was."""

    def keep(self, call: Call) -> None: ...

    def say(self, text: str) -> None:
        """One line for whoever watches."""

    def beat(self) -> None:
        """Something is still coming."""

    def failed(self, role: str, reason: str, instead: str) -> None:
        """A role gave no valid answer."""


class Recorded(WrapperModel):
    """A role's model whose every reply is kept. Raises ModelAPIError when all tries failed; its text holds no key."""

    def __init__(self, name: str, role: Role, prompt: str, calls: Calls, model: Model | None = None) -> None:
        super().__init__(model or connect(role))
        self._name, self._role, self._prompt, self._calls = name, role, prompt, calls
        self._key = key_of(role)

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        asked = _digest(self._role, messages, model_settings, model_request_parameters)
        if kept := self._calls.reply(asked):
            return _load(kept)
        start = time.monotonic()
        response, tries = await self._tried(messages, model_settings, model_request_parameters)
        self._price(response)
        self._calls.keep(self._call(asked, messages, response, time.monotonic() - start, tries))
        return response

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Raises UserError: a reply handed on piece by piece would be neither recorded nor tried again. `request` streams."""
        raise UserError("replies of agents' models are recorded whole: run the agent without streaming")
        yield  # a generator, as the base class has it

    async def _tried(
        self, messages: list[ModelMessage], settings: ModelSettings | None, parameters: ModelRequestParameters
    ) -> tuple[ModelResponse, int]:
        """The reply and how many tries it took."""
        for tried in range(1, self._role.tries + 1):
            try:
                return await self._streamed(messages, settings, parameters), tried
            except ModelAPIError as error:
                reason = one_line(redact(str(error), self._key), 300)
                if tried == self._role.tries or not worth_asking_again(error):
                    raise ModelAPIError(self.model_name, f"{reason} (asked {tried}×)") from None
                wait = min(error.retry_after or FIRST_WAIT_S * 2 ** (tried - 1), self._role.wait_s)
                self._calls.say(
                    f"{self._name}: {reason}; asking again in {wait:.0f} s ({tried + 1} of {self._role.tries})"
                )
                await _waited(wait, self._calls.beat)
        raise AssertionError

    async def _streamed(
        self, messages: list[ModelMessage], settings: ModelSettings | None, parameters: ModelRequestParameters
    ) -> ModelResponse:
        """Streamed for the sake of the stall limit: a long reply is told from a dead connection by its bytes."""
        try:
            async with self.wrapped.request_stream(messages, settings, parameters) as stream:
                events = aiter(stream)
                while True:
                    try:
                        await asyncio.wait_for(anext(events), self._role.stall_s)
                    except StopAsyncIteration:
                        break
                    self._calls.beat()
                response = stream.get()
        except ModelAPIError:
            raise
        except TimeoutError:
            raise ModelTimeoutError(self.model_name, f"nothing came for {self._role.stall_s:.0f} s") from None
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelAPIError(self.model_name, f"{type(error).__name__}: {error}") from error
        # A stream that merely ends is taken for a whole reply; only the provider's own word tells it from one.
        if "finish_reason" not in (response.provider_details or {}):
            raise ModelAPIError(self.model_name, "the reply broke off")
        return response

    def _price(self, response: ModelResponse) -> None:
        """The config's price goes before the known one."""
        if self._role.price is not None:
            read, sampled = self._role.price
            usage = response.usage
            response.usage.cost = Decimal(str((usage.input_tokens * read + usage.output_tokens * sampled) / 1e6))
        elif self._role.endpoint is None:
            with suppress(LookupError):
                response.usage.cost = response.cost().total_price

    def _call(
        self, asked: str, messages: Sequence[ModelMessage], response: ModelResponse, seconds: float, tries: int
    ) -> Call:
        usage = response.usage
        event = AgentCalled(
            id=asked,
            role=self._name,
            model=self._role.model,
            host=self._role.host,
            prompt=self._prompt,
            tokens_in=usage.input_tokens,
            cached=usage.cache_read_tokens,
            tokens_out=usage.output_tokens,
            cost=None if usage.cost is None else float(usage.cost),
            seconds=seconds,
            tries=tries,
        )
        sent = tuple(said for message in _since_last_reply(messages) for said in plain(message))
        return Call(event, sent, tuple(plain(response)), ModelMessagesTypeAdapter.dump_json([response]))


def worth_asking_again(error: ModelAPIError) -> bool:
    """The provider's trouble, not the request's."""
    if isinstance(error, ModelHTTPError):
        return error.status_code >= 500 or error.status_code in AGAIN
    return True


def plain(message: ModelMessage) -> list[Said]:
    """A message as people read it."""
    return [{name: _sound(text) for name, text in said.items()} for said in _parts(message)]


def _sound(text: str) -> str:
    """Half a character, which a model may well write, has no place in a file."""
    return text.encode("utf-8", "backslashreplace").decode()


def _parts(message: ModelMessage) -> list[Said]:
    said: list[Said] = []
    if isinstance(message, ModelRequest) and message.instructions:
        said.append({"role": "system", "text": str(message.instructions)})
    for part in message.parts:
        match part.part_kind:
            case "system-prompt":
                said.append({"role": "system", "text": part.content})
            case "user-prompt":
                said.append({"role": "user", "text": str(part.content)})
            case "tool-return":
                said.append({"role": "tool", "name": part.tool_name, "text": part.model_response_str()})
            case "retry-prompt":
                said.append({"role": "tool", "name": part.tool_name or "", "text": part.model_response()})
            case "text":
                said.append({"role": "assistant", "text": part.content})
            case "thinking":
                said.append({"role": "thinking", "text": part.content})
            case "tool-call":
                said.append({"role": "call", "name": part.tool_name, "text": part.args_as_json_str()})
            case kind:
                said.append({"role": kind, "text": ""})
    return said


def _since_last_reply(messages: Sequence[ModelMessage]) -> Sequence[ModelMessage]:
    """The instructions are repeated in every request, and told once."""
    replies = [at for at, message in enumerate(messages) if isinstance(message, ModelResponse)]
    if not replies:
        return messages
    fresh = messages[replies[-1] + 1 :]
    return [message if not isinstance(message, ModelRequest) else _bare(message) for message in fresh]


def _bare(message: ModelRequest) -> ModelRequest:
    return ModelRequest(parts=message.parts)


def _digest(
    role: Role, messages: Sequence[ModelMessage], settings: ModelSettings | None, parameters: ModelRequestParameters
) -> str:
    """Of all that the provider is told, without the times and names that differ from one asking to the next."""
    said = [plain(message) for message in messages]
    tools = sorted((tool.name, tool.parameters_json_schema) for tool in parameters.function_tools)
    answers = sorted((tool.name, tool.parameters_json_schema) for tool in parameters.output_tools)
    return digest([role.model, role.address, dict(settings or {}), said, tools, answers])


def _load(kept: bytes) -> ModelResponse:
    (response,) = ModelMessagesTypeAdapter.validate_json(kept)
    assert isinstance(response, ModelResponse)
    return response


async def _waited(seconds: float, beat: Callable[[], None]) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        await asyncio.sleep(min(left, 1.0))
        beat()
