"""Follows all runs of a workspace in a thread of its own: those that ask first, then the newest, and none is read again
unless it was written to."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass, field, replace

from sia_tui.core.state import State
from sia_tui.core.text import one_line
from sia_tui.store.lock import is_held
from sia_tui.store.logged import folded
from sia_tui.store.place import nameless
from sia_tui.store.reader import RunReader, Tally, counted
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.tui.follower import Follower
from sia_tui.tui.view import View

EVERY_S = 1.0


@dataclass
class _Known:
    """How far a run has been read."""

    view: View
    stamp: tuple[int, ...] = ()
    inode: int = 0
    seen: int = 0
    folded: State = field(default_factory=State)
    tally: Tally = field(default_factory=lambda: Tally(0, 0, 0, ""))


class Shelf(Follower):
    """`views` holds a view of each run, those whose gate waits before the others, the newest first among either; it is
    another object only when something has changed."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__("shelf")
        self._workspace = workspace
        self._known: dict[str, _Known] = {}
        self._misnamed: tuple[View, ...] = ()
        self.views: tuple[View, ...] = ()
        self.complete = False
        """Whether every run has been read once."""

    def _follow(self) -> None:
        while not self._over.is_set():
            # A run may vanish between two looks.
            with suppress(OSError):
                self.look()
            self._over.wait(EVERY_S)

    def look(self) -> None:
        """Read what is new. Raises OSError when a run vanishes meanwhile."""
        names = self._workspace.run_names() if self._workspace.runs.is_dir() else []
        self._misnamed = tuple(View(one_line(path.name), error=nameless(path)) for path in self._workspace.misnamed())
        for gone in self._known.keys() - set(names):
            del self._known[gone]
        for name in names:
            if self._over.is_set():
                return
            self._look_at(self._workspace.run(name))
            self._publish(names)
        self._publish(names)
        self.complete = True

    def _publish(self, names: list[str]) -> None:
        newest = (self._known[name].view for name in names if name in self._known)
        views = (*sorted(newest, key=lambda view: not view.asks), *self._misnamed)
        if views != self.views:
            self.views = views

    def _look_at(self, paths: RunPaths) -> None:
        """One that cannot be looked at hides no other."""
        known = self._known.setdefault(paths.name, _Known(View(paths.name)))
        try:
            self._read(paths, known)
        except OSError as error:
            known.view, known.stamp = replace(known.view, error=one_line(str(error), 300)), ()

    def _read(self, paths: RunPaths, known: _Known) -> None:
        stamp, inode, alive = _stamp(paths), paths.db.stat().st_ino, is_held(paths.lock)
        starting = not alive and is_held(paths.starting)
        if inode != known.inode:
            known.inode, known.seen, known.folded, known.tally = inode, 0, State(), Tally(0, 0, 0, "")
        if stamp != known.stamp:
            known.view = self._newest(paths, known, alive)
            known.stamp = () if known.view.error else stamp
        if (alive, starting) != (known.view.alive, known.view.starting):
            known.view = replace(known.view, alive=alive, starting=starting)

    def _newest(self, paths: RunPaths, known: _Known, alive: bool) -> View:
        from sia_tui.config import ConfigError, load_config

        try:
            with closing(RunReader(paths.db)) as reader:
                entries = reader.log(after=known.seen)
                known.folded = folded(paths.db, entries, known.folded)
                known.seen = entries[-1].seq if entries else known.seen
                new = reader.tally(known.tally.newest)
                known.tally = Tally(
                    new.newest,
                    known.tally.episodes + new.episodes,
                    known.tally.tokens + new.tokens,
                    new.last_at or known.tally.last_at,
                )
                config = known.view.config or load_config(paths.config)
                state = counted(known.folded, known.tally)
                return View(paths.name, state, reader.progress(), alive=alive, config=config)
        except (StoreError, ConfigError, ValueError, OSError) as error:
            return replace(known.view, alive=alive, error=one_line(str(error), 300))


def _stamp(paths: RunPaths) -> tuple[int, ...]:
    """Another one when somebody has written."""
    found: list[int] = []
    for path in (paths.db, paths.db.with_name("run.db-wal")):
        try:
            about = path.stat()
        except FileNotFoundError:
            continue
        found += [about.st_mtime_ns, about.st_size]
    return tuple(found)
