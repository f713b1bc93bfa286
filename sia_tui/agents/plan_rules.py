"""The offline rules for harnesses that answer with a plan, a letter for each of a row of choices (`decided.py`).

What trajectories say of a choice is read off every plan that was judged: the figures a judgement comes with (`metrics`) tell
more than its reward, which is nothing for most plans.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pvariance

from sia_tui.agents.protocol import Reading

DECIDED, GRAMMAR = "decided.py", "grammar.json"
LEAST = 3
"""Plans with a word before anything is said of it."""
SURE = 1.5
"""Standard errors between a word and the others of its field before it is decided."""
MOST = 3
"""Choices that one patch decides: they are not independent, and each was seen beside the others."""


@dataclass(frozen=True)
class Choice:
    """A field of the plan, the word that did best, and by how much (in standard errors)."""

    field: str
    word: str
    gain: float
    """Of the reward, over the mean of all plans."""
    sure: float


def grammar_of(files: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The fields and words of the harness' plans; empty where there is no grammar that can be read."""
    try:
        told = json.loads(files.get(GRAMMAR, "{}"))
        return {str(name): tuple(map(str, words)) for name, words in told.items()}
    except (ValueError, AttributeError, TypeError):
        return {}


def plans(readings: Sequence[Reading], grammar: Mapping[str, tuple[str, ...]]) -> list[tuple[dict[str, str], Reading]]:
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


FLOORS = {"poisson_norm": 0.97, "likelihood_norm": 1.0}


def choices(judged: Sequence[tuple[dict[str, str], Reading]]) -> list[Choice]:
    """Best word of each field where it stands out, surest first (Welch's t between the word's plans and the others)."""
    found = []
    for name in judged[0][0] if judged else ():
        by: dict[str, list[Reading]] = defaultdict(list)
        for words, reading in judged:
            by[words[name]].append(reading)
        if len(by) < 2:
            continue
        told = [one for word, some in by.items() if (one := _choice(name, word, some, judged)) is not None]
        found += [max(told, key=lambda choice: choice.sure)] if told else []
    return sorted(found, key=lambda choice: -choice.sure)


def _choice(
    name: str, word: str, with_it: Sequence[Reading], judged: Sequence[tuple[dict[str, str], Reading]]
) -> Choice | None:
    mine = [merit(reading) for reading in with_it]
    rest = [merit(reading) for words, reading in judged if words[name] != word]
    if len(mine) < LEAST or len(rest) < LEAST:
        return None
    error = math.sqrt(pvariance(mine) / (len(mine) - 1) + pvariance(rest) / (len(rest) - 1)) or 1e-9
    sure = (fmean(mine) - fmean(rest)) / error
    paid = fmean(reading.score.reward for reading in with_it) - fmean(reading.score.reward for _, reading in judged)
    return Choice(name, word, paid, sure) if sure >= SURE else None


_WORDS = re.compile(r"^WORDS: dict\[str, str\] = (\{[^}]*\})$", re.MULTILINE)


def decide(files: Mapping[str, str], chosen: Sequence[Choice]) -> dict[str, str] | None:
    """The harness with these choices made; None where it has no room for them."""
    text = files.get(DECIDED, "")
    found = _WORDS.search(text)
    if found is None:
        return None
    words = ast.literal_eval(found[1]) | {choice.field: choice.word for choice in chosen}
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
