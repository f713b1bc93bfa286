"""The part of the history that goes on from what is selected: back to it, off into a new run, or its patch once more."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from textual.containers import Vertical
from textual.widgets import Static

from sia_tui.core.own import NotProposed, revivable
from sia_tui.core.state import Step
from sia_tui.core.text import one_line
from sia_tui.store.reader import Answer
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import Workspace
from sia_tui.tui.keymap import shown_key
from sia_tui.tui.past import Entry, commands
from sia_tui.tui.pieces import WARN, line
from sia_tui.tui.screens.naming import Naming
from sia_tui.tui.screens.revive import Revive
from sia_tui.tui.view import View
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.styled import content
from sia_tui.tui.window import window
from sia_tui.tui.workplace import Workplace

_Does = Callable[[Workplace, str, int, str], Answer]
"""What is done with a run's generation, under a name."""


class GoingOn(Vertical):
    """What there is to select from is the history's."""

    _view: View | None
    _entries: list[Entry]
    _asking: Entry | None = None
    """Whether to go back to it."""

    @property
    def _list(self) -> Lines:
        return self.query_one("#list", Lines)

    @property
    def _entry(self) -> Entry | None:
        return self._entries[self._list.cursor] if self._list.cursor < len(self._entries) else None

    def _ask(self, entry: Entry | None) -> None:
        """Ask whether to go back to an entry; None: no longer."""
        self._asking = entry
        self.set_class(entry is not None, "-confirming")
        if entry is not None:
            does, leaves = shown_key(self, "history.confirm"), shown_key(self, "history.cancel")
            asked = f"go back to {entry.name}? {does} does it, {leaves} leaves it; an open gate is closed by it"
            self.query_one("#confirm", Static).update(content(line((f" {asked} ", f"bold reverse {WARN}"))))

    def action_confirm(self) -> None:
        entry = self._asking
        self._ask(None)
        if entry is not None and entry.generation is not None:
            window(self).ask_later("rollback", {"generation": entry.generation.index})

    def action_commands(self) -> None:
        entry = self._entry
        typed = commands(self._view.run, entry) if entry and self._view else []
        if not typed:
            self.notify("only a generation can be gone back to or branched from", markup=False)
            return
        self.app.copy_to_clipboard("\n".join(typed))
        self.notify("\n".join(typed), title="copied", markup=False)

    def action_go_back(self) -> None:
        entry = self._entry
        if entry is None or entry.generation is None or self._view is None:
            self.notify("only a generation can be gone back to", markup=False)
        elif entry.generation.index == self._view.state.incumbent:
            self.notify(f"{entry.name} is the incumbent already", markup=False)
        else:
            self._ask(entry)

    def action_branch(self) -> None:
        said = "A new run that starts from {name} of {run}, with an engine of its own. Its name:"
        self._under_a_name(said, "", _branched, "only a generation can be branched from", 1)

    def action_export(self) -> None:
        said = "The patches that led to {name} of {run}, as mails that git am takes. A new folder for them:"
        if window(self).may_steer(""):
            self._under_a_name(said, "-patches", _exported, "only a generation has patches that led to it", 2)

    def _under_a_name(self, said: str, ending: str, does: _Does, none: str, typed: int) -> None:
        """Ask for a name, and do it under that; where there is no workspace, say which of the commands does."""
        entry, view, place = self._entry, self._view, window(self).place
        if entry is None or entry.generation is None or view is None:
            self.notify(none, markup=False)
        elif place is None:
            self.notify(commands(view.run, entry)[typed], title="type this", markup=False)
        else:
            work = partial(self._named, partial(does, place, view.run, entry.generation.index))
            asked = said.format(name=entry.name, run=view.run)
            self.app.push_screen(Naming(asked, f"{view.run}-{entry.name}{ending}"), work)

    def _named(self, does: Callable[[str], Answer], name: str | None) -> None:
        if name is not None:
            self.run_worker(partial(self._do, does, name), thread=True, group="named", exit_on_error=False)

    def _do(self, does: Callable[[str], Answer], name: str) -> None:
        """In a thread."""
        try:
            answer = does(name)
        except (StoreError, OSError) as error:
            answer = Answer(False, str(error))
        self.app.call_from_thread(window(self).say, answer.message, answer.ok)

    def action_revive(self) -> None:
        entry, view = self._entry, self._view
        if entry is None or view is None:
            return
        try:
            step = revivable(view.state, entry.name)
        except NotProposed as fault:
            self.notify(one_line(str(fault), 200), markup=False)
            return
        self.app.push_screen(Revive(view.state, step), partial(self._revive, step))

    def _revive(self, step: Step, patch: str | None) -> None:
        if patch:
            window(self).ask_later("propose", {"patch": patch, "revives": step.id})

    @property
    def _workspace(self) -> Workspace:
        return Workspace(window(self).paths.root.parent.parent)


def _branched(place: Workplace, run: str, index: int, name: str) -> Answer:
    answer = place.branch(run, index, name)
    return Answer(True, f"{answer.message} has begun; home has it") if answer.ok else answer


def _exported(place: Workplace, run: str, index: int, name: str) -> Answer:
    return place.export(run, index, name)
