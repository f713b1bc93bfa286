"""Follows a run in a thread of its own and always holds the newest view of it."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from sia_tui.core.events import Alarmed, EngineStarted
from sia_tui.core.state import State
from sia_tui.core.telling import tell
from sia_tui.core.text import one_line
from sia_tui.store.lock import is_held
from sia_tui.store.logged import folded
from sia_tui.store.reader import EpisodeRow, Metrics, RunReader, Tally, counted
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths
from sia_tui.tui.follower import Follower
from sia_tui.tui.view import RECENT, View

if TYPE_CHECKING:
    from sia_tui.config import RunConfig

EVERY_S = 0.1
LOCK_EVERY_S = 0.5
"""Asking who holds the run takes its lock for an instant: not to be done more often than is noticed."""
RETRY_S = 1.0
UNSEEN_S = 0.5
"""So long the config waits for the run to be on the screen."""
STORY = 2000


class Feed(Follower):
    """`view` is the newest View; it is another object only when something has changed."""

    def __init__(self, paths: RunPaths) -> None:
        super().__init__(f"feed {paths.name}")
        self._paths = paths
        self._seen = threading.Event()
        self.view = View(paths.name)

    def seen(self) -> None:
        """The run is on the screen: what takes longer may follow."""
        self._seen.set()

    def _follow(self) -> None:
        """Reads until told to stop; a run that cannot be read is tried again from the beginning."""
        while not self._over.is_set():
            try:
                self._read()
            except (StoreError, ValueError, OSError) as error:
                self.view = replace(self.view, error=one_line(str(error), 300), alive=self._held(), starting=False)
                self._over.wait(RETRY_S)

    def _held(self) -> bool:
        """Of a run that cannot be read: what was known of its engine may have gone with it."""
        try:
            return is_held(self._paths.lock)
        except OSError:
            return False

    def _read(self) -> None:
        reader = RunReader(self._paths.db)
        try:
            tail, beats = Tail(reader, self._paths, self.view.config), 0
            known = tail.config is not None
            while not self._over.is_set():
                if beats % round(LOCK_EVERY_S / EVERY_S) == 0:
                    if not self._paths.db.exists():
                        # Its open file would be read on as if nothing had happened.
                        raise StoreError(f"{self._paths.name}: its folder is gone, deleted or moved")
                    tail.alive = is_held(self._paths.lock)
                    tail.starting = not tail.alive and is_held(self._paths.starting)
                beats += 1
                found = tail.poll(self.view)
                if found is not self.view:
                    self.view = found
                if not known and (self._seen.is_set() or beats * EVERY_S > UNSEEN_S):
                    # What reads configs takes longer to import than a run to read.
                    known, tail.config = True, config_of(self._paths)
                    tail.again()
                else:
                    self._over.wait(EVERY_S)
        finally:
            reader.close()


class Tail:
    """What has been read of a run so far. `poll` reads what is new, and nothing twice."""

    def __init__(self, reader: RunReader, paths: RunPaths, config: RunConfig | None = None) -> None:
        self._reader, self._paths, self.config = reader, paths, config
        self.alive = self.starting = False
        self._version = -1
        self._seen = 0
        self._folded = State()
        self._tally = Tally(0, 0, 0, "")
        self._recent: deque[EpisodeRow] = deque(maxlen=RECENT)
        self._story: deque[tuple[str, str]] = deque(maxlen=STORY)
        self._alarms: list[tuple[str, Alarmed]] = []
        self._metrics: dict[str, dict[int, Metrics]] = {}

    def again(self) -> None:
        """Read at the next `poll` whether or not somebody has written since."""
        self._version = -1

    def poll(self, last: View) -> View:
        """The newest view; `last` itself when nothing has changed. Raises StoreError, ValueError."""
        version = self._reader.version()
        if version == self._version and last.error is None:
            same = (last.alive, last.starting) == (self.alive, self.starting)
            return last if same else replace(last, alive=self.alive, starting=self.starting)
        self._version = version
        self._read_log()
        self._read_episodes()
        self._read_metrics()
        return View(
            run=self._paths.name,
            state=counted(self._folded, self._tally),
            progress=self._reader.progress(),
            machine=self._reader.machine(),
            alive=self.alive,
            starting=self.starting,
            story=tuple(self._story),
            alarms=tuple(self._alarms),
            metrics={name: tuple(rows.values()) for name, rows in self._metrics.items()},
            recent=tuple(self._recent),
            dropped=self._tally.episodes - len(self._recent),
            config=self.config,
        )

    def _read_log(self) -> None:
        entries = self._reader.log(after=self._seen)
        self._folded = folded(self._paths.db, entries, self._folded)
        for entry in entries:
            self._seen = entry.seq
            if line := tell(entry.event):
                self._story.append((entry.at, one_line(line, 600)))
            if isinstance(entry.event, Alarmed):
                self._alarms.append((entry.at, entry.event))
            if isinstance(entry.event, EngineStarted):
                self._metrics.clear()

    def _read_episodes(self) -> None:
        new = self._reader.tally(self._tally.newest)
        self._recent.extend(self._reader.recent(self._tally.newest, new.newest, RECENT))
        self._tally = Tally(
            new.newest,
            self._tally.episodes + new.episodes,
            self._tally.tokens + new.tokens,
            new.last_at or self._tally.last_at,
        )

    def _read_metrics(self) -> None:
        for step in self._folded.steps:
            if step.training is None or (step.closed and step.id in self._metrics):
                continue
            known = self._metrics.setdefault(step.id, {})
            since = max((row.at for row in known.values()), default="")
            for row in self._reader.metrics(step.id, since=since):
                known[row.step] = row


def config_of(paths: RunPaths) -> RunConfig | None:
    from sia_tui.config import ConfigError, load_config

    try:
        return load_config(paths.config)
    except ConfigError:
        return None
