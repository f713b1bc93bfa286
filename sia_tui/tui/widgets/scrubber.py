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
from sia_tui.tui.pieces import DIM, STRONG, Line, line
from sia_tui.tui.replay import Replay
from sia_tui.tui.widgets.styled import content

_GLYPHS: dict[Kind, str] = {"gate": "◆", "kept": "●", "back": "○", "end": "■"}
_RANK: tuple[Kind, ...] = ("end", "kept", "gate", "back")
"""Which of several marks in one cell is drawn."""

TRACK = 20
"""Cells that the film itself is not to fall short of while there is anything else to leave out."""

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
        self._keys = self._fewer = ""
        self._width = 1

    def on_mount(self) -> None:
        said = {does: " ".join(shown_key(self, f"replay.{name}") for name in names) for does, names in _KEYS.items()}
        told = [f" · {keys} {does}" for does, keys in said.items()]
        # The footer names what plays.
        self._keys, self._fewer = "".join(told), "".join(told[1:])

    def show(self, replay: Replay) -> None:
        state = "▶" if replay.playing else "■" if replay.ended else "‖"
        head = f" {state} ×{replay.speed:<3} "
        time, after = self._beside(replay, self.size.width - len(head) - TRACK)
        self._before = len(head) + len(time)
        self._width = max(1, self.size.width - self._before - cell_len(after))
        drawn: Content = content(track(replay.film, replay.at_s, self._width))
        self.update(content(line((head, STRONG), (time, DIM))) + drawn + content(line((after, DIM))))

    def _beside(self, replay: Replay, room: int) -> tuple[str, str]:
        """What stands before the film and after it; in a small window less of it, the keys last."""
        at = datetime.fromisoformat(replay.moment()).astimezone()
        time, done = f"{at:%H:%M:%S} ", f" {replay.at_s / (replay.film.length_s or 1):4.0%}"
        dated = (f"{at:%d %b} {time}", f"{done}{self._keys} ")
        found = [dated, (time, f"{done}{self._fewer} "), (time, f"{self._fewer} "), (time, "")]
        return next((one for one in found if cell_len("".join(one)) <= room), found[-1])

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
