"""What each word of a plan is worth, from all plans that were judged so far: one regression, so that what stood beside a
word is not taken for its doing, and words can be decided together.

A merit is taken for a mean, plus an effect of the case, plus one of each word, plus noise: Bayesian linear regression with
normal priors of fixed width (ridge regression). Plans that go against what is decided by now count for less: what a word is
worth beside the others changes with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sia_tui.agents.protocol import Reading

Judged = Sequence[tuple[Mapping[str, str], Reading]]
Merit = Callable[[Reading], float]

NOISE, WORD, CASE = 0.5, 0.08, 0.2
"""Of a merit's variance: what no word explains, what one word is expected to, and what a case is."""
AGAINST = 0.5
"""The weight of a plan for each decided choice that it goes against."""
TINY = 1e-12


@dataclass(frozen=True)
class Choice:
    """A field of the plan, the word that did best, and by how much."""

    field: str
    word: str
    gain: float
    """Of the reward, over the field's mean word."""
    sure: float
    """Of the merit, over the field's other words, in standard errors."""


def choices(
    judged: Judged, fields: Mapping[str, Sequence[str]], decided: Mapping[str, str], merit: Merit
) -> list[Choice]:
    """The best word of every field that is not decided, surest first; nothing where merits do not differ."""
    merits = np.array([merit(reading) for _, reading in judged])
    if len(merits) < 2 or float(np.ptp(merits)) < TINY:
        return []
    rewards = np.array([reading.score.reward for _, reading in judged])
    against = np.array([sum(words[name] != word for name, word in decided.items()) for words, _ in judged])
    columns = [(name, word) for name, words in fields.items() for word in words]
    design = np.hstack([_words(judged, fields), _cases(judged)])
    effect, spread, paid = _fitted(design, len(columns), merits, rewards, AGAINST**against)
    found = []
    for name, words in fields.items():
        places = [place for place, (field, _) in enumerate(columns) if field == name]
        if name in decided or len(places) < 2:
            continue
        best = max(places, key=lambda place: effect[place])
        over = np.zeros(len(effect))
        over[places] = -1 / (len(places) - 1)
        over[best] = 1.0
        sure = float(over @ effect / np.sqrt(over @ spread @ over))
        gain = float(paid[best] - paid[places].mean())
        found.append(Choice(name, words[best - places[0]], gain, sure))
    return sorted(found, key=lambda choice: -choice.sure)


def worth(judged: Judged, fields: Mapping[str, Sequence[str]], merit: Merit) -> dict[tuple[str, str], float]:
    """The effect of every word on merit, by (field, word), whatever is decided."""
    columns = [(name, word) for name, words in fields.items() for word in words]
    merits = np.array([merit(reading) for _, reading in judged])
    design = np.hstack([_words(judged, fields), _cases(judged)])
    found, _, _ = _fitted(design, len(columns), merits, merits, np.ones(len(merits)))
    return dict(zip(columns, map(float, found), strict=False))


def _words(judged: Judged, fields: Mapping[str, Sequence[str]]) -> NDArray[np.float64]:
    """A column a word, 1 where a plan has it, less its share among the field's words."""
    told = [
        [(words[name] == word) - 1 / len(some) for name, some in fields.items() for word in some] for words, _ in judged
    ]
    return np.array(told)


def _cases(judged: Judged) -> NDArray[np.float64]:
    names = sorted({reading.attempt.case.id for _, reading in judged})
    return np.array([[float(reading.attempt.case.id == name) for name in names] for _, reading in judged])


def _fitted(
    design: NDArray[np.float64],
    words: int,
    merits: NDArray[np.float64],
    rewards: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The columns' effects on merit, their covariance, and their effects on reward."""
    share = weights / weights.sum()
    off = merits - share @ merits
    variance = max(TINY, float(share @ off**2))
    priors = np.full(design.shape[1], CASE)
    priors[:words] = WORD
    weighed = design.T * weights
    precision = weighed @ design / NOISE + np.diag(1 / priors)
    inverse = np.linalg.inv(precision)
    effect, paid = (np.asarray(inverse @ (weighed @ one) / NOISE) for one in (off, rewards - share @ rewards))
    return effect, np.asarray(variance * inverse), paid
