"""What the run became, generation by generation, and what changed between any two of them."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, Static

from sia_tui.core.text import one_line
from sia_tui.tui.diffing import Diff, parse
from sia_tui.tui.finding import found
from sia_tui.tui.lineage import ALONE, Rail
from sia_tui.tui.past import Entry, entries, facts, heading, no_difference, told, trained, tree
from sia_tui.tui.pieces import DIM, STRONG, line
from sia_tui.tui.screens.blame import Blame
from sia_tui.tui.screens.files import Files
from sia_tui.tui.screens.going_on import GoingOn
from sia_tui.tui.screens.ledger import Ledger
from sia_tui.tui.view import View
from sia_tui.tui.widgets.facts import Facts
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.split import SIDES, SplitView
from sia_tui.tui.widgets.styled import content
from sia_tui.tui.window import window

SEARCHED = "text in titles, ideas, reasons, verdicts, commit messages and diffs"


class HistoryPane(GoingOn):
    """A list, and below it the diff of the selected entry against its parent or against the marked one."""

    DEFAULT_CSS = """
    HistoryPane {
        & > #heading { height: 1; padding: 0 0 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
        & > #search { display: none; }
        & > #list { height: auto; max-height: 40%; }
        & > #diff, & > #trained { height: 1fr; border-top: solid $panel-lighten-2; border-title-color: $text-muted; }
        & > #diff:focus, & > #trained:focus { border-top: solid $accent; }
        & > #diff, & > #trained { display: none; }
        &.-trained > #trained, &.-diff > #diff { display: block; }
        & > #confirm { display: none; height: 1; padding: 0 1; }
        &.-confirming > #confirm { display: block; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "mark", "mark", tooltip="mark as the other side of the diff; again takes the mark away"),
        Binding("c", "commands", "commands", show=False, tooltip="copy the commands that go on from this generation"),
        Binding("b", "go_back", "go back to", tooltip="make it the incumbent again; asks first, closes an open gate"),
        Binding("o", "branch", "branch off", tooltip="a new run that starts from this generation; asks for its name"),
        Binding("e", "export", "export", show=False, tooltip="its patches as mails for git am; asks for a folder"),
        Binding("u", "revive", "revive", tooltip="make a refused or rolled-back patch fit what serves, and propose it"),
        SIDES,
        Binding("t", "files", "files", show=False, tooltip="the files of the diff, to go to one"),
        Binding("B", "blame", "blame", tooltip="which generation wrote each line of the harness, and what it gained"),
        Binding("d", "decisions", "decisions", tooltip="every step: promised against measured, who said what and why"),
        Binding("slash", "search", "search", key_display="/", tooltip=SEARCHED),
        Binding("y", "confirm", "yes", show=False),
        Binding("escape", "cancel", "cancel", show=False),
        Binding("right_square_bracket", "hunk(1)", "next hunk", show=False),
        Binding("left_square_bracket", "hunk(-1)", "previous hunk", show=False),
    ]

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, classes="-diff")
        self._view: View | None = None
        self._all: list[Entry] = []
        self._entries: list[Entry] = []
        """Of them, those in which the text stands that is searched for."""
        self._rails: list[Rail] = []
        self._wanted = ""
        self._messages: dict[str, str] = {}
        """Of commits, once something was searched for."""
        self._marked: str | None = None
        self._weights = False
        self._shown: tuple[str | None, ...] = ()

    def compose(self) -> ComposeResult:
        yield Static(id="heading", markup=False)
        yield Input(id="search", placeholder=SEARCHED, compact=True, disabled=True)
        yield Lines(id="list", empty="reading …")
        yield Facts(id="facts")
        yield SplitView(id="diff", empty="reading …")
        yield Lines(id="trained", has_cursor=False)
        yield Static(id="confirm", markup=False)

    def show(self, view: View) -> None:
        known, self._view = len(self._all), view
        self._all = entries(view.state)
        self._sift()
        if not known and self._entries:
            self._list.go(len(self._entries) - 1)
        self._select()

    def _sift(self) -> None:
        """List what is searched for; everything, with its lineage, where nothing is."""
        if self._view is None:
            return
        wanted = self._wanted
        self._entries = [one for one in self._all if not wanted or found(one, wanted, self._messages)]
        self._rails = [ALONE] * len(self._entries) if wanted else tree(self._all, self._view.state)
        none = "no generation yet" if self._view.known else "reading …"
        self._list.empty = f"no step says “{one_line(wanted, 60)}”" if wanted else none
        self._head(self.size.width)
        self._lay()

    def on_resize(self, event: events.Resize) -> None:
        self._head(event.size.width)

    def _head(self, width: int) -> None:
        rail = len(self._rails[0].before + self._rails[0].after) if self._rails else 0
        self.query_one("#heading", Static).update(content(heading(max(20, width - 1), rail)))

    def action_mark(self) -> None:
        entry = self._entry
        if entry is not None:
            self._marked = None if self._marked == entry.name else entry.name
            self._lay()
            self._select()

    def action_blame(self) -> None:
        entry = self._entry
        if entry is None or entry.commit is None or self._view is None:
            self.notify("it has no commit, so no line of it can be told", markup=False)
            return
        self.app.push_screen(Blame(self._workspace, self._view.state, entry.name, entry.commit), self.go_to)

    def action_decisions(self) -> None:
        if self._view is not None:
            self.app.push_screen(Ledger(self._view.state), self.go_to)

    def go_to(self, name: str | None) -> None:
        """Select a generation or proposal by its name."""
        if name is not None and self._wanted and all(entry.name != name for entry in self._entries):
            self._search("")
        row = next((row for row, entry in enumerate(self._entries) if entry.name == name), None)
        if row is not None:
            self._list.go(row)
            self._select()
        elif name is not None:
            self.notify(f"{name} is no step of this run", markup=False)

    def action_cancel(self) -> None:
        if self._asking is None and self.query_one("#search", Input).display:
            self._search("")
        self._ask(None)

    def action_search(self) -> None:
        search = self.query_one("#search", Input)
        search.display, search.disabled = True, False
        search.focus()
        commits = [entry.commit for entry in self._all if entry.commit and entry.commit not in self._messages]
        work = partial(self._read_messages, commits)
        self.run_worker(work, thread=True, group="messages", exclusive=True, exit_on_error=False)

    def _read_messages(self, commits: list[str]) -> None:
        """In a thread. Without the repository the log's own words are searched alone."""
        from sia_tui.harness.repository import RepositoryError
        from sia_tui.repositories import repository_of

        with suppress(RepositoryError):
            self.app.call_from_thread(self._heard, repository_of(window(self).paths).messages(commits))

    def _heard(self, messages: dict[str, str]) -> None:
        self._messages |= messages
        self._sift()
        self._select()

    @on(Input.Changed, "#search")
    def _typed(self, event: Input.Changed) -> None:
        self._wanted = event.value.strip()
        # Whoever looks for something is not led to what is new.
        self._list.follow = False
        self._sift()
        self._list.go(0)
        self._select()

    @on(Input.Submitted, "#search")
    def _typed_all(self, event: Input.Submitted) -> None:
        self._search(event.value.strip())

    def _search(self, wanted: str) -> None:
        """List these alone and go on in the list; nothing wanted: all of them, with the selected one still selected."""
        here = self._entry
        search = self.query_one("#search", Input)
        search.display, search.disabled = bool(wanted), not wanted
        self._wanted = wanted
        with self.prevent(Input.Changed):
            search.value = wanted
        self._sift()
        self.go_to(here.name if here is not None else None)
        self._list.focus()

    def action_hunk(self, way: int) -> None:
        self.query_one(SplitView).action_hunk(way)

    def action_files(self) -> None:
        if self._weights:
            self.notify("this step changed weights, no file")
        else:
            self.app.push_screen(Files(self.query_one(SplitView)))

    def action_split(self) -> None:
        self.query_one(SplitView).turn()

    def _face(self) -> None:
        """Which of the two fills the lower part."""
        focused = self.app.focused is self._lower
        self.set_class(self._weights, "-trained")
        self.set_class(not self._weights, "-diff")
        if focused:
            self._lower.focus()

    @property
    def _lower(self) -> Lines:
        """What fills the lower part."""
        return self.query_one("#trained" if self.has_class("-trained") else "#diff", Lines)

    @on(Lines.Moved, "#list")
    def _moved(self) -> None:
        self._ask(None)
        self._select()

    @on(Lines.Chosen, "#list")
    def _chosen(self) -> None:
        self._lower.focus()

    def _lay(self) -> None:
        if self._view is None:
            return
        state = self._view.state

        def row(index: int, width: int) -> Content:
            entry = self._entries[index]
            return content(told(entry, state, entry.name == self._marked, width, self._rails[index]))

        self._list.show_rows(len(self._entries), row)

    def _select(self) -> None:
        """Show the selected entry, unless it is on show."""
        entry, view = self._entry, self._view
        if entry is None or view is None:
            return
        place = found(entry, self._wanted, self._messages) if self._wanted else None
        where = [line((f"in its {place.part}: ", DIM), (place.text, STRONG))] if place else []
        self.query_one("#facts", Facts).tell([*where, *facts(entry, view.state, window(self).now())])
        other = next((one for one in self._entries if one.name == self._marked), None)
        sides = (other.harness(view.state) if other else entry.base(view.state), entry.harness(view.state))
        if self._shown == (entry.name, *sides):
            return
        self._shown = (entry.name, *sides)
        self.query_one("#facts", Facts).action_top()
        lines = [] if other else trained(entry)
        self._weights = bool(lines)
        self._face()
        if lines:
            self.query_one("#trained", Lines).show_list([content(one) for one in lines])
            return
        self.query_one(SplitView).empty = "reading …"
        self._put(Diff())
        title = f"{other.name if other else 'its parent' if entry.step else 'nothing'} → {entry.name}"
        work = partial(self._compare, self._shown, entry, other, view.state.task, title)
        self.run_worker(work, thread=True, exclusive=True, group="diff", exit_on_error=False)

    def _compare(self, shown: tuple[str | None, ...], entry: Entry, other: Entry | None, task: str, title: str) -> None:
        """In a thread: the diff of two commits, or the patch itself where there is no commit to compare."""
        from sia_tui.harness.repository import RepositoryError
        from sia_tui.repositories import repository_of

        _, old, new = shown
        try:
            if old is not None and new is not None:
                text = repository_of(window(self).paths).diff(old, new, task)
            else:
                text = entry.step.proposal.patch or "" if entry.step else ""
        except RepositoryError as error:
            title = f"cannot be compared: {one_line(str(error), 120)}"
            self.app.call_from_thread(self._compared, shown, Diff(), title, "")
            return
        self.app.call_from_thread(self._compared, shown, parse(text), title, no_difference(entry, other))

    def _compared(self, shown: tuple[str | None, ...], diff: Diff, title: str, empty: str) -> None:
        if shown == self._shown:
            self.query_one(SplitView).empty = empty
            self._put(diff, f"{title}   +{diff.added} −{diff.removed}")

    def _put(self, diff: Diff, title: str | None = None) -> None:
        view = self.query_one(SplitView)
        view.border_title = view.border_title if title is None else Content(title)
        view.show(diff)
