"""The files of a diff, laid over it: what each gains and loses, and how much of it is taken. Enter goes to one."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from sia_tui.tui.diffing import File, files
from sia_tui.tui.pieces import BAD, GOOD, WARN, Line, fit, line
from sia_tui.tui.screens.over import Over
from sia_tui.tui.widgets.diff import DiffView
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.styled import content
from sia_tui.tui.widgets.titled import titled

_COUNT = 7
"""Cells of `+12,345`."""


class Files(Over[None]):
    """What is chosen or taken here, the diff below shows at once."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "take", "take or drop", tooltip="the whole file"),
        Binding("escape,t,q", "dismiss(None)", "back"),
    ]
    enters = "go there"

    DEFAULT_CSS = """
    Files Lines { height: auto; max-height: 70vh; }
    """

    def __init__(self, diff: DiffView, choosing: bool = False) -> None:
        super().__init__()
        self._diff, self._choosing = diff, choosing
        self._files = files(diff.diff)

    def compose(self) -> ComposeResult:
        box = Lines(id="files", empty="no file is changed", classes="box -wide")
        yield titled(box, f"FILES of the diff · {len(self._files)}")

    def on_mount(self) -> None:
        self._show()
        lines = self.query_one(Lines)
        lines.go(self._diff.file)
        lines.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "take" or self._choosing

    def action_take(self) -> None:
        if self._files:
            self._diff.take_file(self._files[self.query_one(Lines).cursor].hunks)
            self._show()

    def _show(self) -> None:
        lines = self.query_one(Lines)
        lines.show_rows(len(self._files), lambda at, width: content(row(self._files[at], self._taken(at), width)))

    @on(Lines.Chosen)
    def _chosen(self, event: Lines.Chosen) -> None:
        self._diff.go_to_file(event.row)
        self.dismiss(None)

    def _taken(self, at: int) -> int | None:
        """How many hunks of it are, where they can be."""
        return len(self._files[at].hunks & self._diff.taken) if self._diff.choosing else None


def row(file: File, taken: int | None, width: int) -> Line:
    of = len(file.hunks)
    said = "" if taken is None else _state(taken, of)
    look = GOOD if taken == of else WARN
    name = max(8, width - len(said) - 2 * _COUNT - 4)
    return line(
        fit(file.name, name),
        (f" {f'+{file.added:,}':>{_COUNT}}", GOOD),
        (f" {f'−{file.removed:,}':>{_COUNT}}", BAD),
        (f"  {said}", look),
    )


def _state(taken: int, of: int) -> str:
    mark = "[✓]" if taken == of else "[ ]" if not taken else "[~]"
    return f"{mark} {taken} of {of} hunk{'' if of == 1 else 's'}".ljust(len("[✓] 10 of 10 hunks"))
