"""The part of the history that goes on from what is selected: back to it, off into a new run, or its patch once more."""

from __future__ import annotations

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
        entry, view, place = self._entry, self._view, window(self).place
        if entry is None or entry.generation is None or view is None:
            self.notify("only a generation can be branched from", markup=False)
        elif place is None:
            self.notify("\n".join(commands(view.run, entry)[1:2]), title="type this", markup=False)
        else:
            said = f"A new run that starts from {entry.name} of {view.run}, with an engine of its own. Its name:"
            work = partial(self._branch, place, view.run, entry.generation.index)
            self.app.push_screen(Naming(said, f"{view.run}-{entry.name}"), work)

    def _branch(self, place: Workplace, run: str, index: int, name: str | None) -> None:
        if name is not None:
            work = partial(self._branched, place, run, index, name)
            self.run_worker(work, thread=True, group="branch", exit_on_error=False)

    def _branched(self, place: Workplace, run: str, index: int, name: str) -> None:
        """In a thread."""
        try:
            answer = place.branch(run, index, name)
        except (StoreError, OSError) as error:
            answer = Answer(False, str(error))
        said = f"{answer.message} has begun; home has it" if answer.ok else answer.message
        self.app.call_from_thread(window(self).say, said, answer.ok)

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
