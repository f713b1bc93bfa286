"""Ask the policy which charge a court found, and ask again when its reply holds none."""

from collections.abc import Sequence
from pathlib import Path

from answers import extract
from shortlist import candidates
from sia import LLM, Answer, Case
from tools import Tools

PROMPT = (Path(__file__).parent / "prompt.md").read_text(encoding="utf-8").strip()
HEAD = 100
"""Characters kept from the start of the facts; the policy's context is small."""
TAIL = 60
"""Characters kept from their end, where the prosecution sums up."""
ATTEMPTS = 2
TEMPERATURE = 0.7
MAX_TOKENS = 24


async def solve(case: Case, llm: LLM, tools: Tools) -> Answer:
    """The first reply with an allowed charge in it."""
    text = case.inputs["text"]
    allowed = candidates(text, tools)
    messages = question(text, allowed)
    for attempt in range(ATTEMPTS):
        charge = await ask(llm, messages, allowed, attempt)
        if charge is not None:
            return Answer(charge)
    return without_answer(allowed)


async def ask(llm: LLM, messages: list[dict[str, str]], allowed: Sequence[str], attempt: int) -> str | None:
    """One reply, read."""
    reply = await llm.chat(messages, max_tokens=MAX_TOKENS, temperature=temperature(attempt))
    return extract(reply.text, allowed)


def temperature(attempt: int) -> float:
    """How freely the policy samples in an attempt, counted from 0."""
    return TEMPERATURE


def question(text: str, allowed: Sequence[str]) -> list[dict[str, str]]:
    """The messages that put the case before the policy."""
    return [{"role": "user", "content": PROMPT.format(facts=excerpt(text))}]


def excerpt(text: str) -> str:
    """Head and tail of the facts."""
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]}…{text[-TAIL:]}"


def without_answer(allowed: Sequence[str]) -> Answer:
    """What is said when no attempt gave a charge."""
    return Answer(None)
