"""Where in a recorded run the window is, and how it plays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from sia_tui.tui.film import Film, Kind
from sia_tui.tui.keymap import shown_key
from sia_tui.tui.pieces import DIM, STRONG, Line, Piece, line
from sia_tui.tui.replay import Replay
from sia_tui.tui.widgets.styled import content

_GLYPHS: dict[Kind, str] = {"gate": "◆", "kept": "●", "back": "○", "end": "■"}
_RANK: tuple[Kind, ...] = ("end", "kept", "gate", "back")
"""Which of several marks in one cell is drawn."""

_KEYS = {
    "plays": ("play",),
    "step": ("step-back", "step"),
    "jump": ("jump-back", "next-mark"),
    "speed": ("slower", "faster"),
}
"""What the bindings of these names do."""


class Scrubber(Static):
    """One line; a click seeks."""

    DEFAULT_CSS = "Scrubber { height: 1; background: $panel; text-wrap: nowrap; }"

    @dataclass
    class Sought(Message):
        share: float
        """Of the film, from 0 to 1."""

    def __init__(self) -> None:
        super().__init__(markup=False)
        self._before = 0
        self._said = ""
        self._width = 1

    def on_mount(self) -> None:
        said = {does: " ".join(shown_key(self, f"replay.{name}") for name in names) for does, names in _KEYS.items()}
        self._said = " · ".join(f"{keys} {does}" for does, keys in said.items())

    def show(self, replay: Replay) -> None:
        at = datetime.fromisoformat(replay.moment()).astimezone()
        state = "▶" if replay.playing else "■" if replay.ended else "‖"
        before: list[Piece] = [(f" {state} ", STRONG), f"×{replay.speed:<3} ", (f"{at:%H:%M:%S} ", DIM)]
        after = f" {replay.at_s / (replay.film.length_s or 1):4.0%} · {self._said} "
        self._before = sum(cell_len(piece if isinstance(piece, str) else piece[0]) for piece in before)
        room = self.size.width - self._before - cell_len(after)
        if room < 20:
            after, room = "", self.size.width - self._before
        self._width = max(1, room)
        drawn: Content = content(track(replay.film, replay.at_s, self._width))
        self.update(content(line(*before)) + drawn + content(line((after, DIM))))

    def on_click(self, event: events.Click) -> None:
        share = (event.x - self._before) / max(1, self._width - 1)
        if 0 <= share <= 1:
            self.post_message(self.Sought(share))


def track(film: Film, at_s: float, width: int) -> Line:
    """The film as so many cells: what was played is bright, and what is worth stopping at has its sign."""
    length = film.length_s or 1.0
    signs = ["─"] * width
    for kind in reversed(_RANK):
        for mark in film.marks:
            if mark.kind == kind:
                signs[_cell(mark.at_s / length, width)] = _GLYPHS[kind]
    here = _cell(at_s / length, width)
    played = "".join(signs[:here]).replace("─", "━")
    return line((played, "$accent"), ("┃", STRONG), ("".join(signs[here + 1 :]), DIM))


def _cell(share: float, width: int) -> int:
    return min(width - 1, int(share * width))
