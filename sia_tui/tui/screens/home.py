"""Home: the workspace's runs, and what may be done with them as a whole."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from sia_tui.core.text import one_line
from sia_tui.store.reader import Answer
from sia_tui.store.version import StoreError
from sia_tui.tui.keymap import name_bindings, shown_key
from sia_tui.tui.listed import about, heading_line, run_line, sought
from sia_tui.tui.pieces import Line
from sia_tui.tui.screens.confirm import Confirm
from sia_tui.tui.screens.page import Page
from sia_tui.tui.view import View
from sia_tui.tui.widgets.card import Card
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.styled import content
from sia_tui.tui.widgets.titled import titled
from sia_tui.tui.window import window
from sia_tui.tui.workplace import Workplace

ABOUT = 5
SEARCHED = "a run's name, task or status"


class HomePane(Vertical):
    """A list that fills while it is read, what waits first and then the newest; the run under the cursor is told below it."""

    DEFAULT_CSS = """
    HomePane {
        & > #search { display: none; }
        &.-searching > #search { display: block; }
        & > #columns { height: 1; padding: 0 2; }
        & > #runs { border: round $panel-lighten-2; border-title-color: $text-accent; padding: 0 1; }
        & > #runs:focus { border: round $primary; }
        & > #about { height: 5; padding: 0 2; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "begin", "new run", tooltip="start a run from a config"),
        Binding("R", "resume", "resume", tooltip="start an engine on the run"),
        Binding("S", "stop", "stop", tooltip="end the run early; test stays sealed; asks first"),
        Binding("x,delete", "delete", "delete", key_display="x", tooltip="delete the run with its branch; asks first"),
        Binding("space", "mark", "mark", tooltip="mark a run to compare it with another"),
        Binding("c", "compare", "compare", tooltip="the two marked runs, or the marked one and this one"),
        Binding("slash", "search", "search", key_display="/", tooltip=SEARCHED),
        Binding("escape", "unmark", "unmark all", show=False),
        Binding("q", "end_search", "all again", show=False),
    ]

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._all: tuple[View, ...] = ()
        self._views: tuple[View, ...] = ()
        """Of them, those that are searched for."""
        self._complete = False
        self._wanted = ""
        self._marked: list[str] = []

    @property
    def _place(self) -> Workplace | None:
        return window(self).place

    def compose(self) -> ComposeResult:
        yield Input(id="search", placeholder=SEARCHED, compact=True, disabled=True)
        yield Card(id="columns")
        yield titled(Lines(id="runs", empty="reading …" if self._place else "no workspace is open"), "RUNS")
        yield Card(id="about")

    def on_mount(self) -> None:
        self.query_one("#columns", Card).show(lambda width, height: [heading_line(width)])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "end_search":
            return self.has_class("-searching")
        return bool(self._views) or action not in ("resume", "stop", "delete", "mark", "compare")

    def show(self, view: View) -> None:
        """The open run's view is of no interest here."""

    def show_runs(self, views: tuple[View, ...], complete: bool) -> None:
        """Runs as they are known by now, in their order; the cursor stays with its run, once all are there."""
        fills = not self._complete and self.query_one("#runs", Lines).cursor == 0
        self._all, self._complete = views, complete
        self._sift(stays=not fills)

    def _sift(self, stays: bool = True) -> None:
        """List what is searched for, everything where nothing is. The cursor `stays` with its run, else in its row."""
        lines, run = self.query_one("#runs", Lines), self._chosen if stays else None
        views = tuple(view for view in self._all if sought(view, self._wanted))
        if bool(views) != bool(self._views):
            self.call_later(self.refresh_bindings)
        self._views = views
        if self._wanted and self._all:
            lines.empty = (
                f"no run says “{one_line(self._wanted, 40)}”: {shown_key(self, 'home.unmark')} shows all again"
            )
        elif self._complete:
            lines.empty = f"no run yet: {shown_key(self, 'home.begin')} starts one"
        lines.show_rows(len(views), lambda index, width: content(self._line(views[index], width)))
        found = next((index for index, view in enumerate(views) if run and view.run == run.run), None)
        if found is not None and found != lines.cursor:
            lines.go(found)
        self._tell()

    def action_search(self) -> None:
        search = self.query_one("#search", Input)
        self.add_class("-searching")
        search.disabled = False
        search.focus()

    def action_end_search(self) -> None:
        self._search("")

    @on(Input.Changed, "#search")
    def _typed(self, event: Input.Changed) -> None:
        self._wanted = event.value.strip()
        self._sift()

    @on(Input.Submitted, "#search")
    def _typed_all(self, event: Input.Submitted) -> None:
        self._search(event.value.strip())

    def _search(self, wanted: str) -> None:
        """List these alone and go on in the list; nothing wanted: all of them."""
        search = self.query_one("#search", Input)
        self.set_class(bool(wanted), "-searching")
        search.disabled, self._wanted = not wanted, wanted
        with self.prevent(Input.Changed):
            search.value = wanted
        self._sift()
        self.query_one("#runs", Lines).focus()
        self.refresh_bindings()

    @property
    def _chosen(self) -> View | None:
        cursor = self.query_one("#runs", Lines).cursor
        return self._views[cursor] if cursor < len(self._views) else None

    def _line(self, view: View, width: int) -> Line:
        return run_line(view, window(self).now(), width, view.run in self._marked)

    @on(Lines.Moved, "#runs")
    def _tell(self) -> None:
        run, now = self._chosen, window(self).now
        resumes = shown_key(self, "home.resume")
        self.query_one("#about", Card).show(
            lambda width, height: about(run, now(), width, resumes)[:ABOUT] if run else []
        )

    @on(Lines.Chosen, "#runs")
    async def _open(self) -> None:
        if (run := self._chosen) is not None:
            await window(self).open_run(run.run)

    def action_mark(self) -> None:
        if (run := self._chosen) is None:
            return
        if run.run in self._marked:
            self._marked.remove(run.run)
        else:
            self._marked = [*self._marked, run.run][-2:]
        self._sift()

    def action_unmark(self) -> None:
        """The search first, where there is one: it stands over the list."""
        if self.has_class("-searching"):
            self._search("")
            return
        self._marked.clear()
        self._sift()

    def action_compare(self) -> None:
        chosen = self._chosen
        sides = self._marked if len(self._marked) == 2 or chosen is None else [*self._marked, chosen.run]
        if len(sides) != 2 or sides[0] == sides[1] or self._place is None:
            mark, compare = shown_key(self, "home.mark"), shown_key(self, "home.compare")
            self.notify(f"{mark} marks a run; go to the other one and press {compare}", markup=False)
            return
        one, other = sides
        place = self._place
        self.app.push_screen(Page(f"{one} and {other}", lambda: place.compare(one, other)))

    def action_begin(self) -> None:
        if self._place is not None and window(self).may_steer(""):
            from sia_tui.tui.screens.draft import NewRun

            name_bindings()
            self.app.push_screen(NewRun(self._place), self._begun)

    async def _begun(self, name: str | None) -> None:
        if name:
            await window(self).open_run(name)

    def action_resume(self) -> None:
        run = self._chosen
        if run is None or not window(self).may_steer(run.run):
            return
        if run.alive or run.starting or run.over:
            engine = "an engine is alive" if run.alive else "an engine is starting"
            self.notify(f"{run.run}: {f'is {run.state.status}' if run.over else engine}", markup=False)
            return
        self.notify(f"starting an engine on {run.run}", markup=False)
        self._do(lambda place: place.open(run.run).resume())

    def action_stop(self) -> None:
        run = self._chosen
        if run is None or not window(self).may_steer(run.run):
            return
        if run.over:
            self.notify(f"{run.run} is {run.state.status} already", markup=False)
            return
        said = f"Stop {run.run}? No further step is made and test stays sealed; what was kept stays."
        self.app.push_screen(Confirm(said), partial(self._stop, run.run))

    def _stop(self, name: str, yes: bool | None) -> None:
        if yes:
            self._do(lambda place: place.open(name).ask("stop", {}))

    def action_delete(self) -> None:
        run = self._chosen
        if run is None or not window(self).may_steer(run.run):
            return
        if run.alive:
            stops = shown_key(self, "home.stop")
            self.notify(
                f"{run.run}: its engine is alive; {stops} stops the run first", severity="warning", markup=False
            )
            return
        said = f"Delete {run.run}? Its folder, branch, tags and worktree go, and nothing brings them back."
        self.app.push_screen(Confirm(said, run.run), partial(self._delete, run.run))

    async def _delete(self, name: str, yes: bool | None) -> None:
        if yes:
            await window(self).close_run(name)
            self._do(lambda place: place.delete(name))

    def _do(self, what: Callable[[Workplace], Answer]) -> None:
        self.run_worker(partial(self._done, what), thread=True, exit_on_error=False, group="home")

    def _done(self, what: Callable[[Workplace], Answer]) -> None:
        """In a thread."""
        assert self._place is not None
        try:
            answer = what(self._place)
        except (StoreError, OSError) as error:
            answer = Answer(False, str(error))
        self.app.call_from_thread(window(self).say, answer.message, answer.ok)
