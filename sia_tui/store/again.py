"""What was measured again, by a run's engine or beside it, and what that says together with the first measurement.
Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from sia_tui.core.attribution import Pair, apart
from sia_tui.core.comparing import Draw, Evidence
from sia_tui.core.episodes import Split
from sia_tui.core.events import MeasuredAgain
from sia_tui.core.evidence import Attribution
from sia_tui.core.state import State
from sia_tui.store.reader import EpisodeRow, RunReader
from sia_tui.store.workspace import RunPaths


class Remeasures:
    """Read at one moment. Raises StoreError where a log cannot be read."""

    def __init__(self, run: RunPaths, state: State, seed: int) -> None:
        """`seed`: the run's own."""
        self._run, self._state, self._seed = run, state, seed
        self.beside: tuple[MeasuredAgain, ...] = ()
        if run.again.db.is_file():
            with closing(RunReader(run.again.db)) as reader:
                self.beside = tuple(entry.event for entry in reader.log() if isinstance(entry.event, MeasuredAgain))

    @property
    def all(self) -> tuple[MeasuredAgain, ...]:
        """The engine's own first."""
        return self._state.again + self.beside

    def episodes(self, one: MeasuredAgain) -> list[EpisodeRow]:
        """By case id."""
        db = self._run.db if one in self._state.again else self._run.again.db
        with closing(RunReader(db)) as reader:
            return reader.episodes(one.key, one.split)

    def recorded(self, index: int, split: Split) -> list[EpisodeRow]:
        """The run's own of a generation, by case id."""
        with closing(RunReader(self._run.db)) as reader:
            return reader.episodes(self._state.generations[index].key, split)

    def apart(self, pair: Pair) -> Attribution:
        """A kept pair's table, with its fourth cell where that was measured."""
        mix = pair.missing
        missing = self.first(mix.harness, mix.weights, self._seed)
        old, between, new = (_rewards(self.recorded(index, "dev")) for index in (pair.old, pair.between, pair.new))
        return apart(pair, old, between, new, _rewards(self.episodes(missing)) if missing else None)

    def evidence(self, candidate: int) -> Evidence:
        """Every seed under which both the candidate and its incumbent were measured on dev; the run's own at least."""
        incumbent = self._state.generations[candidate].parent
        assert incumbent is not None, "the first generation is no candidate"
        own = Draw(self._seed, *(_rewards(self.recorded(index, "dev")) for index in (incumbent, candidate)))
        draws = [own]
        for seed in sorted({one.seed for one in self.all} - {self._seed}):
            old, new = self.first(incumbent, incumbent, seed), self.first(candidate, candidate, seed)
            if old and new:
                draws.append(Draw(seed, _rewards(self.episodes(old)), _rewards(self.episodes(new))))
        return Evidence(candidate, incumbent, tuple(draws))

    def first(self, harness: int, weights: int, seed: int) -> MeasuredAgain | None:
        """The first measurement of a mix on dev under a seed, whoever made it."""
        wanted = (harness, weights, "dev", seed)
        return next((one for one in self.all if (one.harness, one.weights, one.split, one.seed) == wanted), None)


def _rewards(rows: Sequence[EpisodeRow]) -> dict[str, float]:
    return {row.case_id: row.reward for row in rows}
