"""Ask the policy for a denoising pipeline, a letter a choice, and answer with the function that carries it out."""

from pathlib import Path

from decided import DECIDED
from grammar import Plan, PlanError, from_letters, letters
from render import render
from sia import LLM, Answer, Case

PROMPT = (Path(__file__).parent / "prompt.md").read_text(encoding="utf-8").strip()
ATTEMPTS = 1
TEMPERATURE = 1.0
MAX_TOKENS = 24


async def solve(case: Case, llm: LLM, tools: None) -> Answer:
    """The first reply that is a plan, rendered."""
    for _ in range(ATTEMPTS):
        reply = await llm.chat(question(case), max_tokens=MAX_TOKENS, temperature=TEMPERATURE)
        plan = read(reply.text)
        if plan is not None:
            return Answer(render(plan), notes={"plan": letters(plan)})
    return Answer(None)


def question(case: Case) -> list[dict[str, str]]:
    """The messages that put the tissue before the policy."""
    return [{"role": "user", "content": PROMPT.format(**case.inputs)}]


def read(reply: str) -> Plan | None:
    """The plan in a reply, with what is decided already in its place."""
    try:
        return DECIDED.over(from_letters(reply))
    except PlanError:
        return None
