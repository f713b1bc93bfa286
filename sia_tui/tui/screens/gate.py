"""The gate: a question is put, read and answered. No key that is pressed by habit decides anything."""

from __future__ import annotations

import time
from datetime import datetime
from functools import partial
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from sia_tui.core.clock import when
from sia_tui.core.meantime import more_for
from sia_tui.core.text import clean, one_line
from sia_tui.store.version import StoreError
from sia_tui.tui.asked import Found, Question, decision, looked_up, question, title, unanswered
from sia_tui.tui.draft import Draft
from sia_tui.tui.grounds import grounds
from sia_tui.tui.keymap import shown_key
from sia_tui.tui.pieces import Line
from sia_tui.tui.planned import idle, planned
from sia_tui.tui.screens.across import Across
from sia_tui.tui.screens.changing import ChangingPane
from sia_tui.tui.verdicts import Verdicts
from sia_tui.tui.view import View, age_s, ago
from sia_tui.tui.waited import waits
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.reason import Reason
from sia_tui.tui.widgets.split import SIDES, SplitView
from sia_tui.tui.widgets.styled import content, paragraph
from sia_tui.tui.widgets.verdict_bar import VerdictBar
from sia_tui.tui.window import window

TICK_S = 0.1
NARROW, BROAD = 100, 140
"""Below so many cells, evidence and object stand under each other; from so many on, evidence has all it needs."""


_DECIDING = ("approve", "reject", "other_lever", "more_evidence", "until", "branch", "defer", "take_back", "edit")


class GatePane(ChangingPane):
    """What waits for a person, or what was decided so far."""

    DEFAULT_CSS = """
    GatePane {
        & > #decision { height: auto; max-height: 12; border: round $primary; padding: 0 1; text-wrap: wrap; }
        & > #grounds { height: 1fr; }
        & #evidence { width: 5fr; border: round $panel-lighten-2; padding: 0; }
        & #object { width: 6fr; border: round $panel-lighten-2; padding: 0; }
        & #plan, & #diff { height: 1fr; }
        & #plan { padding: 0 1; }
        & #evidence:focus, & #object:focus-within { border: round $accent; }
        & > #idle { display: none; padding: 0 1; }
        &.-broad #evidence { width: 52; }
        &.-broad #object { width: 1fr; }
        &.-narrow #grounds { layout: vertical; }
        &.-narrow #evidence, &.-narrow #object {
            width: 1fr; height: 1fr; border: none; border-top: solid $panel-lighten-2;
        }
        &.-narrow #diff { scrollbar-size-horizontal: 0; }
        &.-narrow #evidence:focus, &.-narrow #object:focus-within { height: 2fr; border-top: solid $accent; }
        &.-narrow #decision { border: none; border-top: solid $primary; max-height: 9; }
        &.-idle > * { display: none; }
        &.-idle > #idle { display: block; }
        &.-diff #plan { display: none; }
        &.-plan #diff { display: none; }
    }
    """

    # Those that decide are not in the footer: the bar above it shows them.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "approve", "approve", show=False, tooltip="approve what is shown; held 5 s, to be taken back"),
        Binding(
            "r",
            "reject",
            "reject",
            show=False,
            tooltip="reject what is shown, with a reason; held 5 s, to be taken back",
        ),
        Binding(
            "l",
            "other_lever",
            "other lever",
            show=False,
            tooltip="reject it, and ask for another lever on this generation",
        ),
        Binding(
            "m", "more_evidence", "more evidence", show=False, tooltip="measure more of it before you decide; held 5 s"
        ),
        Binding(
            "u",
            "until",
            "until…",
            show=False,
            tooltip="approve this and what follows, within limits; ‘end contract’ ends that",
        ),
        Binding("b", "branch", "branch", show=False, tooltip="the command that starts a run from here"),
        Binding("d", "defer", "defer", show=False, tooltip="put it off; the gate stays open"),
        Binding("z", "take_back", "take back", show=False, tooltip="take a verdict back before it is sent"),
        Binding("space", "take", "hunk", tooltip="take the hunk, or drop it; a then makes a proposal of the rest"),
        Binding("e", "edit", "edit", tooltip="edit the hunk's file, as patched, in $EDITOR; or the plan in a form"),
        Binding("D", "outside", "pager", show=False, tooltip="the diff in delta, or in $PAGER"),
        SIDES,
        Binding("right_square_bracket", "hunk(1)", "next hunk", key_display="]", tooltip="the next hunk"),
        Binding("left_square_bracket", "hunk(-1)", "previous hunk", show=False),
        Binding("right_curly_bracket", "file(1)", "next file", show=False),
        Binding("left_curly_bracket", "file(-1)", "previous file", show=False),
        Binding("t", "files", "files", tooltip="the files of the patch, to go to one, or to take or drop it whole"),
    ]

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, classes="-idle")
        self.verdicts = Verdicts(time.monotonic)
        self._asked: Question | None = None
        self._view: View | None = None
        self._draft: Draft | None = None
        self._other_lever = False
        self._contracted = False
        """Whether a standing yes is said not to answer this one."""
        self._offers = False
        """Whether to ask for its limits as soon as a question is there."""
        self._lines: list[Line] = []
        self._said: list[Line] = []
        self._hash = self._titled = ""
        self._laid = (0, 0)

    def compose(self) -> ComposeResult:
        yield Static(id="decision", markup=False)
        with Horizontal(id="grounds"):
            yield Lines(id="evidence")
            with Vertical(id="object"):
                yield SplitView(id="diff", empty="an empty patch")
                yield Lines(id="plan", has_cursor=False)
        yield Reason(id="reason")
        yield VerdictBar(id="bar")
        yield Lines(id="idle", has_cursor=False)

    def on_mount(self) -> None:
        self.query_one("#evidence").border_title = "evidence"
        self.set_interval(TICK_S, self._tick)

    def show(self, view: View) -> None:
        self._view = view
        self._fit()
        same = self._asked is not None and view.state.waiting is not None and view.state.waiting.hash == self._hash
        before = self._asked if same else None
        asked = self._asked = question(view.state, view.config, before.found if before else None)
        if told := self.verdicts.look(asked.gate if asked else None, self.screen.is_active):
            self._bar.say(told, loud=True)
            self.notify(told, severity="warning", markup=False, timeout=30)
        if not same:
            self._close_reason("closed: what is asked changed meanwhile")
        if self.has_class("-idle") != (asked is None):
            self.set_class(asked is None, "-idle")
            self.refresh_bindings()
        if asked is None:
            self._hash = ""
            self._show_idle(view)
        elif not same:
            self._show_new(asked)
        elif before is not None and asked.config is not before.config:
            # The rule that follows a yes stands in it.
            self._lay()
        elif view.state.contract is None and self._contracted:
            self._contracted = False
            self._bar.rest(self._draft.told if self._draft else "")
        if view.recorded:
            self._show_answer(view)
        if self._offers and view.state.run:
            self._offers = False
            self.call_later(self.action_until, True)

    def offer_until(self) -> None:
        """A standing yes, for whoever leaves: to a question that may still have to be read."""
        self._offers = True
        if self._view is not None:
            self.show(self._view)

    def on_show(self) -> None:
        self.verdicts.appear()

    def on_resize(self, event: events.Resize) -> None:
        self._fit()
        self.call_after_refresh(self._lay)

    def _fit(self) -> None:
        """By the width there is. Looked at when it is shown too: on a busy machine a pane may be filled without ever having
        been told its size."""
        width, before = self.size.width, self.classes
        if width:
            self.set_class(width < NARROW, "-narrow")
            self.set_class(width >= BROAD, "-broad")
        if self.classes != before:
            self.call_after_refresh(self._lay)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if self._view is not None and self._view.recorded and action in (*_DECIDING, "take"):
            return False
        if action in ("take", "outside", "file", "files", "hunk", "split"):
            shown = self._asked is not None and self._draft is not None
            return shown and (action != "take" or self.query_one(SplitView).choosing)
        if action == "edit" and self._asked is not None and self._asked.gate.kind != "step":
            return False
        return self._asked is not None or action not in _DECIDING

    def action_approve(self) -> None:
        draft = self._draft
        if draft is None or not draft.changed:
            self._hold("approve")
        elif not draft.taken:
            self._bar.say(draft.told)
        else:
            self._hold("amend", more=draft.body, what=draft.made)

    def action_reject(self) -> None:
        self._ask_reason(False)

    def action_other_lever(self) -> None:
        asked = self._asked
        if asked is not None and (asked.gate.kind != "step" or asked.step.proposal.lever not in ("harness", "weights")):
            self._bar.say("there is no other lever to ask for here")
        else:
            self._ask_reason(True)

    def _ask_reason(self, other_lever: bool) -> None:
        if refused := self.verdicts.refusal():
            self._bar.say(refused)
        elif self.verdicts.gate is not None:
            self._other_lever = other_lever
            self.query_one(Reason).open(
                self.verdicts.gate.hash, "rejects, asks for another lever" if other_lever else "rejects"
            )

    def action_more_evidence(self) -> None:
        told, possible = more_for(self._asked.state, self._asked.step) if self._asked else ("nothing is asked", False)
        if possible:
            self._hold("more-evidence")
        else:
            self._bar.say(one_line(told, 200))

    def action_branch(self) -> None:
        if self._asked is not None:
            state = self._asked.state
            self._bar.say(f"a run of its own from here: sia-tui branch {state.run} g{state.incumbent}")

    def action_defer(self) -> None:
        gate = self.verdicts.gate
        if refused := self.verdicts.refusal():
            self._bar.say(refused)
        elif gate is not None:
            window(self).ask_later("defer", {"gate": gate.id}, self._answered)

    @on(VerdictBar.Pressed)
    async def _pressed(self, event: VerdictBar.Pressed) -> None:
        await self.run_action(event.what)

    @on(Reason.Given)
    def _reason_given(self, event: Reason.Given) -> None:
        self.query_one("#evidence").focus()
        if event.text is None:
            self._bar.say("not rejected")
            return
        more = {"other_lever": True} if self._other_lever else None
        about = self.query_one(Reason).about
        self._hold("reject", event.text, about, more, what="" if event.text else "without a reason")

    @on(Lines.Chosen, "#evidence")
    def _chosen(self, event: Lines.Chosen) -> None:
        """Enter on a line reads what it points to; it never decides."""
        opens = self._lines[event.row].opens if event.row < len(self._lines) else None
        if opens is not None and opens.what == "case":
            self._read_both(opens.id)
        elif opens is not None:
            window(self).read_rollout(opens.id, back="gate")

    def _read_both(self, case: str) -> None:
        """The incumbent's answer, and the newest."""
        if (asked := self._asked) is not None:
            row, best = asked.found.by_case.get(case), asked.state.best
            before = best.key if best else None
            self.app.push_screen(
                Across(window(self).source, asked.state, case, row.id if row else "", over=False, before=before)
            )

    @property
    def settled(self) -> bool:
        """Whether evidence and plan are laid out for the widths they have."""
        return self._laid == self._rooms

    @property
    def _rooms(self) -> tuple[int, int]:
        return self.query_one("#evidence", Lines).room, self.query_one("#plan", Lines).room

    def _tick(self) -> None:
        if self.screen.is_active:
            self.verdicts.uncover()
        if self._asked is not None:
            self._entitle(self._asked) if self.settled else self._lay()
        self._pass_time()

    def _close_reason(self, told: str) -> None:
        reason = self.query_one(Reason)
        if reason.display:
            reason.close()
            self._bar.say(told, loud=True)

    def _show_idle(self, view: View) -> None:
        width, progress = max(40, self.size.width - 4), None if view.starting else view.progress
        lines = [content(line) for line in idle(view.state, progress, view.alive or view.starting, width)]
        self.query_one("#idle", Lines).show_list(lines)

    def _show_answer(self, view: View) -> None:
        """Of a recording: what became of the gate that is open at this moment."""
        at, told = view.answer or ("", "the recording ends before it was answered")
        now = window(self).now()
        passed = age_s(now.isoformat(), datetime.fromisoformat(at)) if at else 0.0
        self._bar.instead(f"it waits here{f' · answered {ago(passed)} later, at {when(at, now)}:' if at else ''}", told)

    def _show_new(self, asked: Question) -> None:
        """Another question than the one on the screen, from its beginning."""
        self._hash = asked.gate.hash
        self._bar.say("")
        patch, plan = asked.patch, asked.step.proposal.plan is not None
        self.set_class(bool(patch) and not plan, "-diff")
        self.set_class(not patch, "-plan")
        self._bar.rest(told := unanswered(asked, shown_key(self, "app.end-contract")))
        self._contracted = bool(told)
        # Put again with more evidence, it is the same patch: what a person made of it stays.
        kept = self._draft if self._draft is not None and self._draft.proposed == patch else None
        self._draft = None
        if patch:
            self._show_draft(kept or Draft.of(patch))
        else:
            self.query_one("#object").border_title = Content("plan" if plan else "end")
        self.refresh_bindings()
        self.query_one("#evidence", Lines).go(0)
        self._lay()
        self.call_after_refresh(self._lay)
        self.run_worker(partial(self._read, asked), thread=True, exclusive=True, group="found", exit_on_error=False)

    def _lay(self) -> None:
        """Lay out everything but the diff for the widths there are."""
        if self._asked is None:
            if self._view is not None:
                self._show_idle(self._view)
            return
        self._laid = self._rooms
        asked, evidence, plan = self._asked, self.query_one("#evidence", Lines), self.query_one("#plan", Lines)
        self._entitle(asked)
        said, plans = decision(asked, brief=self.has_class("-narrow")), planned(asked, max(20, plan.room - 1))
        self.query_one("#decision", Static).update(paragraph(said))
        self._lines = grounds(asked, max(20, evidence.room - 1))
        evidence.show_list([content(line) for line in self._lines])
        plan.show_list([content(line) for line in plans])
        self._said = [*said, *self._lines, *([] if self.has_class("-diff") else plans)]

    def _entitle(self, asked: Question) -> None:
        """What is asked, and for how long it has been."""
        since = waits(self._view, window(self).now()) if self._view else ""
        told = f"{title(asked)}{' · ' if since else ''}{since}"
        if told != self._titled:
            self._titled = told
            self.query_one("#decision", Static).border_title = Content(clean(told))

    def _read(self, asked: Question) -> None:
        """In a thread: what the run database adds to the question."""
        try:
            found = looked_up(asked, window(self).source.browser())
        except StoreError as error:
            self.app.call_from_thread(self._bar.say, one_line(str(error), 200))
            return
        self.app.call_from_thread(self._add, asked.gate.hash, found)

    def _add(self, about: str, found: Found) -> None:
        if self._asked is not None and self._asked.gate.hash == about:
            self._asked = Question(self._asked.state, self._asked.gate, self._asked.step, self._asked.config, found)
            self._lay()
