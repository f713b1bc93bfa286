"""Which trainings are laid over the curves: those of this run, and of the other runs of the workspace."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from sia_tui.core.text import one_line
from sia_tui.store.reader import RunReader
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import Workspace
from sia_tui.tui.screens.over import Over
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.titled import titled

MOST = 4
"""Trainings that are laid over another at once."""
RUNS = 50
"""Newest runs that are looked into."""


class Laid(NamedTuple):
    run: str
    training: str


class Overlays(Over[tuple[Laid, ...] | None]):
    """Ends with the trainings that were chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "take", "choose"),
        Binding("enter", "done", "show them", priority=True),
        Binding("escape,o,q", "dismiss(None)", "cancel"),
    ]

    def __init__(self, workspace: Workspace, shown: Laid, chosen: Collection[Laid]) -> None:
        """`shown`: the training that the curves are of."""
        super().__init__()
        self._workspace, self._shown, self._chosen = workspace, shown, list(chosen)
        self._there: list[tuple[Laid, int]] = []

    def compose(self) -> ComposeResult:
        yield titled(
            Lines(id="trainings", empty="reading …", classes="box -wide"),
            "LAY OVER",
        )

    def on_mount(self) -> None:
        self.run_worker(self._read, thread=True, exit_on_error=False)

    def _read(self) -> None:
        """In a thread. A run that cannot be read has nothing to lay over."""
        found = []
        names = self._workspace.run_names()[:RUNS]
        for run in sorted(names, key=lambda run: run != self._shown.run):
            try:
                with closing(RunReader(self._workspace.run(run).db)) as reader:
                    found += [(Laid(run, one), last) for one, last in reader.trainings()]
            except StoreError:
                continue
        self.app.call_from_thread(self._show, [pair for pair in found if pair[0] != self._shown])

    def _show(self, found: list[tuple[Laid, int]]) -> None:
        self._there = found
        lines = self.query_one("#trainings", Lines)
        lines.empty = "no other training in this workspace"
        lines.show_rows(len(found), self._row)
        lines.focus()

    def _row(self, index: int, width: int) -> Content:
        laid, last = self._there[index]
        box = "[x]" if laid in self._chosen else "[ ]"
        return Content.assemble(
            (f"{box} ", "bold"),
            (one_line(laid.run, 40), "$text-accent"),
            f"  {one_line(laid.training, 20)}  step {last}",
        )

    @on(Lines.Chosen)
    def action_done(self) -> None:
        self.dismiss(tuple(self._chosen))

    def action_take(self) -> None:
        lines = self.query_one("#trainings", Lines)
        if lines.cursor >= len(self._there):
            return
        laid = self._there[lines.cursor][0]
        if laid in self._chosen:
            self._chosen.remove(laid)
        elif len(self._chosen) < MOST:
            self._chosen.append(laid)
        else:
            self.notify(f"at most {MOST} at once", markup=False)
        lines.show_rows(len(self._there), self._row)
