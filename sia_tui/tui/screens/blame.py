"""Which generation wrote which line, laid over the history; Enter goes to that generation."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from sia_tui.core.blame import credits, parse
from sia_tui.core.state import State
from sia_tui.core.text import one_line
from sia_tui.store.reader import RunReader
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import Workspace
from sia_tui.tui.blamed import Blamed, foot, row
from sia_tui.tui.screens.over import Over
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.styled import content, paragraph
from sia_tui.tui.widgets.titled import titled
from sia_tui.tui.window import window

FILES = Binding.Group("file", compact=True)


class Blame(Over[str | None]):
    """Ends with the name of the generation or proposal to go to."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "file(-1)", "file before", key_display="[", group=FILES),
        Binding("right_square_bracket", "file(1)", "file after", key_display="]", group=FILES),
        Binding("escape,B,q", "dismiss(None)", "back"),
    ]
    enters = "go to that step"

    DEFAULT_CSS = """
    Blame {
        & #foot { height: 2; text-wrap: nowrap; text-overflow: ellipsis; }
    }
    """

    def __init__(self, workspace: Workspace, state: State, name: str, commit: str) -> None:
        super().__init__()
        self._workspace, self._state, self._name, self._commit = workspace, state, name, commit
        self._files: list[str] = []
        self._at = 0
        self._found: Blamed | None = None

    def compose(self) -> ComposeResult:
        with titled(Vertical(id="frame", classes="sheet"), f"WHO WROTE {self._name}"):
            yield Lines(id="blame", empty="reading …")
            yield Static(id="foot", markup=False)

    def on_mount(self) -> None:
        self._start()

    def action_file(self, way: int) -> None:
        if self._files:
            self._at = (self._at + way) % len(self._files)
            self._start()

    def _start(self) -> None:
        self.run_worker(partial(self._read, self._at), thread=True, exclusive=True, exit_on_error=False)

    def _read(self, at: int) -> None:
        """In a thread."""
        from sia_tui.harness.repository import RepositoryError
        from sia_tui.repositories import repository_of

        state = self._state
        try:
            repository = repository_of(window(self).paths)
            files = sorted(repository.files(self._commit, state.task))
            if not files:
                raise RepositoryError("the harness has no file")
            path = files[at] if self._files else _first(files)
            written, named = parse(repository.blame(self._commit, state.task, path)), repository.names()
        except (RepositoryError, ValueError) as error:
            self.app.call_from_thread(self._say, one_line(f"cannot be told: {error}", 300))
            return
        by = credits(state, written, named, self._other)
        self.app.call_from_thread(self._show, files, Blamed(path, written, by))

    def _other(self, run: str) -> State | None:
        """In a thread: of a run that this one was branched from; it may be gone."""
        try:
            with closing(RunReader(self._workspace.existing(run).db)) as reader:
                return reader.state()
        except (StoreError, ValueError):
            return None

    def _say(self, text: str) -> None:
        lines = self.query_one("#blame", Lines)
        lines.empty = text
        lines.show_rows(0, lambda index, width: content(row(self._must(), index, width)))

    def _show(self, files: list[str], found: Blamed) -> None:
        self._files, self._at, self._found = files, files.index(found.path), found
        place = f"{self._at + 1} of {len(files)} files"
        titled(self.query_one("#frame"), f"WHO WROTE {self._name} · {found.path} · {place}")
        lines = self.query_one("#blame", Lines)
        lines.empty = "the file is empty"
        lines.show_rows(len(found.lines), lambda index, width: content(row(found, index, width)))
        lines.go(0)
        self._foot()

    def _must(self) -> Blamed:
        assert self._found is not None
        return self._found

    @on(Lines.Moved)
    def _foot(self) -> None:
        found, at = self._found, self.query_one("#blame", Lines).cursor
        if found is not None and at < len(found.lines):
            self.query_one("#foot", Static).update(paragraph(foot(found, at, self.size.width - 4)))

    @on(Lines.Chosen)
    def _chosen(self, event: Lines.Chosen) -> None:
        self.dismiss(self._must().credit(event.row).name)


def _first(files: list[str]) -> str:
    """The one that most of a harness' steps are about."""
    return "harness.py" if "harness.py" in files else files[0]
