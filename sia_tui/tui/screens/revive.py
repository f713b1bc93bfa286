"""An earlier patch made to fit what serves now: what would be proposed, what did not fit, and then a key."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from sia_tui.core.reviving import Revived, revive
from sia_tui.core.state import State, Step
from sia_tui.core.text import one_line
from sia_tui.tui.diffing import parse
from sia_tui.tui.pieces import BAD, DIM, GOOD, STRONG, WARN, Line, line
from sia_tui.tui.screens.over import Over
from sia_tui.tui.widgets.diff import DiffView
from sia_tui.tui.widgets.styled import paragraph
from sia_tui.tui.widgets.titled import titled
from sia_tui.tui.window import window

MOST = 8
"""Hunks that are listed by name."""
MARKS = {"fits": ("✓", GOOD), "there already": ("=", DIM), "does not fit": ("✗", BAD)}


class Revive(Over[str | None]):
    """Ends with the patch that a person wants proposed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "propose", "propose it", tooltip="it is checked, tried and asked about like any proposal"),
        Binding("escape,n,q", "dismiss(None)", "leave it"),
    ]

    DEFAULT_CSS = """
    Revive {
        & #fits { height: auto; max-height: 12; text-wrap: nowrap; text-overflow: ellipsis; }
        & DiffView { border-top: solid $panel-lighten-2; }
    }
    """

    def __init__(self, state: State, step: Step) -> None:
        super().__init__()
        self._state, self._step = state, step
        self._patch = ""

    def compose(self) -> ComposeResult:
        serves = self._state.incumbent
        with titled(Vertical(classes="sheet"), f"REVIVE {self._step.id} on g{serves}"):
            yield Static("fitting it …", id="fits", markup=False)
            yield DiffView(id="revived", empty="nothing would change")

    def on_mount(self) -> None:
        self.run_worker(self._read, thread=True, exit_on_error=False)

    def _read(self) -> None:
        """In a thread."""
        from sia_tui.harness.repository import RepositoryError
        from sia_tui.repositories import repository_of

        task, best = self._state.task, self._state.best
        assert best is not None
        try:
            repository = repository_of(window(self).paths)
            before, now = repository.files(self._step.proposal.base_commit, task), repository.files(best.commit, task)
        except RepositoryError as error:
            self.app.call_from_thread(self._show, None, one_line(str(error), 300))
            return
        found = revive(self._step.proposal.patch or "", before, now)
        self.app.call_from_thread(self._show, found, "")

    def _show(self, found: Revived | None, fault: str) -> None:
        lines = [line((f"cannot be fitted: {fault}", WARN))] if found is None else told(self._step, found)
        self._patch = found.patch if found else ""
        self.query_one("#fits", Static).update(paragraph(lines))
        view = self.query_one(DiffView)
        view.show(parse(self._patch))
        view.border_title = Content("WHAT WOULD BE PROPOSED")
        view.focus()
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "propose" or bool(self._patch)

    def action_propose(self) -> None:
        self.dismiss(self._patch)


def told(step: Step, found: Revived) -> list[Line]:
    lines = [line((step.proposal.title, STRONG)), line((found.told, "" if found.patch else WARN))]
    for fit in sorted(found.fits, key=lambda fit: fit.fate != "does not fit")[:MOST]:
        mark, tone = MARKS[fit.fate]
        lines.append(line((f" {mark} ", tone), fit.hunk.told, (f"  {fit.fate} {fit.why}", DIM)))
    return lines if len(found.fits) <= MOST else [*lines, line((f"   and {len(found.fits) - MOST} more", DIM))]
