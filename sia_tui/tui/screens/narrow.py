"""Which rewards and which kind of failure the list of rollouts shows, laid over it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, Label, Static

from sia_tui.core.text import one_line
from sia_tui.store.browse import Wanted
from sia_tui.store.version import StoreError
from sia_tui.tui.pieces import thousands
from sia_tui.tui.rolled import bounds
from sia_tui.tui.screens.over import Over
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.window import Source

ANY = "any, or none"


class Narrow(Over[Wanted | None]):
    """Ends with what is wanted then. Failures are counted within what the list shows but for its failure."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "leave it")]
    enters = "show these"

    DEFAULT_CSS = """
    Narrow {
        & Horizontal { height: 1; }
        & Label { width: 20; color: $text-muted; }
        & Input { width: 12; }
        & #kinds { height: auto; max-height: 12; min-height: 2; margin-top: 1; }
        & #wrong { color: $text-error; text-style: bold; }
    }
    """

    def __init__(self, source: Source, wanted: Wanted) -> None:
        super().__init__()
        self._source, self._wanted = source, wanted
        self._kinds: list[tuple[str | None, str]] = [(None, "")]

    def compose(self) -> ComposeResult:
        with Vertical(classes="box") as box:
            box.border_title = Content("SCORE AND FAILURE")
            yield Lines(id="kinds")
            for name, label, value in (
                ("least", "reward at least", self._wanted.least),
                ("most", "reward at most", self._wanted.most),
            ):
                with Horizontal():
                    yield Label(label)
                    shown = "" if value is None else f"{value:.12g}"
                    yield Input(shown, id=name, placeholder="any", compact=True, select_on_focus=False)
            yield Static(id="wrong", markup=False)

    def on_mount(self) -> None:
        self._show([])
        self.run_worker(self._read, thread=True, exit_on_error=False)

    def _read(self) -> None:
        """In a thread."""
        try:
            with closing(self._source.browser()) as browser:
                found = browser.kinds(self._wanted)
        except StoreError as error:
            self.app.call_from_thread(self._say, str(error))
            return
        self.app.call_from_thread(self._show, found)

    def _show(self, found: list[tuple[str, int]]) -> None:
        """The failure that is set is there to be chosen, also before the others are known and where nothing fails so."""
        chosen, lines = self._chosen if len(self._kinds) > 1 else self._wanted.failure, self.query_one("#kinds", Lines)
        counted = {kind: thousands(count) for kind, count in found}
        if self._wanted.failure is not None:
            counted.setdefault(self._wanted.failure, "–")
        self._kinds = [(None, ""), *counted.items()]
        lines.show_rows(len(self._kinds), self._row)
        lines.styles.height = min(12, len(self._kinds))
        lines.go(next((row for row, (kind, _) in enumerate(self._kinds) if kind == chosen), 0))

    @property
    def _chosen(self) -> str | None:
        return self._kinds[self.query_one("#kinds", Lines).cursor][0]

    def _row(self, index: int, width: int) -> Content:
        kind, count = self._kinds[index]
        return Content.assemble((f"{count:>9}  ", "$text-muted"), ANY if kind is None else one_line(kind, 60))

    @on(Lines.Chosen)
    @on(Input.Submitted)
    def _done(self, event: Lines.Chosen | Input.Submitted) -> None:
        event.stop()
        try:
            least, most = bounds(*(self.query_one(f"#{name}", Input).value for name in ("least", "most")))
        except ValueError as fault:
            self._say(str(fault))
            return
        self.dismiss(replace(self._wanted, failure=self._chosen, least=least, most=most))

    def _say(self, told: str) -> None:
        self.query_one("#wrong", Static).update(one_line(told, 200))
