"""Values to be changed, laid over the window: a line each, and below them what they come to, as they are typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Label, Static

from sia_tui.core.text import one_line
from sia_tui.tui.plan_form import Field
from sia_tui.tui.screens.over import Over

Told = Callable[[Mapping[str, str]], str]
"""What the values come to. Raises ValueError, in one line, where they cannot be."""
_BELOW = 6
"""Rows that the border and what the values come to may need."""


class Form(Over[Mapping[str, str] | None]):
    """Dismissed with the values, or with nothing. Enter goes to the next line: it saves nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "leave", tooltip="leave it as it was"),
        Binding("ctrl+s", "save", "save", tooltip="use these values"),
    ]

    DEFAULT_CSS = """
    Form {
        & VerticalScroll { height: auto; }
        & Horizontal { height: auto; }
        & Label { width: 20; color: $text-muted; }
        & Input { width: 16; }
        & Input.-wrong { background: $error 30%; }
        & .hint { width: 1fr; color: $text-muted; padding: 0 1; }
        & #told { height: auto; margin-top: 1; }
        & #told.-wrong { color: $text-error; text-style: bold; }
    }
    """

    def __init__(self, title: str, fields: Sequence[Field], told: Told, saves: str) -> None:
        """`saves` says what ctrl+s does."""
        super().__init__()
        self._title, self._fields, self._told, self._saves = title, fields, told, saves

    def compose(self) -> ComposeResult:
        with Vertical(classes="box -wide") as box:
            box.border_title = Content(one_line(self._title, 80))
            with VerticalScroll(can_focus=False):
                for field in self._fields:
                    with Horizontal():
                        yield Label(one_line(field.label, 80), markup=False)
                        yield Input(one_line(field.value, 200), id=field.name, compact=True, select_on_focus=False)
                        yield Static(one_line(field.hint, 200), classes="hint", markup=False)
            yield Static(id="told", markup=False)

    def says(self, binding: Binding) -> str:
        return self._saves if binding.action == "save" else super().says(binding)

    def on_mount(self) -> None:
        self._tell()

    def on_resize(self, event: events.Resize) -> None:
        """What the values come to stays in sight, however many lines there are above it."""
        self.query_one(VerticalScroll).styles.max_height = max(3, event.size.height - _BELOW)

    @property
    def values(self) -> Mapping[str, str]:
        return {field.name: self.query_one(f"#{field.name}", Input).value for field in self._fields}

    def action_save(self) -> None:
        if self._tell():
            self.dismiss(self.values)

    @on(Input.Changed)
    def _typed(self) -> None:
        # A form that was left at once still hears what its fields began with.
        if self.is_current:
            self._tell()

    @on(Input.Submitted)
    def _filled(self, event: Input.Submitted) -> None:
        event.stop()
        self.focus_next()

    def _tell(self) -> bool:
        """Whether the values can be."""
        told = self.query_one("#told", Static)
        try:
            said, wrong = self._told(self.values), False
        except ValueError as fault:
            said, wrong = str(fault), True
        told.set_class(wrong, "-wrong")
        told.update(one_line(said, 400))
        return not wrong
