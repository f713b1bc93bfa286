"""The part of the gate that changes what is asked: hunks dropped, files and plans edited, a yes with limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

from textual import on
from textual.content import Content

from sia_tui.core.contract import made
from sia_tui.core.plans import TrainPlan
from sia_tui.core.text import one_line
from sia_tui.tui.asked import Question
from sia_tui.tui.diffing import counts
from sia_tui.tui.draft import Draft
from sia_tui.tui.keymap import shown_key
from sia_tui.tui.outside import Outside, edit, page
from sia_tui.tui.plan_form import changed, plan_fields, taking
from sia_tui.tui.plan_words import changes_told
from sia_tui.tui.screens.files import Files
from sia_tui.tui.screens.form import Form
from sia_tui.tui.screens.holding import HoldingPane
from sia_tui.tui.screens.limits import limits
from sia_tui.tui.widgets.diff import DiffView
from sia_tui.tui.widgets.split import SplitView
from sia_tui.tui.window import window


class ChangingPane(HoldingPane):
    """Nothing here says anything to the engine: what is to be sent is held like any verdict."""

    _draft: Draft | None
    _hash: str

    @on(DiffView.Picked)
    def action_take(self) -> None:
        if self.verdicts.held is not None:
            self._bar.say("a verdict is held: take it back first")
        else:
            self.query_one(DiffView).take()

    def action_file(self, way: int) -> None:
        self.query_one(DiffView).action_file(way)

    def action_files(self) -> None:
        diff = self.query_one(DiffView)
        self.app.push_screen(Files(diff, choosing=diff.choosing and self.verdicts.held is None))

    def action_split(self) -> None:
        self.query_one(SplitView).turn()

    def action_outside(self) -> None:
        if self._draft is not None:
            try:
                page(self.app, self._draft.patch)
            except Outside as fault:
                self._bar.say(str(fault), loud=True)

    def action_edit(self) -> None:
        """What the editor leaves is shown; only `a` says anything to the engine."""
        if self.verdicts.held is not None:
            self._bar.say("a verdict is held: take it back first")
        elif self._asked is None or self._asked.gate.kind != "step":
            self._bar.say("nothing of it can be edited")
        elif self._draft is not None and (self._asked.step.proposal.plan is None or self.query_one(DiffView).has_focus):
            self._edit(self._draft, self._asked)
        elif self._asked.step.proposal.plan is not None:
            self._edit_plan(self._asked, self._asked.step.proposal.plan)
        else:
            self._bar.say("to stop has nothing to edit: a yes ends the run, a no pauses it")

    def action_hunk(self, way: int) -> None:
        self.query_one(DiffView).action_hunk(way)

    def action_until(self, known: bool = False) -> None:
        """A yes to this and to what comes after it, within limits that are asked for. `known`: the question was asked
        elsewhere already, and need not be looked at for half a second before the form opens."""
        asked = self._asked
        if not known and (refused := self.verdicts.refusal()):
            self._bar.say(refused)
        elif asked is not None and asked.step.proposal.lever == "stop":
            self._bar.say("nothing follows the end of a run: a yes is to that alone")
        elif self._draft is not None and self._draft.changed:
            approve = shown_key(self, "gate.approve")
            self._bar.say(
                f"approve until is of what was proposed: {approve} first makes a proposal of what you changed"
            )
        elif asked is not None:
            self._ask_limits(asked)

    def _ask_limits(self, asked: Question) -> None:
        def saved(values: Mapping[str, str] | None) -> None:
            if values is not None:
                self._hold("contract", about=asked.gate.hash, more={"contract": asdict(made(values))})

        form = limits(f"approve {asked.gate.id}, and until …", "this, then to ", asked.step.proposal.lever)
        self.app.push_screen(form, saved)

    def _edit(self, draft: Draft, asked: Question) -> None:
        about = asked.gate.hash
        try:
            path = draft.path(self.query_one(DiffView).at)
            before = self._base(asked).get(path)
            text = draft.text(path, before)
            after = edit(self.app, text, path)
            if after == text:
                self._bar.say(f"{path} is as it was")
                return
            edited = draft.edited(path, before, after)
        except (Outside, ValueError, IndexError) as fault:
            self._bar.say(one_line(str(fault), 200), loud=True)
            return
        if self._hash == about:
            self._show_draft(edited)
            self.refresh_bindings()

    def _edit_plan(self, asked: Question, plan: TrainPlan) -> None:
        pilot = asked.step.pilot.pilot if asked.step.pilot else None
        last = asked.state.last_plan

        def told(values: Mapping[str, str]) -> str:
            new = replace(plan, **changed(plan, values))
            changes = new.changes(plan)
            what = f" · {changes_told(changes)}" if changes else ""
            return f"{len(changes)} changed · {taking(new, plan, pilot)}{what}"

        def saved(values: Mapping[str, str] | None) -> None:
            changes, draft = changed(plan, values or {}), self._draft
            if not changes:
                self._bar.say("the plan is as it was")
            elif draft is not None and draft.changed and not draft.taken:
                # Without a patch of its own an amendment keeps the one that was proposed, which is not what is shown.
                self._bar.say(draft.told)
            else:
                patch, made = (draft.body, draft.made) if draft is not None and draft.changed else ({}, "")
                told = changes_told(replace(plan, **changes).changes(plan))
                what = "; ".join(filter(None, (made, told)))
                self._hold("amend", about=asked.gate.hash, more={**patch, "plan": changes}, what=what)

        title = f"the plan of {asked.step.id}{', beside the last one carried out' if last else ''}"
        self.app.push_screen(Form(title, plan_fields(plan, last), told, "proposes it"), saved)

    def _base(self, asked: Question) -> Mapping[str, str]:
        """The harness that the patch is against. Raises ValueError."""
        from sia_tui.harness.repository import RepositoryError
        from sia_tui.repositories import repository_of

        try:
            return repository_of(window(self).paths).files(asked.step.proposal.base_commit, asked.state.task)
        except RepositoryError as fault:
            raise ValueError(f"the harness cannot be read: {fault}") from fault

    @on(DiffView.Toggled)
    def _toggled(self, event: DiffView.Toggled) -> None:
        if self._draft is not None:
            self._draft = replace(self._draft, taken=event.diff.taken)
            self._bar.rest(self._draft.told)

    def _show_draft(self, draft: Draft) -> None:
        """The patch as the person would have it, all of what is left taken."""
        self._draft = draft
        view, diff = self.query_one(DiffView), draft.diff
        recorded = window(self).view.recorded
        asks = self._asked is not None and self._asked.gate.kind == "step" and not recorded
        view.show(diff, choosing=asks and draft.divides, taken=draft.taken)
        self.query_one("#object").border_title = Content(one_line(counts(diff), 200) or "patch")
        self._bar.rest(draft.told)
