"""The window's panes by name, and what feeds them. Each is imported and made when it is first looked at: one that nobody
looks at costs nothing."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from importlib import import_module
from typing import Any, Protocol, cast

from textual import events
from textual.app import App
from textual.binding import Keymap
from textual.message_pump import MessagePump
from textual.widget import AwaitMount, Widget
from textual.widgets import ContentSwitcher

from sia_tui.core.text import one_line
from sia_tui.person import user_file
from sia_tui.store.browse import Wanted
from sia_tui.tui.keymap import faults, name_bindings, shown_keys
from sia_tui.tui.view import View
from sia_tui.tui.widgets.tabs import Tabs

PANES = {
    "live": "LivePane",
    "gate": "GatePane",
    "rollouts": "RolloutsPane",
    "curves": "CurvesPane",
    "history": "HistoryPane",
}
"""On the run that is open; each in the module of its name."""
TABS = ("home", *PANES)
AT_ONCE = ("ctrl+c", "ctrl+q")
HEARD_S = 1.0


class Follows(Protocol):
    """What the window is fed by: a run as it goes, or a recording."""

    view: View

    def start(self) -> None: ...

    def seen(self) -> None:
        """The run is on the screen: what takes longer may follow."""

    def stop(self) -> None: ...


class Pane(Protocol):
    """What every pane on a run is, beside a widget."""

    def show(self, view: View) -> None:
        """Show this moment of the run. Called only while the pane is in sight, and when it comes into sight."""


def _made(name: str) -> Widget:
    cls = getattr(import_module(f"sia_tui.tui.screens.{name}"), PANES.get(name, "HomePane"))
    name_bindings()
    return cast(Widget, cls(id=name))


class Panes(App[None]):
    """The part of the window that brings its panes into sight, one at a time."""

    _panes: ContentSwitcher
    _begins_at: str
    _feed: Follows | None
    _there: set[str]
    """Panes that have their place on the screen."""
    _coming: dict[str, list[Callable[[Any], None]]]
    """And what is to be done with each once it is there."""
    _typed: list[events.Key]
    """At panes that are coming, and since."""
    _hearing: events.Key | None = None
    """Of these the one that is on its way through the window."""

    def _show(self) -> None:
        raise NotImplementedError

    @cached_property
    def keys(self) -> Mapping[str, str]:
        """What texts name."""
        return shown_keys(self)

    def set_keymap(self, keymap: Keymap) -> None:
        super().set_keymap(keymap)
        self.__dict__.pop("keys", None)

    def check_keys(self, keymap: Mapping[str, str]) -> None:
        """Say what cannot be of a person's own keys. Whatever binds any is imported for it: not before something is on the
        screen."""
        if keymap:
            self.run_worker(partial(self._check_keys, keymap), thread=True, exit_on_error=False)

    def _check_keys(self, keymap: Mapping[str, str]) -> None:
        """In a thread."""
        if found := faults(keymap):
            more = f" ({len(found) - 1} more: sia-tui config show)" if len(found) > 1 else ""
            said = f"{user_file()}: {one_line(found[0], 200)}{more}"
            self.call_from_thread(self.notify, one_line(said, 400), severity="warning", markup=False, timeout=15)

    @property
    def here(self) -> str:
        """The name of the pane in sight."""
        return self._panes.current or self._begins_at

    def action_pane(self, name: str) -> None:
        self._go(name)

    def read_rollout(self, episode: str, back: str) -> None:
        self._go("rollouts", lambda rollouts: rollouts.read(episode, back))

    def list_rollouts(self, wanted: Wanted) -> None:
        self._go("rollouts", lambda rollouts: rollouts.narrow(wanted))

    def _go(self, name: str, then: Callable[[Any], None] = lambda pane: None) -> None:
        """Bring a pane into sight; `then` is called with it as soon as it is there."""
        if name != "home" and self._feed is None:
            self.notify("no run is open: choose one of the list", markup=False)
            return
        found = self._pane(name)
        if found is None:
            # Textual would hand it on to whatever of the new pane happens to be there first.
            self.screen.set_focus(None)
            self._coming[name] = []
            made = _made(name)
            self.call_later(self._come, self._panes.mount(made), made)
        self._panes.current = name
        self.screen.minimize()
        self._show()
        self.focus_pane()
        self.refresh_bindings()
        if found is not None and name in self._there:
            then(found)
        elif name in self._coming:
            self._coming[name].append(then)

    async def _come(self, mounted: AwaitMount, made: Widget) -> None:
        await mounted
        self.call_after_refresh(self._arrive, made)

    async def _arrive(self, made: Widget) -> None:
        """A pane that is looked at for the first time is filled once it has its place, unless its run was closed."""
        name = made.id or ""
        if self._pane(name) is not made:
            return
        self._there.add(name)
        wanted = self._coming.pop(name, [])
        self.fill_pane()
        for then in wanted:
            then(made)
        if self._hearing is None:
            await self._type()

    async def on_event(self, event: events.Event) -> None:
        """What is typed at a pane that is still coming waits for it, and behind what was typed before; what leaves the window
        waits for nothing."""
        waits = self._coming or self._typed or self._hearing
        if not isinstance(event, events.Key) or event.key in AT_ONCE or event is self._hearing or not waits:
            await super().on_event(event)
            return
        # Another event: this one may have been where the focus was, and would not go where it is then; some that were come
        # back from there behind later ones.
        key = event.copy()
        key.time = event.time
        insort(self._typed, key, key=lambda typed: typed.time)
        if self._hearing is None:
            await self._type()

    async def _type(self) -> None:
        """The first of what waits; the next once it was heard, which may bring what that is for."""
        self._hearing = None
        if self._typed and not self._coming and self.is_running:
            key = self._hearing = self._typed.pop(0)
            self.set_timer(HEARD_S, partial(self._heard, key))
            await super().on_event(key)
            self._behind(self.focused or self.screen, key)

    def _behind(self, at: MessagePump | None, key: events.Key) -> None:
        """A key goes up from what has the focus; this goes the same way, behind it."""
        if at is None or at is self:
            # What it did, such as moving the focus, is asked of the window in turn, and has come about then.
            self.call_later(self.call_after_refresh, self._heard, key)
        else:
            at.call_later(self._behind, at._parent, key)

    async def _heard(self, key: events.Key) -> None:
        """Said from behind it; and late, in case that went with what was to hear it, such as a dialogue that it closed."""
        if key is self._hearing:
            await self._type()

    def _forget_panes(self) -> None:
        """Those that are coming are not to come, and what was typed at them is not to be heard."""
        self._there &= {"home"}
        self._coming.clear()
        self._typed.clear()
        self._hearing = None

    def _pane(self, name: str) -> Widget | None:
        """The pane of this name, if anybody has looked at it yet."""
        return next((pane for pane in self._panes.children if pane.id == name), None)

    def on_tabs_picked(self, event: Tabs.Picked) -> None:
        self.action_pane(event.name)

    def action_enlarge(self) -> None:
        """The focused part alone, and back."""
        if self.screen.maximized is not None:
            self.screen.minimize()
        elif self.focused is not None:
            self.screen.maximize(self.focused, container=False)

    def fill_pane(self) -> None:
        """Show what is new in the pane that has come into sight, or from under a dialogue."""
        self._show()
        self.focus_pane()

    def focus_pane(self) -> None:
        """Give the pane in sight the focus, unless a part of it has it."""
        if self.here not in self._there:
            # Not all of its parts may be there: its first part is to have it.
            return
        there, chain = self._pane(self.here), self.screen.focus_chain
        if there is None or (self.focused is not None and there in self.focused.ancestors_with_self):
            return
        # As they are written: the chain is in the order of their places, and one that has none yet would come first.
        first = next((child for child in there.walk_children(Widget, with_self=True) if child in chain), None)
        if first is not None:
            self.screen.set_focus(first)
