"""The offline rules for harnesses that answer with a plan, a letter for each of a row of choices (`decided.py`).

What trajectories say of a choice is read off every plan that was judged: the figures a judgement comes with (`metrics`) tell
more than its reward, which is nothing for most plans.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping

from sia_tui.agents.protocol import Reading

DECIDED, GRAMMAR = "decided.py", "grammar.json"
FLOORS = {"poisson_norm": 0.97, "likelihood_norm": 1.0}


def grammar_of(files: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The fields and words of the harness' plans; empty where there is no grammar that can be read."""
    try:
        told = json.loads(files.get(GRAMMAR, "{}"))
        return {str(name): tuple(map(str, words)) for name, words in told.items()}
    except (ValueError, AttributeError, TypeError):
        return {}


def plans(readings: Iterable[Reading], grammar: Mapping[str, tuple[str, ...]]) -> list[tuple[dict[str, str], Reading]]:
    """Every judged plan by field, as the harness noted it."""
    found = []
    for reading in readings:
        letters = str(reading.attempt.notes.get("plan", ""))
        if len(letters) == len(grammar):
            places = [ord(letter) - ord("A") for letter in letters]
            if all(0 <= place < len(words) for place, words in zip(places, grammar.values(), strict=True)):
                words = {name: some[place] for place, (name, some) in zip(places, grammar.items(), strict=True)}
                found.append((words, reading))
    return found


def merit(reading: Reading) -> float:
    """How near a plan came: its reward, or, unpaid, how far below the floors it stayed. Never above what is paid."""
    if reading.score.failure is None:
        return reading.score.reward
    figures = reading.score.metrics
    if not figures:
        return -1.0
    short = min(0.0, *(figures.get(name, 0.0) - floor for name, floor in FLOORS.items()))
    return max(-1.0, min(0.0, figures.get("mse_norm", -1.0)) + max(-1.0, short))


_WORDS = re.compile(r"^WORDS: dict\[str, str\] = (\{[^}]*\})$", re.MULTILINE)


def decided(files: Mapping[str, str]) -> dict[str, str]:
    """The choices that the harness makes by itself, a word by field."""
    found = _WORDS.search(files.get(DECIDED, ""))
    return {} if found is None else dict(ast.literal_eval(found[1]))


def decide(files: Mapping[str, str], chosen: Mapping[str, str]) -> dict[str, str] | None:
    """The harness with these choices made; None where it has no room for them."""
    text = files.get(DECIDED, "")
    found = _WORDS.search(text)
    if found is None:
        return None
    words = decided(files) | dict(chosen)
    lines = "".join(f'    "{field}": "{word}",\n' for field, word in words.items())
    return {DECIDED: text[: found.start(1)] + "{\n" + lines + "}" + text[found.end(1) :]}


def again(files: Mapping[str, str]) -> dict[str, str] | None:
    """Ask up to three times where a reply is no plan."""
    text = files.get("harness.py", "")
    return {"harness.py": text.replace("ATTEMPTS = 1\n", "ATTEMPTS = 3\n")} if "ATTEMPTS = 1\n" in text else None


def likeliest(files: Mapping[str, str]) -> dict[str, str] | None:
    """Take the policy's likeliest plan in place of a drawn one."""
    text = files.get("harness.py", "")
    old, new = "TEMPERATURE = 1.0\n", "TEMPERATURE = 0.0\n"
    return {"harness.py": text.replace(old, new)} if old in text else None
