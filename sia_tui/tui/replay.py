"""Plays a run's record as `Feed` follows a live one: the same views, as of a moment that moves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sia_tui.core.text import one_line
from sia_tui.store.reader import RunReader
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths
from sia_tui.tui.feed import Tail, config_of
from sia_tui.tui.film import Film, Mark, film
from sia_tui.tui.follower import Follower
from sia_tui.tui.recorded import answers, under_way
from sia_tui.tui.view import View

EVERY_S = 0.1
SPEEDS = (1, 2, 5, 10, 20, 50, 100)
USUAL = 10


class Replay(Follower):
    """`view` is the run at `at_s` of its film. All but `start` and `stop` may be called from the event loop."""

    def __init__(self, paths: RunPaths, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises StoreError for a run that cannot be read, ValueError for one in which nothing happened yet."""
        super().__init__(f"replay {paths.name}")
        self._paths, self._clock = paths, clock
        reader = RunReader(paths.db)
        try:
            self.film: Film = film(reader.timeline())
            self._answers = answers(reader.log())
        finally:
            reader.close()
        self.at_s = 0.0
        self.speed = USUAL
        self.playing = False
        self.view = View(paths.name)
        self._stops_at: Mark | None = None
        self._since = 0.0
        self._moved = threading.Event()
        self._playhead = threading.Lock()
        """Whoever moves it, the thread that plays or a person, moves it from where it is."""

    def seen(self) -> None:
        """Nothing of a recording is left for later."""

    def stop(self) -> None:
        self._over.set()
        self._moved.set()
        super().stop()

    def moment(self) -> str:
        """The recorded time that is shown; for a reader's queries, in any thread."""
        return self.film.moment(self.at_s)

    def now(self) -> datetime:
        return datetime.fromisoformat(self.moment())

    @property
    def ended(self) -> bool:
        return self.at_s >= self.film.length_s

    def play(self) -> None:
        """Play or pause; from the end it begins anew. It stops at the next gate, where a person would have stood."""
        with self._playhead:
            if not self.playing and self.ended:
                self.at_s = 0.0
            self.playing = not self.playing
            self._since = self._clock()
            self._stops_at = self.film.next_mark(self.at_s, "gate")
        self._moved.set()

    def seek(self, to_s: float) -> None:
        """Show another moment; what plays goes on from there, but stays where there is something to see."""
        with self._playhead:
            self.at_s = min(max(0.0, to_s), self.film.length_s)
            self.playing = self.playing and not self.film.marked(self.at_s)
            self._stops_at = self.film.next_mark(self.at_s, "gate")
        self._moved.set()

    def step(self, way: int) -> None:
        self.seek(self.film.step(self.at_s, way))

    def jump(self, way: int) -> None:
        """To the next mark, or the one before; without one to the end, or the beginning."""
        mark = self.film.next_mark(self.at_s) if way > 0 else self.film.last_mark(self.at_s)
        self.seek(mark.at_s if mark else self.film.length_s if way > 0 else 0.0)

    def faster(self, way: int) -> None:
        index = SPEEDS.index(self.speed) + way
        self.speed = SPEEDS[min(max(0, index), len(SPEEDS) - 1)]

    def advance(self) -> None:
        """Move on by the time that has passed."""
        with self._playhead:
            if self.playing:
                self._advance()

    def _advance(self) -> None:
        before, self._since = self._since, self._clock()
        to = self.at_s + (self._since - before) * self.speed
        stop = self._stops_at
        if stop is not None and to >= stop.at_s:
            to, self.playing = stop.at_s, False
        if to >= self.film.length_s:
            to, self.playing = self.film.length_s, False
        self.at_s = to

    def _recorded(self, view: View, at: str) -> View:
        answer = next((found for found in self._answers if found[0] > at), None) if view.state.waiting else None
        return replace(view, alive=not view.over, recorded=True, answer=answer, progress=under_way(view, at))

    def _follow(self) -> None:
        try:
            self._read()
        except (StoreError, ValueError, OSError) as error:
            self.view = replace(self.view, error=one_line(str(error), 300))

    def _read(self) -> None:
        shown = ""
        # A viewer may seek while a query reads: what one view is made of is of one moment.
        reader, config = RunReader(self._paths.db, lambda: shown), config_of(self._paths)
        tail = Tail(reader, self._paths, config)
        try:
            while not self._over.is_set():
                self.advance()
                moment = self.moment()
                if moment < shown:
                    tail = Tail(reader, self._paths, config)
                if moment != shown:
                    shown = moment
                    # A record does not change: that another moment is read, nobody wrote.
                    tail.again()
                    self.view = self._recorded(tail.poll(self.view), shown)
                self._moved.wait(EVERY_S)
                self._moved.clear()
        finally:
            reader.close()
