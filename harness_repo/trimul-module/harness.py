"""Ask the policy for a module with Triton kernels, and answer with the last fenced block of its reply."""

import re
from pathlib import Path

from sia import LLM, Answer, Case

PROMPT = (Path(__file__).parent / "prompt.md").read_text(encoding="utf-8").strip()
ATTEMPTS = 1
TEMPERATURE = 1.0
MAX_TOKENS = 6144
FENCED = re.compile(r"^```[a-zA-Z]*[ ]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


async def solve(case: Case, llm: LLM, tools: None) -> Answer:
    """The first reply that has a module in it."""
    for _ in range(ATTEMPTS):
        reply = await llm.chat(question(case), max_tokens=MAX_TOKENS, temperature=TEMPERATURE)
        module = read(reply.text)
        if module is not None:
            return Answer(module)
    return Answer(None)


def question(case: Case) -> list[dict[str, str]]:
    """The messages that put the shape before the policy."""
    return [{"role": "user", "content": PROMPT.format(**case.inputs)}]


def read(reply: str) -> str | None:
    """The last fenced block that defines what is asked for."""
    blocks = [block for block in FENCED.findall(reply) if "custom_kernel" in block]
    return blocks[-1] if blocks else None
