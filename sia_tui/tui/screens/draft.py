"""The form that begins a run: a config, a name, who answers at the gate, and a few keys with what they may be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, Select, Static

from sia_tui.config import ConfigError
from sia_tui.core.text import one_line
from sia_tui.store.reader import Answer
from sia_tui.store.version import StoreError
from sia_tui.tui.drafts import faults, fields, values
from sia_tui.tui.pieces import BAD, DIM, HEAD
from sia_tui.tui.screens.over import Over
from sia_tui.tui.workplace import Draft, Workplace

_GATES = (("as the config says", "config"), ("ask: a person answers", "ask"), ("auto: the machine answers", "auto"))


class NewRun(Over[str]):
    """Dismissed with the name of the run that was begun, or with nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "cancel"),
        Binding("ctrl+s", "begin", "start"),
    ]

    DEFAULT_CSS = """
    NewRun {
        & Select, & Input { height: 1; }
        & Input:focus, & Select:focus > SelectCurrent { background: $primary 30%; }
        & Button { margin-top: 1; }
    }
    """

    def __init__(self, place: Workplace) -> None:
        super().__init__()
        self._place = place
        self._fields = fields()
        self._busy = False
        self._reckoned: Draft | None = None
        """What the estimate is of."""
        self._hints: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        configs = self._place.configs()
        with VerticalScroll(can_focus=False, classes="box -wide") as box:
            box.border_title = Content(" new run ")
            yield self._label("config", "a file of ./configs")
            yield Select(
                [(Content(one_line(str(path), 80)), path) for path in configs],
                compact=True,
                id="config",
                prompt="choose",
                value=configs[0] if configs else Select.NULL,
            )
            yield self._label("or path", "of another config; it takes the place of the one above")
            yield Input(id="path", compact=True)
            yield self._label("name", "letters, digits, '-', '_' and '.'; empty: the config's name, numbered")
            yield Input(id="name", compact=True)
            yield self._label("gate", "who answers it")
            yield Select(_GATES, compact=True, id="gate", allow_blank=False, value="config")
            for field in self._fields:
                yield self._label(field.name, _hint(field.allowed, field.said))
                yield Input(id=_id(field.name), compact=True)
            yield self._label("estimate", "…")
            yield Button("Start", id="start", variant="primary", compact=True)

    def on_mount(self) -> None:
        self._show_values()
        # The focus brings its own line into sight, not the words above it.
        self.call_after_refresh(self.query_one(VerticalScroll).scroll_home, animate=False)

    @on(Select.Changed, "#config")
    @on(Input.Changed, "#path")
    def _show_values(self) -> None:
        """What the config says stands in the empty fields."""
        if not self.is_current:
            return
        config = self._config
        try:
            said = values(config) if config else {}
        except ConfigError as error:
            self._say("config", one_line(str(error), 300))
            return
        self._say("config", "")
        for name, value in said.items():
            self.query_one(f"#{_id(name)}", Input).placeholder = value
        if config:
            self._reckon()

    @on(Input.Submitted)
    def _next(self) -> None:
        self.focus_next()

    @on(Input.Blurred)
    def _look(self, event: Input.Blurred) -> None:
        if self.is_current and not self._show_faults():
            self._reckon()

    @on(Button.Pressed, "#start")
    def action_begin(self) -> None:
        if not self._busy and not self._show_faults():
            self._busy = True
            self.notify("starting an engine")
            draft = self._draft
            self.run_worker(lambda: self._begin(draft), thread=True, exit_on_error=False)

    @property
    def _config(self) -> Path | None:
        typed, chosen = self.query_one("#path", Input).value.strip(), self.query_one("#config", Select).value
        return Path(typed).expanduser() if typed else chosen if isinstance(chosen, Path) else None

    @property
    def _typed(self) -> dict[str, str]:
        return {field.name: self.query_one(f"#{_id(field.name)}", Input).value for field in self._fields}

    @property
    def _draft(self) -> Draft:
        gate = self.query_one("#gate", Select).value
        assert self._config is not None
        return Draft(
            self._config,
            self.query_one("#name", Input).value.strip(),
            None if gate == "config" else cast(Literal["ask", "auto"], gate),
            tuple(f"{name}={text.strip()}" for name, text in self._typed.items() if text.strip()),
        )

    def _show_faults(self) -> bool:
        """Say what is wrong where it was typed; whether anything is."""
        found = faults(self._config, self._typed)
        name = self.query_one("#name", Input).value.strip()
        if name:
            try:
                if self._place.workspace.run(name).root.exists():
                    found["name"] = f"run {name} exists; choose another name"
            except StoreError as error:
                found["name"] = str(error)
        for said in ("config", "name", *(field.name for field in self._fields)):
            self._say(said, found.get(said, ""))
        return bool(found)

    def _reckon(self) -> None:
        draft = replace(self._draft, name="")
        if draft != self._reckoned:
            self._reckoned = draft
            self.run_worker(lambda: self._estimate(draft), thread=True, exit_on_error=False, group="estimate")

    def _estimate(self, draft: Draft) -> None:
        """In a thread."""
        try:
            answer = self._place.estimate(draft)
        except (StoreError, OSError) as error:
            answer = Answer(False, str(error))
        self.app.call_from_thread(self._tell, draft, answer)

    def _tell(self, draft: Draft, answer: Answer) -> None:
        """Unless something else was typed meanwhile."""
        if draft == self._reckoned and self.is_attached:
            self._hints["estimate"] = one_line(answer.message, 300)
            self._say("estimate", "" if answer.ok else self._hints["estimate"])

    def _begin(self, draft: Draft) -> None:
        """In a thread."""
        try:
            answer = self._place.begin(draft)
        except (StoreError, OSError) as error:
            answer = Answer(False, str(error))
        self.app.call_from_thread(self._begun, answer)

    def _begun(self, answer: Answer) -> None:
        self._busy = False
        if answer.ok:
            self.dismiss(answer.message)
        else:
            self._say("config", one_line(answer.message, 300))

    def _label(self, name: str, hint: str) -> Static:
        self._hints[name] = hint
        return Static(_labelled(name, (hint, DIM)), id=f"{_id(name)}-label", markup=False)

    def _say(self, name: str, fault: str) -> None:
        hint = (f"✗ {fault}", f"bold {BAD}") if fault else (self._hints[name], DIM)
        self.query_one(f"#{_id(name)}-label", Static).update(_labelled(name, hint))


def _labelled(name: str, hint: tuple[str, str]) -> Content:
    return Content.assemble((f"{name:<18}", HEAD), hint)


def _hint(allowed: str, said: str) -> str:
    return f"{allowed}{'. ' if said else ''}{said}"


def _id(name: str) -> str:
    return name.replace(".", "-").replace(" ", "-")
