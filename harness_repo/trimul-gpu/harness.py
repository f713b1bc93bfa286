"""Ask the policy for a kernel's plan, a letter a choice, and answer with the Triton module that carries it out."""

import json
from pathlib import Path

from decided import WORDS
from grammar import parse_as, written
from grammar_triton import Plan
from render_triton import render
from sia import LLM, Answer, Case
from spec import Shape

HERE = Path(__file__).parent
PROMPT = (HERE / "prompt.md").read_text(encoding="utf-8").strip()
FIELDS = json.loads((HERE / "grammar.json").read_text(encoding="utf-8"))
ATTEMPTS = 1
TEMPERATURE = 1.0
MAX_TOKENS = 20


async def solve(case: Case, llm: LLM, tools: None) -> Answer:
    """The first reply that is a plan, rendered for the case's shape."""
    for _ in range(ATTEMPTS):
        reply = await llm.chat(question(case), max_tokens=MAX_TOKENS, temperature=TEMPERATURE)
        letters = read(reply.text)
        if letters is not None:
            words = {
                name: some[ord(letter) - ord("A")] for letter, (name, some) in zip(letters, FIELDS.items(), strict=True)
            }
            plan = parse_as(Plan, " ".join(f"{name}={word}" for name, word in words.items()))
            return Answer(render(plan, shape(case)), notes={"plan": letters, "words": written(plan)})
    return Answer(None)


def question(case: Case) -> list[dict[str, str]]:
    """The messages that put the shape before the policy."""
    return [{"role": "user", "content": PROMPT.format(**case.inputs)}]


def read(reply: str) -> str | None:
    """The letters of a plan in a reply, with what is decided already in its place."""
    given = reply.strip()
    if len(given) != len(FIELDS):
        return None
    letters = ""
    for letter, (name, words) in zip(given, FIELDS.items(), strict=True):
        if not 0 <= ord(letter) - ord("A") < len(words):
            return None
        letters += chr(ord("A") + words.index(WORDS[name])) if name in WORDS else letter
    return letters


def shape(case: Case) -> Shape:
    """The sizes that the kernel is for."""
    batch, n, dim, hidden = (int(case.inputs[name]) for name in ("batch", "n", "dim", "hidden"))
    return Shape(batch, n, dim, hidden, case.inputs["distribution"], case.inputs["mask"] == "yes")
