"""The window: home, and five panes on the run that is open. It reads through feeds and asks through commands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import ContentSwitcher

from sia_tui.core.digest import Digest
from sia_tui.core.text import one_line
from sia_tui.store.reader import Answer
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths
from sia_tui.tui.away import Away
from sia_tui.tui.caller import Caller
from sia_tui.tui.commands import commands
from sia_tui.tui.departing import Departing
from sia_tui.tui.door import Door
from sia_tui.tui.feed import Feed
from sia_tui.tui.garbage import STILL_S, Garbage
from sia_tui.tui.heading import Piece, heading, home_heading, terminal_title
from sia_tui.tui.keymap import name_bindings
from sia_tui.tui.manners import Manners, dress
from sia_tui.tui.panes import TABS, Follows, Pane
from sia_tui.tui.presence import Presence
from sia_tui.tui.screens.dialogue import Dialogue
from sia_tui.tui.screens.help import Help
from sia_tui.tui.screens.main import Main
from sia_tui.tui.seat import Seat
from sia_tui.tui.shelf import Shelf
from sia_tui.tui.view import View
from sia_tui.tui.widgets.header import Header
from sia_tui.tui.widgets.keys import Keys
from sia_tui.tui.widgets.tabs import Tabs
from sia_tui.tui.window import Source
from sia_tui.tui.workplace import Ask, Workplace

if TYPE_CHECKING:
    from sia_tui.tui.screens.home import HomePane

FLUSHES_A_SECOND = 15
REDRAW_S = 0.2
"""Between two pictures of a run that goes on: more of them nobody reads, and a key waits for each."""
FLASHES = 6


class SiaApp(Departing, Away, Door):
    """`1` is home; `2` to `6` are panes on one run."""

    shown: ClassVar[tuple[str, ...]] = TABS
    """Of these there is a tab."""

    TITLE = "sia-tui"
    CSS_PATH: ClassVar[list[str | PurePath]] = ["app.tcss", "screens/live.tcss", "screens/curves.tcss"]

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"pane('{name}')", name, show=False, tooltip=f"show {name}")
            for number, name in enumerate(TABS, 1)
        ),
        Binding(
            "p", "pause", "pause/resume", tooltip="pause the run, or resume it; episodes under way are made again later"
        ),
        Binding(
            "S", "end_training", "end training", tooltip="end the training now; its best adapter so far is measured"
        ),
        Binding("R", "start", "start engine", tooltip="start an engine when none is alive"),
        Binding("x", "end_contract", "end contract", tooltip="end the standing yes: gates ask again"),
        Binding("L", "lead", "take the lead", show=False, tooltip="lead this run: the other windows on it watch"),
        Binding(
            "F", "follow_lead", "follow", show=False, tooltip="show the pane that the leader looks at, or no longer"
        ),
        Binding("m", "dialogue", "models", show=False, tooltip="what agents' models were sent and said"),
        Binding("w", "why", "digest", show=False, tooltip="what was decided while you were away, and why"),
        Binding("W", "next_gate", "next gate", show=False, tooltip="open the next run whose gate waits"),
        Binding("plus", "enlarge", "maximise", show=False, key_display="+", tooltip="the focused part alone, and back"),
        Binding("colon", "command_palette", "more", key_display=":", tooltip="every command"),
        Binding("question_mark,f1", "help", "help", key_display="?", tooltip="this list"),
        Binding("q", "leave", "leave", tooltip="back to where you came from, then leave; the engine goes on"),
        Binding("ctrl+q", "quit", "leave at once", show=False, tooltip="leave; the engine goes on"),
    ]

    def __init__(
        self,
        paths: RunPaths | None,
        ask: Ask,
        resume: Callable[[], Answer],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        feed: Follows | None = None,
        place: Workplace | None = None,
        manners: Manners | None = None,
    ) -> None:
        """Opened on a run, or on home. `ask` may block and is called in a thread; so is `resume`, which starts an engine."""
        name_bindings()
        super().__init__()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
        self.VERTICAL_BREAKPOINTS = [(0, "-low"), (32, "-tall")]
        self.now = now
        self._ask, self._resume = ask, resume
        self.place, self._manners, self._given = place, manners or Manners(), feed
        self._shelf = Shelf(place.workspace) if place else None
        self._header, self._tabs = Header(), Tabs(self.shown)
        self._begins_at = "home" if paths is None else "live"
        self._panes = ContentSwitcher()
        self._there: set[str] = set()
        self._coming: dict[str, list[Callable[[Any], None]]] = {}
        self._typed: list[events.Key] = []
        self._garbage = Garbage()
        self._caller = Caller(rings_at_once=paths is None)
        self._shelved: tuple[View, ...] = ()
        self._flushes, self._drawn, self._stale = 0, 0.0, False
        self._flashes = 0
        self._settled = paths is None
        self._faults = dress(self, self._manners)
        self._face(paths)

    def _face(self, paths: RunPaths | None) -> None:
        """The run that the panes are on."""
        self._alone()
        self.paths = paths if paths is not None else RunPaths(Path())
        self.view = View(paths.name if paths else "")
        self.source = Source(self.paths.db)
        given, self._given = self._given, None
        self._feed: Follows | None = (given or Feed(paths)) if paths is not None else None
        self._shown: dict[str, View] = {}
        self.away: Digest | None = None
        self._presence = Presence(paths, self.place.user, self.now) if paths is not None and self.place else None
        self._seat = Seat(paths, self.place.user, self._manners.read_only) if paths is not None and self.place else None

    def get_default_screen(self) -> Screen[Any]:
        return Main(id="_default")

    def compose(self) -> ComposeResult:
        yield self._header
        yield self._tabs
        yield self._panes
        yield Keys()

    def on_mount(self) -> None:
        self._show()
        # A person sees whose window it is before anything is read.
        self.call_after_refresh(self._begin)
        for fault in self._faults:
            self.notify(one_line(fault, 300), severity="warning", markup=False)

    def _begin(self) -> None:
        if self._begins_at == "home":
            self._settle()
        elif self._feed is not None:
            self._feed.start()
        if self._panes.current is None:
            self.action_pane(self._begins_at)
        self.set_interval(1 / FLUSHES_A_SECOND, self._tick)
        self._garbage.start()
        self.set_interval(STILL_S, self._garbage.sweep)

    def _settle(self) -> None:
        """What can wait until the run is on the screen."""
        if self._feed is not None:
            self._feed.seen()
        for reader in (self._shelf, self._seat):
            if reader is not None:
                reader.start()
        self._touch()
        self._garbage.spare()
        self.check_keys(self._manners.keys)

    def on_unmount(self) -> None:
        self._garbage.stop()
        if self._presence is not None:
            self._presence.leave()
        for reader in (self._feed, self._shelf, self._seat):
            if reader is not None:
                reader.stop()
        self._entitle("")

    async def open_run(self, name: str) -> None:
        """Put the panes on this run and show it."""
        if self.place is None or self._held_back():
            return
        if self._feed is None or self.paths.name != name:
            try:
                access = self.place.open(name)
            except StoreError as error:
                self.say(str(error), False)
                return
            await self.close_run(self.paths.name)
            self._face(access.paths)
            self._ask, self._resume = access.ask, access.resume
            for reader in (self._feed, self._seat):
                if reader is not None:
                    reader.start()
            if self._feed is not None:
                # Home has been on the screen for a while: the config need not wait for the run to be.
                self._feed.seen()
            self._touch()
        self.action_pane("gate" if (name in {run for run, _ in self._caller.waiting}) else "live")

    async def close_run(self, name: str) -> None:
        """Let go of this run, if it is the one that is open."""
        if self._feed is None or self.paths.name != name or self._held_back():
            return
        self.action_pane("home")
        feed, self._feed = self._feed, None
        # One that hangs on a file is waited for, and not by the window.
        await asyncio.gather(*(asyncio.to_thread(one.stop) for one in (feed, self._seat) if one is not None))
        if self._presence is not None:
            self._presence.leave()
        for pane in list(self._panes.children):
            if pane.id != "home":
                await pane.remove()
        self._forget_panes()
        self._face(None)
        self.focus_pane()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "pane":
            return parameters[0] in self.shown
        on_run = self.here != "home" and self._feed is not None
        if action == "start":
            return on_run and not (self.view.alive or self.view.starting or self.view.over)
        if action == "end_training":
            return on_run and self.view.in_training
        if action == "end_contract":
            return on_run and self.view.state.contract is not None and not self.view.over
        if action == "next_gate":
            return self._shelf is not None
        if action in ("lead", "follow_lead"):
            return on_run and self._seat is not None
        if action in ("dialogue", "why"):
            return on_run
        return action != "pause" or (on_run and not self.view.over)

    async def action_next_gate(self) -> None:
        """After the open run's, in home's order; from the last on to the first."""
        asking = [view.run for view in self._shelved if view.asks]
        if not asking:
            self.say("no gate waits", True)
            return
        at = asking.index(self.paths.name) + 1 if self.paths.name in asking else 0
        await self.open_run(asking[at % len(asking)])

    def _go(self, name: str, then: Callable[[Any], None] = lambda pane: None) -> None:
        self._part(name)
        super()._go(name, then)

    def action_dialogue(self) -> None:
        self.push_screen(Dialogue(self.source))

    def action_help(self) -> None:
        self.push_screen(Help(self.here, self.screen.active_bindings))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        yield from super().get_system_commands(screen)
        yield from commands(self, screen.active_bindings)

    @property
    def _covered(self) -> bool:
        """Whether a dialogue lies over the panes."""
        return not isinstance(self.screen, Main)

    def _tick(self) -> None:
        """Show what is new: the pane in sight when the run has changed, the clocks once a second."""
        self._flushes += 1
        if not self.is_running:
            return
        view = self._feed.view if self._feed is not None else self.view
        changed = view is not self.view
        if changed:
            if _keys_of(view) != _keys_of(self.view):
                self.call_later(self.refresh_bindings)
            if self.view.alive and not view.alive and not view.over:
                said = f"the engine is gone; go on with {self.keys['app.start']}, or: sia-tui resume {view.run}"
                self.notify(said, severity="warning", markup=False)
            self.view = view
        shelved = self._shelf.views if self._shelf is not None else ()
        changed = changed or shelved is not self._shelved
        self._shelved = shelved
        if (pane := self._accompany(self.here)) != self.here:
            self.action_pane(pane)
        self._stale = self._stale or changed
        due = time.monotonic() - self._drawn >= REDRAW_S
        # Whatever lies over the pane is drawn together with it: there, once a second will do.
        if (self._stale and due and not self._covered) or self._flushes % FLUSHES_A_SECOND == 0:
            self._stale, self._drawn = False, time.monotonic()
            self._call()
            self._show()
        if self._flashes and self._flushes % 5 == 0:
            self._flashes -= 1
            self._header.set_class(self._flashes % 2 == 1, "-flash")

    def _call(self) -> None:
        """Bell and flashes, once for every gate that opens while the person looks elsewhere; the terminal's title."""
        views = self._shelf.views if self._shelf is not None else ()
        if self._caller.hears(views, self.view, self.here):
            self._flashes = FLASHES
            self.bell()
        self._entitle(terminal_title(self.view.run, len(self._caller.waiting)))

    def _show(self) -> None:
        here, view = self.here, self.view
        waits = view.state.waiting is not None
        if here == "home":
            self._show_home()
        else:
            left, (*before, engine) = heading(view, self.now(), here, self.keys)
            self._head(left, [*before, *self._company(), engine], waits and here != "gate")
        self._tabs.show(here, "gate" if waits else None)
        there = self._pane(here)
        if here != "home" and there is not None and here in self._there and self._shown.get(here) is not view:
            self._shown[here] = view
            cast(Pane, there).show(view)
            if not self._settled and (view.state.run or view.error):
                self._settled = True
                self.call_after_refresh(self._settle)
        if self.focused is None:
            # What had the focus may just have gone out of sight; without it a pane's keys would be dead.
            self.call_after_refresh(self.focus_pane)

    def _head(self, left: list[Piece], right: list[Piece], loud: bool) -> None:
        only: list[Piece] = [(" READ ONLY ", "bold reverse")] if self._manners.read_only else []
        self._header.show([*only, *left], right, loud)

    def _show_home(self) -> None:
        shelf, waits = self._shelf, len(self._caller.waiting)
        views = shelf.views if shelf is not None else ()
        place = _near(self.place.workspace.root) if self.place else ""
        self._head(*home_heading(place, views, waits, self.keys), waits > 0)
        there = self._pane("home")
        if shelf is not None and there is not None and "home" in self._there:
            cast("HomePane", there).show_runs(views, shelf.complete)


def _near(path: Path) -> str:
    """From where we are, if it is below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _keys_of(view: View) -> tuple[bool, ...]:
    """What decides which keys there are."""
    return view.alive, view.starting, view.over, view.in_training, view.state.contract is not None
