"""Rollouts of a training to read, laid over the window; Enter opens the whole trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from sia_tui.core.text import one_line
from sia_tui.store.samples import Sample, chosen, read
from sia_tui.store.version import StoreError
from sia_tui.tui.pieces import Opens
from sia_tui.tui.sampled import sampled
from sia_tui.tui.screens.over import Over
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.styled import content
from sia_tui.tui.widgets.titled import titled
from sia_tui.tui.window import Source


class Samples(Over[Opens | None]):
    """Ends with the rollout that is to be read, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,t,q", "dismiss(None)", "back")]
    enters = "read"

    def __init__(self, source: Source, training: str) -> None:
        super().__init__()
        self._source, self._training = source, training
        self._found: Sequence[Sample] = ()

    def compose(self) -> ComposeResult:
        yield titled(
            Lines(id="samples", empty="reading …", classes="sheet"),
            f"SAMPLES of {self._training}",
        )

    def on_mount(self) -> None:
        self.run_worker(self._read, thread=True, exit_on_error=False)

    def _read(self) -> None:
        """In a thread."""
        try:
            reader = self._source.reader()
            try:
                found = read(reader, chosen(reader.sampled(self._training)))
            finally:
                reader.close()
        except StoreError as error:
            self.app.call_from_thread(self._say, one_line(str(error), 200))
            return
        self.app.call_from_thread(self._show, found)

    def _show(self, found: Sequence[Sample]) -> None:
        self._found = found
        lines = self.query_one(Lines)
        lines.empty = "no rollouts yet"
        lines.show_rows(len(sampled(found, 80)), lambda index, width: content(sampled(found, width)[index]))

    def _say(self, told: str) -> None:
        lines = self.query_one(Lines)
        lines.empty = told
        lines.refresh()

    @on(Lines.Chosen)
    def _chosen(self, event: Lines.Chosen) -> None:
        opens = sampled(self._found, 80)[event.row].opens
        if opens is not None:
            self.dismiss(opens)
