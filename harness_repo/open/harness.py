"""Put the case before the policy, and give its reply as the answer."""

from pathlib import Path

from sia import LLM, Answer, Case

PROMPT = (Path(__file__).parent / "prompt.md").read_text(encoding="utf-8").strip()
MAX_TOKENS = 512
TEMPERATURE = 0.0


async def solve(case: Case, llm: LLM, tools: None) -> Answer:
    """The whole reply, without the space around it."""
    reply = await llm.chat(question(case), max_tokens=MAX_TOKENS, temperature=TEMPERATURE)
    return Answer(reply.text.strip() or None)


def question(case: Case) -> list[dict[str, str]]:
    """The messages that put the case before the policy."""
    return [{"role": "user", "content": PROMPT.replace("{inputs}", shown(case))}]


def shown(case: Case) -> str:
    """One input as it is, several under their names."""
    if len(case.inputs) == 1:
        return next(iter(case.inputs.values()))
    return "\n\n".join(f"{name}:\n{text}" for name, text in sorted(case.inputs.items()))
