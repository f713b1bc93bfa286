"""The part of the window that asks something of the open run's engine: commands, in threads, and their answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sia_tui.core.text import one_line
from sia_tui.store.reader import Answer
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths
from sia_tui.tui.keymap import shown_key
from sia_tui.tui.manners import READ_ONLY, STEERING
from sia_tui.tui.together import Together
from sia_tui.tui.view import View
from sia_tui.tui.workplace import Ask


class Steering(Together):
    """Nothing here waits on the event loop."""

    view: View
    paths: RunPaths
    _ask: Ask
    _resume: Callable[[], Answer]

    def ask_later(
        self, kind: str, body: Mapping[str, Any] | None = None, then: Callable[[Answer], None] | None = None
    ) -> None:
        """Send a command without waiting; its answer is notified, and handed to `then` on the event loop."""
        self.run_worker(partial(self._asked, kind, body or {}, then), thread=True, exit_on_error=False, group="ask")

    def ask_now(self, kind: str, body: Mapping[str, Any]) -> Answer:
        """Send a command and wait for its answer; for a thread, never for the event loop."""
        if self._manners.read_only:
            return Answer(False, READ_ONLY)
        try:
            return self._ask(kind, body)
        except (StoreError, OSError) as error:
            return Answer(False, str(error))

    def may_steer(self, run: str | None = None) -> bool:
        """Whether the person may change anything of a run, of the open one if none is named; if not, that is said. Who
        leads the open run has no say in others."""
        refused = self.refusal if self._manners.read_only or run in (None, self.paths.name) else ""
        if refused:
            self.say(refused, False)
        return not refused

    async def run_action(
        self,
        action: Any,
        default_namespace: Any = None,
        namespaces: Any = None,
    ) -> bool:
        """Whatever key, click or command it came by."""
        if refused := self.refusal:
            name = self._parse_action(action, default_namespace or self, namespaces)[1]
            if name in STEERING:
                self.say(refused, False)
                return True
        return await super().run_action(action, default_namespace, namespaces)

    def action_pause(self) -> None:
        if self.view.state.status == "paused" and not self.view.alive:
            self.action_start()
        elif not self.view.alive:
            self.notify(f"no engine is running: {shown_key(self, 'app.start')} starts it", severity="warning")
        else:
            self.ask_later("resume" if self.view.state.status == "paused" else "pause")

    def action_end_training(self) -> None:
        self.ask_later("stop-training")

    def action_end_contract(self) -> None:
        self.ask_later("end-contract")

    def action_start(self) -> None:
        self.notify("starting an engine")
        self.run_worker(self._start, thread=True, exit_on_error=False, group="start", exclusive=True)

    def _asked(self, kind: str, body: Mapping[str, Any], then: Callable[[Answer], None] | None) -> None:
        self.call_from_thread(self._answered, self.ask_now(kind, body), then)

    def _answered(self, answer: Answer, then: Callable[[Answer], None] | None) -> None:
        self.say(answer.message, answer.ok)
        if then is not None:
            then(answer)

    def _start(self) -> None:
        try:
            answer = self._resume()
        except (StoreError, OSError) as error:
            answer = Answer(False, str(error))
        self.call_from_thread(self._answered, answer, None)

    def say(self, message: str, ok: bool) -> None:
        self.notify(one_line(message, 400), severity="information" if ok else "error", markup=False)
