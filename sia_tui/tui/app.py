"""The window on a run. It reads through a feed and asks through the commands; closing it disturbs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import PurePath
from typing import Any, ClassVar, Protocol, cast

from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from sia_tui.core.text import one_line
from sia_tui.store.reader import Answer
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths
from sia_tui.tui.feed import Feed
from sia_tui.tui.screens.curves import CurvesPane
from sia_tui.tui.screens.dialogue import Dialogue
from sia_tui.tui.screens.gate import GatePane
from sia_tui.tui.screens.help import Help
from sia_tui.tui.screens.history import HistoryPane
from sia_tui.tui.screens.live import LivePane
from sia_tui.tui.screens.rollouts import RolloutsPane
from sia_tui.tui.theme import THEMES
from sia_tui.tui.view import View
from sia_tui.tui.widgets.header import Header
from sia_tui.tui.widgets.keys import Keys
from sia_tui.tui.widgets.tabs import Tabs
from sia_tui.tui.window import Source

FLUSHES_A_SECOND = 15
FLASHES = 6

Ask = Callable[[str, Mapping[str, Any]], Answer]
"""Sends a command and waits for its answer."""


class Follows(Protocol):
    """What the window is fed by: a run as it goes, or a recording."""

    view: View

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Pane(Protocol):
    """What every pane of the window is, beside a widget."""

    def show(self, view: View) -> None:
        """Show this moment of the run. Called only while the pane is in sight, and when it comes into sight."""


PANES: dict[str, type[Widget]] = {
    "live": LivePane,
    "gate": GatePane,
    "rollouts": RolloutsPane,
    "curves": CurvesPane,
    "history": HistoryPane,
}


class SiaApp(App[None]):
    """Five panes over one run."""

    TITLE = "sia-tui"
    CSS_PATH: ClassVar[list[str | PurePath]] = ["app.tcss", "screens/live.tcss", "screens/curves.tcss"]

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"pane('{name}')", name, show=False, tooltip=f"show {name}")
            for number, name in enumerate(PANES, 1)
        ),
        Binding(
            "p", "pause", "pause/resume", tooltip="pause the run, or resume it; episodes under way are made again later"
        ),
        Binding(
            "S", "end_training", "end training", tooltip="end the training now; its best adapter so far is measured"
        ),
        Binding("R", "start", "start engine", tooltip="start an engine when none is alive"),
        Binding("x", "end_contract", "end contract", tooltip="end the standing yes: gates ask again"),
        Binding("m", "dialogue", "models", show=False, tooltip="what agents' models were sent and said"),
        Binding("question_mark,f1", "help", "help", key_display="?", tooltip="this list"),
        Binding("q,ctrl+q", "quit", "leave", key_display="q", tooltip="leave; the engine goes on"),
    ]

    def __init__(
        self,
        paths: RunPaths,
        ask: Ask,
        resume: Callable[[], Answer],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        feed: Follows | None = None,
    ) -> None:
        """`ask` may block and is called in a thread; so is `resume`, which starts an engine again."""
        super().__init__()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
        self.VERTICAL_BREAKPOINTS = [(0, "-low"), (32, "-tall")]
        self.paths = paths
        self.source = Source(paths.db)
        self.now = now
        self.view = View(paths.name)
        self._ask, self._resume = ask, resume
        self._feed: Follows = feed or Feed(paths)
        self._header, self._tabs = Header(), Tabs(tuple(PANES))
        self._panes = ContentSwitcher(*(pane(id=name) for name, pane in PANES.items()), initial="live")
        self._shown: dict[str, View] = {}
        self._flushes = 0
        self._flashes = 0
        self._leaving = False
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = THEMES[0].name

    def compose(self) -> ComposeResult:
        yield self._header
        yield self._tabs
        yield self._panes
        yield Keys()

    def on_mount(self) -> None:
        self._feed.start()
        self._focus_pane()
        self.set_interval(1 / FLUSHES_A_SECOND, self._tick)

    async def action_quit(self) -> None:
        """Leave; a verdict that is still held is asked about first."""
        held = self.query_one(GatePane).verdicts.held
        if held is not None and not self._leaving:
            self._leaving = True
            said = f"the {held.kind} of {held.gate} is not sent yet: z takes it back, q again sends it now and leaves"
            self.notify(said, severity="warning", markup=False, timeout=10)
            return
        self.exit()

    def on_unmount(self) -> None:
        self._feed.stop()

    @property
    def here(self) -> str:
        """The name of the pane in sight."""
        return self._panes.current or "live"

    def ask_later(
        self, kind: str, body: Mapping[str, Any] | None = None, then: Callable[[Answer], None] | None = None
    ) -> None:
        """Send a command without waiting; its answer is notified, and handed to `then` on the event loop."""
        self.run_worker(partial(self._asked, kind, body or {}, then), thread=True, exit_on_error=False, group="ask")

    def ask_now(self, kind: str, body: Mapping[str, Any]) -> Answer:
        """Send a command and wait for its answer; for a thread, never for the event loop."""
        try:
            return self._ask(kind, body)
        except StoreError as error:
            return Answer(False, str(error))

    def action_pane(self, name: str) -> None:
        self._panes.current = name
        self._show()
        self._focus_pane()

    def on_tabs_picked(self, event: Tabs.Picked) -> None:
        self.action_pane(event.name)

    def action_pause(self) -> None:
        if self.view.state.status == "paused" and not self.view.alive:
            self.action_start()
        elif not self.view.alive:
            self.notify("no engine is running: R starts it", severity="warning")
        else:
            self.ask_later("resume" if self.view.state.status == "paused" else "pause")

    def action_end_training(self) -> None:
        self.ask_later("stop-training")

    def action_end_contract(self) -> None:
        self.ask_later("end-contract")

    def action_start(self) -> None:
        self.notify("starting an engine")
        self.run_worker(self._start, thread=True, exit_on_error=False, group="start", exclusive=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "start":
            return not (self.view.alive or self.view.over)
        if action == "end_training":
            return self.view.in_training
        if action == "end_contract":
            return self.view.state.contract is not None
        return action != "pause" or not self.view.over

    def action_dialogue(self) -> None:
        self.push_screen(Dialogue(self.source))

    def action_help(self) -> None:
        self.push_screen(Help(self.here, self.screen.active_bindings))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        yield from super().get_system_commands(screen)
        for name in PANES:
            yield SystemCommand(f"Show {name}", f"go to the {name} pane", partial(self.action_pane, name))
        yield SystemCommand("Pause or resume", "after the episodes under way", self.action_pause)
        yield SystemCommand("Start an engine", "when none is alive", self.action_start)

    def _asked(self, kind: str, body: Mapping[str, Any], then: Callable[[Answer], None] | None) -> None:
        self.call_from_thread(self._answered, self.ask_now(kind, body), then)

    def _answered(self, answer: Answer, then: Callable[[Answer], None] | None) -> None:
        self._say(answer.message, answer.ok)
        if then is not None:
            then(answer)

    def _start(self) -> None:
        try:
            answer = self._resume()
        except (StoreError, OSError) as error:
            answer = Answer(False, str(error))
        self.call_from_thread(self._answered, answer, None)

    def _say(self, message: str, ok: bool) -> None:
        self.notify(one_line(message, 400), severity="information" if ok else "error", markup=False)

    def _tick(self) -> None:
        """Show what is new: the pane in sight when the run has changed, the clocks once a second."""
        self._flushes += 1
        if not self.is_running:
            return
        view = self._feed.view
        changed = view is not self.view
        if changed:
            opened = view.state.waiting and view.state.waiting != self.view.state.waiting
            if _keys_of(view) != _keys_of(self.view):
                self.call_later(self.refresh_bindings)
            known, self.view = bool(self.view.state.run), view
            if opened and known and self.here != "gate":
                self._flashes = FLASHES
                self.bell()
        if changed or self._flushes % FLUSHES_A_SECOND == 0:
            self._show()
        if self._flashes and self._flushes % 5 == 0:
            self._flashes -= 1
            self._header.set_class(self._flashes % 2 == 1, "-flash")

    def _show(self) -> None:
        here, view = self.here, self.view
        self._header.show(view, self.now(), here)
        self._tabs.show(here, "gate" if view.state.waiting else None)
        if self._shown.get(here) is not view:
            self._shown[here] = view
            cast(Pane, self._panes.get_child_by_id(here)).show(view)
        if self.focused is None:
            # What had the focus may just have gone out of sight; without it a pane's keys would be dead.
            self.call_after_refresh(self._focus_pane)

    def _focus_pane(self) -> None:
        pane = self._panes.get_child_by_id(self.here)
        first = next((child for child in self.screen.focus_chain if pane in child.ancestors_with_self), None)
        if first is not None and (self.focused is None or pane not in self.focused.ancestors_with_self):
            first.focus()


def _keys_of(view: View) -> tuple[bool, ...]:
    """What decides which keys there are."""
    return view.alive, view.over, view.in_training, view.state.contract is not None
