"""Every rollout of the run, newest first, and the one that is read."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import replace
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static
from textual.worker import get_current_worker

from sia_tui.core.episodes import Attempt, Score
from sia_tui.core.text import one_line
from sia_tui.store.browse import Wanted
from sia_tui.store.reader import EpisodeRow
from sia_tui.store.search import keep_up
from sia_tui.store.version import StoreError
from sia_tui.tui.keymap import shown_key
from sia_tui.tui.pieces import WARN, line
from sia_tui.tui.rolled import filters, heading, next_generation, next_outcome, next_part, origin, rolled
from sia_tui.tui.screens.across import Across
from sia_tui.tui.screens.narrow import Narrow
from sia_tui.tui.view import View
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.newest import NewestFirst
from sia_tui.tui.widgets.seeking import Seeking
from sia_tui.tui.widgets.styled import content
from sia_tui.tui.widgets.trajectory import TrajectoryView
from sia_tui.tui.window import window

AHEAD = 200
"""Rows read at once around those in sight."""
KEPT = 4000
"""Rows that are kept in memory."""
NARROWING = ("search", "part", "outcome", "generation", "narrow", "clear")
"""What is done to the list, and not to what is read over it."""


class RolloutsPane(Vertical):
    """A list that reads what is in sight; Enter opens the reader over it."""

    DEFAULT_CSS = """
    RolloutsPane {
        & > #filters { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
        & > #heading { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
        & > #search { display: none; }
        & > #reader { display: none; border: round $primary; }
        &.-reading > * { display: none; }
        &.-reading > #reader { display: block; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "filter", key_display="/", tooltip="text anywhere in a trajectory"),
        Binding("s", "part", "split", tooltip="all, train, dev, training"),
        Binding("o", "outcome", "outcome", tooltip="all, right, wrong, error"),
        Binding("v", "generation", "generation", tooltip="all, or one generation after the other"),
        Binding("e", "narrow", "score, failure", tooltip="only rewards between two bounds, or one kind of failure"),
        Binding("escape", "clear", "clear filters", show=False),
    ]

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._view: View | None = None
        self._wanted = Wanted()
        self._numbers: array[int] = array("q")
        self._listed = False
        """Whether what is wanted was read."""
        self._rows: dict[int, EpisodeRow] = {}
        self._asked: set[int] = set()
        self._seen = (-1, "")
        self._follows = True
        self._reading: str | None = None
        self._back: str | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="filters", markup=False)
        yield Input(id="search", placeholder="text anywhere in a trajectory", compact=True, disabled=True)
        yield Static(id="heading", markup=False)
        yield NewestFirst(id="list", empty="reading …")
        yield TrajectoryView(id="reader")
        yield Seeking(id="seeking")

    def show(self, view: View) -> None:
        first, self._view = self._view is None, view
        self._want(replace(self._wanted, sealed=not view.over))
        if first:
            self._refresh()
        now = (view.state.cost.episodes, view.state.last_at or "")
        if now != self._seen:
            if now < self._seen:
                # A recording went back: what is listed has not happened yet.
                self._numbers = array("q")
                self._refresh()
            self._seen = now
            self._look()

    def read(self, episode: str, back: str | None = None, sought: str = "") -> None:
        """Open the reader on an episode, where the text stands that is sought; Esc leads `back` to another pane."""
        self._back = back
        self.add_class("-reading")
        self.query_one(Seeking).close()
        reader = self.query_one(TrajectoryView)
        reader.has_neighbours, reader.sought = back is None, sought
        self.refresh_bindings()
        reader.focus()
        self.run_worker(partial(self._read, episode), thread=True, exclusive=True, group="read", exit_on_error=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return not self.has_class("-reading") or action not in NARROWING

    def action_search(self) -> None:
        search = self.query_one("#search", Input)
        search.display, search.disabled = True, False
        search.focus()

    def action_part(self) -> None:
        self._want(next_part(self._wanted))

    def action_outcome(self) -> None:
        self._want(next_outcome(self._wanted))

    def action_generation(self) -> None:
        if self._view is not None:
            self._want(next_generation(self._wanted, self._view.state))

    def action_narrow(self) -> None:
        self.app.push_screen(Narrow(window(self).source, self._wanted), self._narrowed)

    def _narrowed(self, wanted: Wanted | None) -> None:
        if wanted is not None:
            # The run may have ended meanwhile.
            self._want(replace(wanted, sealed=self._wanted.sealed))

    def action_clear(self) -> None:
        self.narrow(Wanted())

    def narrow(self, wanted: Wanted) -> None:
        """List these alone; sealed ones stay so, whatever is wanted."""
        search = self.query_one("#search", Input)
        search.display, search.disabled = False, True
        with self.prevent(Input.Changed):
            search.value = ""
        if self.has_class("-reading"):
            self._back = None
            self._leave_reader()
        self._want(replace(wanted, sealed=self._wanted.sealed))
        self._list.focus()

    @on(Input.Changed, "#search")
    def _typed(self, event: Input.Changed) -> None:
        self._want(replace(self._wanted, text=event.value.strip()))

    @on(Input.Submitted, "#search")
    def _typed_all(self, event: Input.Submitted) -> None:
        event.input.display = bool(event.value.strip())
        event.input.disabled = not event.input.display
        self._list.focus()

    @on(Lines.Moved, "#list")
    def _moved(self, event: Lines.Moved) -> None:
        self._follows = event.row == 0

    @on(Lines.Chosen, "#list")
    def _chosen(self, event: Lines.Chosen) -> None:
        row = self._row_at(event.row)
        if row is not None:
            self.read(row.id, sought=self._wanted.text)

    @on(TrajectoryView.Turned)
    def _turned(self, event: TrajectoryView.Turned) -> None:
        to = self._list.cursor + event.way
        row = self._row_at(to) if 0 <= to < len(self._numbers) else None
        if row is not None:
            self._follows = to == 0
            self._list.go(to)
            self.read(row.id, self._back, self.query_one(TrajectoryView).sought)

    @on(TrajectoryView.Asks)
    def _ask_text(self) -> None:
        self.query_one(Seeking).open()

    @on(Seeking.Given)
    def _seek(self, event: Seeking.Given) -> None:
        reader = self.query_one(TrajectoryView)
        reader.focus()
        if event.text is not None:
            reader.seek(event.text)

    @on(TrajectoryView.Across)
    def _across(self, event: TrajectoryView.Across) -> None:
        if self._view is not None:
            row, view = event.row, self._view
            self.app.push_screen(Across(window(self).source, view.state, row.case_id, row.id, view.over))

    @on(TrajectoryView.Closed)
    def _leave_reader(self) -> None:
        self.remove_class("-reading")
        self.query_one(Seeking).close()
        self.refresh_bindings()
        self._list.focus()
        if self._back is not None:
            back, self._back = self._back, None
            window(self).action_pane(back)

    @property
    def _list(self) -> Lines:
        return self.query_one("#list", Lines)

    def _want(self, wanted: Wanted) -> None:
        if wanted != self._wanted:
            self._wanted = wanted
            self._numbers, self._listed = array("q"), False
            self._follows = True
            # The list must not be drawn by a count that no longer holds.
            self._refresh()
            self._look()

    def _look(self) -> None:
        """Ask for the numbers that are new; all of them after another filter was chosen."""
        after = self._numbers[-1] if self._numbers else 0
        work = partial(self._find, self._wanted, after)
        self.run_worker(work, thread=True, exclusive=True, group="find", exit_on_error=False)

    def _find(self, wanted: Wanted, after: int) -> None:
        """In a thread: what is found at once, then what the index of whole trajectories adds when it is up to date."""
        try:
            self.app.call_from_thread(self._add, wanted, after, self._found(wanted, after))
            if wanted.text and self._index():
                self.app.call_from_thread(self._add, wanted, 0, self._found(wanted, 0))
        except StoreError as error:
            self.app.call_from_thread(self._give_up, str(error))

    def _found(self, wanted: Wanted, after: int) -> array[int]:
        browser = window(self).source.browser()
        try:
            return browser.numbers(wanted, after)
        finally:
            browser.close()

    def _index(self) -> bool:
        """Bring the index up to date, in a thread; whether there was anything to do and nobody wanted something else
        meanwhile."""
        worker, batches = get_current_worker(), 0

        def told(done: int, of: int) -> bool:
            nonlocal batches
            batches += done < of
            if done < of and not worker.is_cancelled:
                self.app.call_from_thread(self._say, f"searching trajectories: {done / of:.0%} indexed")
            return not worker.is_cancelled

        keep_up(window(self).source.db, told)
        return batches > 0 and not worker.is_cancelled

    def _add(self, wanted: Wanted, after: int, found: array[int]) -> None:
        if wanted != self._wanted or after not in (0, self._numbers[-1] if self._numbers else 0):
            return
        rows, before = self._list, self._numbers
        read = None if self._follows or rows.cursor >= len(before) else before[-1 - rows.cursor]
        self._numbers, self._listed = found if not after else before + found, True
        if read is None and not after:
            rows.cursor = 0
        # Whoever reads an older row goes on with it.
        self._refresh(0 if read is None else len(self._numbers) - bisect_right(self._numbers, read) - rows.cursor)

    def _refresh(self, slid: int = 0) -> None:
        """Draw the list again; `slid`: so many rows came in above the cursor."""
        if self._view is None:
            return
        rows = self._list
        if slid:
            rows.cursor = min(rows.cursor + slid, max(0, len(self._numbers) - 1))
            rows.scroll_to(y=rows.scroll_y + slid, animate=False, immediate=True, force=True)
        count = len(self._numbers) if self._listed else None
        rows.empty = "no rollouts" if self._listed else "reading …"
        rows.show_rows(count or 0, self._content)
        state = self._view.state
        keys, width = {f"rollouts.{name}": shown_key(self, f"rollouts.{name}") for name in NARROWING}, self.size.width
        told = filters(self._wanted, state, count, keys, width - 2)
        self.query_one("#filters", Static).update(content(told))
        self.query_one("#heading", Static).update(content(heading(state, max(20, width), window(self).now())))

    def _content(self, index: int, width: int) -> Content:
        row = self._row_at(index)
        if row is None or self._view is None:
            self._fetch(index)
            return Content("…")
        return content(rolled(self._view.state, row, width, window(self).now()))

    def _row_at(self, index: int) -> EpisodeRow | None:
        """Newest first: the row of the list with this index, if it has been read."""
        return self._rows.get(self._numbers[-1 - index]) if index < len(self._numbers) else None

    def _fetch(self, index: int) -> None:
        """Read the rows around one that came into sight, once."""
        if index >= len(self._numbers):
            return
        end = len(self._numbers) - max(0, index - AHEAD // 2)
        numbers = [number for number in self._numbers[max(0, end - AHEAD) : end] if number not in self._rows]
        if self._numbers[-1 - index] in self._asked:
            return
        self._asked.update(numbers)
        self.run_worker(partial(self._fetch_rows, numbers), thread=True, group="fetch", exit_on_error=False)

    def _fetch_rows(self, numbers: list[int]) -> None:
        """In a thread."""
        try:
            browser = window(self).source.browser()
            try:
                rows = browser.rows(numbers)
            finally:
                browser.close()
        except StoreError as error:
            self.app.call_from_thread(self._say, str(error))
            return
        self.app.call_from_thread(self._keep, rows)

    def _keep(self, rows: dict[int, EpisodeRow]) -> None:
        if len(self._rows) > KEPT:
            self._rows.clear()
        self._rows.update(rows)
        self._asked.clear()
        self._refresh()

    def _give_up(self, why: str) -> None:
        if not self._listed:
            self._list.empty = ""
            self._list.show_rows(0, self._content)
        self._say(why)

    def _say(self, told: str) -> None:
        self.query_one("#filters", Static).update(content(line((one_line(told, 200), WARN))))

    def _read(self, episode: str) -> None:
        """In a thread: the row and its trajectory."""
        source = window(self).source
        try:
            browser, reader = source.browser(), source.reader()
            try:
                row = next(iter(browser.by_id([episode], sealed=self._wanted.sealed)), None)
                found = reader.trajectory(row.id) if row else None
            finally:
                browser.close()
                reader.close()
        except StoreError as error:
            self.app.call_from_thread(self.query_one(TrajectoryView).say, [line((one_line(str(error), 200), WARN))])
            return
        self.app.call_from_thread(self._opened, episode, row, found)

    def _opened(self, episode: str, row: EpisodeRow | None, found: tuple[Attempt, Score] | None) -> None:
        reader = self.query_one(TrajectoryView)
        if row is None or found is None or self._view is None:
            reader.say([line((f"episode {episode} has no trajectory that may be read", WARN))])
            return
        attempt, score = found
        reader.border_title = Content(f"{one_line(row.id, 40)} · {one_line(row.case_id, 40)}")
        reader.show(row, origin(self._view.state, row), attempt, score, self._view.over)
