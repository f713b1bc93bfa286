"""What a verifier is asked to find out whether it can be trusted, whatever kind of task it judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from sia_tui.core.episodes import Score
from sia_tui.tasks.attempts import Attempt

Answer = Callable[[str], object]
"""To a train case, by its id."""


class Asked(Protocol):
    """A verifier that runs."""

    async def score(self, case_id: str, answer: object) -> Score: ...


@dataclass(frozen=True)
class Probe:
    """Answers of a kind of task, with what becomes of them where the verifier is fit."""

    ids: Sequence[str]
    """The train cases that are asked about."""
    right: Answer | None
    """None: no right answer is known."""
    wrong: Answer
    """None of it: no wrong answer can be made of this case."""
    attempts: Sequence[Attempt]
    nulls: Mapping[str, Answer] = field(default_factory=dict)
    """Answers that know nothing, by name."""
    known_nulls: Mapping[str, float] = field(default_factory=dict)
    """What answers that know nothing are known to earn without asking, by name."""
    own_null: str = ""
    """Name of a null that the verifier brings itself."""
    honest: Answer | None = None
    """Plain work, that an honest attempt is paid no more than."""
    slack: float = 0.0
    """What two answers that do the same may differ by."""
    least: float = 0.9
    """What a right answer is due."""
    share: float = 0.0
    """Of a right answer's reward, that an attempt may earn in parts."""
    repeats: int = 3
    together: int = 1
    """Answers judged at a time."""

    def quick(self) -> Probe:
        """Of attempts that are caught by name, one of each failure kind; none that has to be waited for."""
        first: dict[tuple[str, tuple[str, ...]], Attempt] = {}
        for one in self.attempts:
            if "timeout" not in one.caught:
                first.setdefault((one.row, one.caught), one)
        kept = [one for one in self.attempts if not (one.caught or one.honest) or one in first.values()]
        return replace(self, attempts=kept)
