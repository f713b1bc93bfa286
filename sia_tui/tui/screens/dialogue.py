"""What agents' models were sent and said, laid over the window."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from sia_tui.core.text import one_line
from sia_tui.store.reader import AgentCall
from sia_tui.store.version import StoreError
from sia_tui.tui.screens.over import Over
from sia_tui.tui.spoken import spoken
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.styled import content
from sia_tui.tui.widgets.titled import titled
from sia_tui.tui.window import Source, window


class Dialogue(Over[None]):
    """Opens at the newest reply."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,m,q", "dismiss(None)", "back")]

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source
        self._calls: list[AgentCall] = []

    def compose(self) -> ComposeResult:
        yield titled(
            Lines(id="dialogue", empty="reading …", classes="sheet"),
            "AGENTS · what their models were sent and said",
        )

    def on_mount(self) -> None:
        self.run_worker(self._read, thread=True, exit_on_error=False)

    def _read(self) -> None:
        """In a thread."""
        try:
            reader = self._source.reader()
            try:
                found = reader.agent_calls()
            finally:
                reader.close()
        except StoreError as error:
            self.app.call_from_thread(self._show, [], one_line(str(error), 200))
            return
        self.app.call_from_thread(self._show, found, "no model is asked in this run: its agents are written rules")

    def _show(self, calls: list[AgentCall], empty: str) -> None:
        self._calls = calls
        lines = self.query_one(Lines)
        lines.empty = empty
        self._lay()
        lines.action_bottom()

    def _lay(self) -> None:
        lines = self.query_one(Lines)
        lines.rewrap([content(row) for row in spoken(self._calls, window(self).now(), lines.size.width - 2)])

    def on_resize(self, event: events.Resize) -> None:
        if self._calls:
            self._lay()
