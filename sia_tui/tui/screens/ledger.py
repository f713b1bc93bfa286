"""The ledger of decisions, laid over the history; Enter goes to the step."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from sia_tui.core.ledger import calibration, ledger
from sia_tui.core.refusals import refusals
from sia_tui.core.state import State
from sia_tui.tui.decided import calibrated, detail, heading, refused, row
from sia_tui.tui.screens.over import Over
from sia_tui.tui.widgets.facts import Facts
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.styled import content
from sia_tui.tui.widgets.titled import titled
from sia_tui.tui.window import window


class Ledger(Over[str | None]):
    """Ends with the name of the step to go to."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,d,q", "dismiss(None)", "back")]
    enters = "go there"

    DEFAULT_CSS = """
    Ledger {
        & #heading { height: 1; padding: 0 0 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
        & Facts { padding: 0; }
    }
    """

    def __init__(self, state: State) -> None:
        super().__init__()
        self._made = ledger(state)
        self._records = [*refused(refusals(state), state.task), *calibrated(calibration(state))]

    def compose(self) -> ComposeResult:
        with titled(Vertical(classes="sheet"), "DECISIONS · promised against measured"):
            yield Static(id="heading", markup=False)
            yield Lines(id="ledger", empty="nothing was proposed yet")
            yield Facts(id="detail")
            yield Facts(id="records")

    def on_mount(self) -> None:
        lines = self.query_one("#ledger", Lines)
        lines.show_rows(len(self._made), lambda index, width: content(row(self._made[index], width)))
        lines.go(len(self._made) - 1)
        lines.focus()
        self.query_one("#records", Facts).tell(self._records)
        self._moved()

    def on_resize(self, event: events.Resize) -> None:
        # What frame, padding, scrollbar and cursor take up.
        self.query_one("#heading", Static).update(content(heading(max(20, event.size.width - 6))))

    @on(Lines.Moved)
    def _moved(self) -> None:
        at = self.query_one("#ledger", Lines).cursor
        if at < len(self._made):
            self.query_one("#detail", Facts).tell(detail(self._made[at], window(self).now()))

    @on(Lines.Chosen)
    def _chosen(self, event: Lines.Chosen) -> None:
        made = self._made[event.row]
        self.dismiss(made.step if made.generation is None else f"g{made.generation}")
