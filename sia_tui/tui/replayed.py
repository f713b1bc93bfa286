"""The window on a recorded run: the same panes, a scrubber below them, and nothing to decide."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.dom import DOMNode

from sia_tui.store.reader import Answer
from sia_tui.store.workspace import RunPaths
from sia_tui.tui.app import SiaApp
from sia_tui.tui.heading import Piece
from sia_tui.tui.keymap import shown_key
from sia_tui.tui.manners import STEERING, Manners
from sia_tui.tui.panes import PANES
from sia_tui.tui.replay import Replay
from sia_tui.tui.widgets.scrubber import Scrubber
from sia_tui.tui.window import Source


class ReplayApp(SiaApp):
    """Verdicts and commands are refused in one line."""

    shown: ClassVar[tuple[str, ...]] = tuple(PANES)

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "play", "play/pause", tooltip="play the recording, or pause it; it stops at each gate"),
        Binding("comma", "step(-1)", "step back", show=False, tooltip="show the moment before"),
        Binding("full_stop", "step(1)", "step", show=False, tooltip="show the next moment"),
        Binding("less_than_sign", "jump(-1)", "jump back", show=False, tooltip="to the gate or decision before"),
        Binding("greater_than_sign", "jump(1)", "next mark", key_display=">", tooltip="to the next gate or decision"),
        Binding("left_parenthesis", "faster(-1)", "slower", show=False, tooltip="play slower"),
        Binding("right_parenthesis", "faster(1)", "faster", show=False, tooltip="play faster"),
    ]

    def __init__(self, paths: RunPaths, replay: Replay, manners: Manners | None = None) -> None:
        super().__init__(paths, lambda kind, body: self._over(), self._over, replay.now, replay, manners=manners)
        self.replay = replay
        self.source = Source(paths.db, replay.moment)
        self._scrubber = Scrubber()

    def compose(self) -> ComposeResult:
        *above, keys = super().compose()
        yield from above
        yield self._scrubber
        yield keys

    def on_mount(self) -> None:
        self.replay.play()

    def _over(self) -> Answer:
        plays = shown_key(self, "replay.play")
        return Answer(False, f"this is a recording: what was decided is decided; {plays} plays on")

    @property
    def refusal(self) -> str:
        return self._over().message

    def _check_action_state(self, action: str, default_namespace: DOMNode) -> bool | None:
        """What would decide is in no footer and no list of commands; by its key it is refused, for a reason."""
        decides = self._parse_action(action, default_namespace)[1] in STEERING
        return False if decides else super()._check_action_state(action, default_namespace)

    def action_play(self) -> None:
        self.replay.play()

    def action_step(self, way: int) -> None:
        self.replay.step(way)

    def action_jump(self, way: int) -> None:
        self.replay.jump(way)

    def action_faster(self, way: int) -> None:
        self.replay.faster(way)

    def on_scrubber_sought(self, event: Scrubber.Sought) -> None:
        self.replay.seek(event.share * self.replay.film.length_s)

    def _tick(self) -> None:
        super()._tick()
        self._scrubber.show(self.replay)

    def _head(self, left: list[Piece], right: list[Piece], loud: bool) -> None:
        """No engine is at work, whatever the moment says."""
        super()._head([(" RECORDING ", "bold reverse"), *left], [], loud)

    def action_leave(self) -> None:
        self.call_later(self.action_quit)

    async def action_quit(self) -> None:
        self.exit()
