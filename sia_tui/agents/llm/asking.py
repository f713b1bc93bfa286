"""One task put to a role's model: instructions, tools, a typed answer that is checked, limits on all of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from decimal import Decimal
from importlib.resources import files
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry, ToolOutput, UsageLimits
from pydantic_ai.exceptions import AgentRunError, UnexpectedModelBehavior, UsageLimitExceeded

from sia_tui.agents.llm.answers import Invalid
from sia_tui.agents.llm.calls import Calls, Recorded
from sia_tui.agents.llm.connection import NotConnected, key_of, redact, settings
from sia_tui.agents.llm.roles import Role
from sia_tui.core.hashing import digest
from sia_tui.core.text import one_line

Answer = TypeVar("Answer", bound=BaseModel)
Made = TypeVar("Made")


class NoAnswer(Exception):
    """The model gave no valid answer within its limits; one line, without keys."""


def prompt(*names: str) -> str:
    """The prompt files of these names, one after the other."""
    folder = files("sia_tui.agents") / "prompts"
    return "\n\n".join((folder / f"{name}.md").read_text(encoding="utf-8").strip() for name in names)


async def ask(
    name: str,
    role: Role,
    calls: Calls,
    prompts: Sequence[str],
    question: str,
    answer: type[Answer],
    accept: Callable[[Answer], Any],
    tools: Sequence[Callable[..., Any]] = (),
) -> Any:
    """What `accept` makes of the answer; its Invalid goes back to the model, `role.rounds` times at the most.

    `accept` may be a coroutine function. Raises NoAnswer.
    """
    instructions = prompt(*prompts)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            agent = _agent(Recorded(name, role, digest(instructions), calls), role, instructions, answer, accept, tools)
            result = await agent.run(
                question, usage_limits=_limits(role), model_settings=settings(role), timeout=role.deadline_s
            )
    except NotConnected as error:
        raise NoAnswer(str(error)) from None
    except UsageLimitExceeded as error:
        raise NoAnswer(f"{role.model}: {one_line(str(error), 300)}") from None
    except UnexpectedModelBehavior as error:
        raise NoAnswer(f"{role.model}: no valid answer: {_plain(error, role)}") from None
    except (AgentRunError, TimeoutError) as error:
        reason = "out of time" if isinstance(error, TimeoutError) else _plain(error, role)
        raise NoAnswer(f"{role.model} at {role.host}: {reason}") from None
    return result.output


def _agent(
    model: Recorded,
    role: Role,
    instructions: str,
    answer: type[Answer],
    accept: Callable[[Answer], Any],
    tools: Sequence[Callable[..., Any]],
) -> Agent[object, Any]:
    async def checked(said: Answer) -> Any:
        try:
            made = accept(said)
            return await made if hasattr(made, "__await__") else made
        except Invalid as reason:
            raise ModelRetry(str(reason)) from None

    checked.__annotations__["said"] = answer
    return Agent(
        model,
        output_type=ToolOutput(checked, name="answer", description="Give your answer: once, at the end."),
        instructions=instructions,
        tools=list(tools),
        retries={"output": role.rounds, "tools": role.rounds},
    )


def _limits(role: Role) -> UsageLimits:
    money = None if role.money is None else Decimal(str(role.money))
    return UsageLimits(request_limit=role.requests, total_tokens_limit=role.tokens, cost_limit=money)


def _plain(error: Exception, role: Role) -> str:
    return one_line(redact(str(error) or type(error).__name__, key_of(role)), 300)
