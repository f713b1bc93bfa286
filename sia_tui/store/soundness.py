"""Whether a run.db is whole: its pages, its log, and every episode with its trajectory. Standard library only."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sia_tui.core.consent import audit
from sia_tui.core.events import EpisodeDone, Recorded
from sia_tui.core.seals import Check
from sia_tui.core.state import State
from sia_tui.core.text import one_line
from sia_tui.store.connection import Connection
from sia_tui.store.logged import entry, folded, written
from sia_tui.store.trajectories import unpack
from sia_tui.store.version import StoreError

RESTORE = "restore the run from a backup: sia-tui restore FILE"
_NAMED = 5


def checks(db: Path) -> tuple[list[Check], State | None]:
    """Of one moment, an engine may be writing meanwhile; and the state at it, None where the log cannot be folded."""
    try:
        with closing(_Look(db)) as look:
            made = [_said("store: pages", look.pages)]
            if made[0].level != "ok":
                return made, None
            made.append(_said("store: log", look.log))
            state = look.state
            if state is not None:
                made += [
                    _said("store: verdicts", look.verdicts),
                    _said("store: episodes", look.episodes),
                    _said("store: scores", lambda: look.scores(state)),
                ]
            return made, state
    except StoreError as error:
        return [Check("store: pages", str(error), "broken", RESTORE)], None


def _said(name: str, look: Callable[[], tuple[str, list[str]]]) -> Check:
    """`look` tells what is there, and what is wrong with it."""
    try:
        told, faults = look()
    except StoreError as error:
        told, faults = "", [str(error)]
    if not faults:
        return Check(name, told)
    more = f" and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
    return Check(name, "; ".join(faults[:_NAMED]) + more, "broken", RESTORE)


class _Look(Connection):
    """All of it sees one commit."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.state: State | None = None
        self._announced: Counter[str] = Counter()
        self._rows("begin")

    def pages(self) -> tuple[str, list[str]]:
        found = [one_line(row[0], 200) for row in self._rows("pragma integrity_check(5)")]
        return "sound", [] if found == ["ok"] else found

    def log(self) -> tuple[str, list[str]]:
        """Numbered without a gap, each a known kind, and foldable to a state."""
        rows = self._rows("select seq, at, kind, data from events order by seq")
        faults = [f"event {at} is missing" for at, row in enumerate(rows, 1) if row["seq"] != at][:1]
        entries, last, back = list[Recorded](), "", 0
        for row in rows:
            entries.append(entry(self._path, row))
            back, last = back + (row["at"] < last), row["at"]
        self.state = folded(self._path, entries)
        self._announced = Counter(entry.event.episode for entry in entries if isinstance(entry.event, EpisodeDone))
        clock = f"; the clock went back {back} times" if back else ""
        return f"{len(rows):,} events fold to {self.state.status}{clock}", faults

    def verdicts(self) -> tuple[str, list[str]]:
        """Each bound to its gate and to the log before it."""
        found = audit(written(self._rows))
        return f"{len(found.given)}, none of what they bind was changed", list(found.faults)

    def episodes(self) -> tuple[str, list[str]]:
        """Each announced once in the log, with a trajectory that says what its row says."""
        faults, seen = list[str](), set[str]()
        query = (
            "select e.id, e.case_id, e.split, e.answer, e.reward, e.failure, t.body from episodes e "
            "left join trajectories t on t.episode = e.id order by e.rowid"
        )
        for row in self._connection.execute(query):
            seen.add(row["id"])
            if self._announced[row["id"]] != 1:
                faults.append(f"{row['id']} stands {self._announced[row['id']]} times in the log")
            if row["body"] is None:
                faults.append(f"{row['id']} has no trajectory")
                continue
            try:
                attempt, score = unpack(row["body"])
            except (zlib.error, ValueError, KeyError, TypeError) as error:
                faults.append(f"the trajectory of {row['id']} cannot be read: {error!r}")
                continue
            told = (attempt.case.id, attempt.case.split, attempt.answer, score.reward, score.failure)
            if told != (row["case_id"], row["split"], row["answer"], row["reward"], row["failure"]):
                faults.append(f"{row['id']} is not what its trajectory says")
        faults += [f"{gone} is in the log and has no row" for gone in self._announced if gone not in seen]
        query = "select count(*) n from trajectories where episode not in (select id from episodes)"
        if orphans := self._rows(query)[0]["n"]:
            faults.append(f"{orphans} trajectories have no episode")
        return f"{len(seen):,}, each with its trajectory", faults

    def scores(self, state: State) -> tuple[str, list[str]]:
        """The log's means are those of the episodes they were taken of."""
        faults, count = list[str](), 0
        for generation in state.generations:
            for split, result in generation.results.items():
                query = (
                    "select count(*) n, avg(reward) mean from episodes where key = ? and split = ? and proposal is null"
                )
                found, count = self._rows(query, [generation.key, split])[0], count + 1
                if found["n"] < result.n:
                    faults.append(f"g{generation.index} has {found['n']} of {result.n} episodes on {split}")
                elif found["n"] == result.n and abs(found["mean"] - result.mean) > 1e-9:
                    faults.append(
                        f"g{generation.index} on {split} is {found['mean']:.6f}, the log says {result.mean:.6f}"
                    )
        return f"{count} means are those of their episodes", faults
