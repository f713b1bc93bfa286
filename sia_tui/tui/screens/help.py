"""Every key that works right now, in plain words, and below them what the signs of the pane mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import Screen

from sia_tui.tui.legend import LEGENDS
from sia_tui.tui.pieces import line, wrap
from sia_tui.tui.screens.over import Over
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.styled import content
from sia_tui.tui.widgets.titled import titled

_UNTOLD = {"screen.copy_text", "help_quit", "scroll_left", "scroll_right", "page_left", "page_right"}
_SAID = {"Focus Next": "the next part of the pane", "Focus Previous": "the part before", "palette": "every command"}
_ROOM, _KEYS = 64, 15
"""Cells of a line, and of the keys at its beginning."""


class Help(Over[None]):
    """Laid over the window; any of its keys closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,f1,q,enter", "app.pop_screen", "close")]

    def __init__(self, title: str, bindings: Mapping[str, ActiveBinding]) -> None:
        super().__init__()
        self._title = title
        self._lines = [*told(bindings), *signs(title)]

    def compose(self) -> ComposeResult:
        lines = Lines(has_cursor=False, classes="box")
        lines.show_list(self._lines)
        yield titled(lines, f"keys: {self._title}{' · signs below' if self._title in LEGENDS else ''}")


def told(bindings: Mapping[str, ActiveBinding]) -> list[Content]:
    """Keys by what they do; those of the pane first, those of the window last, each on lines that begin under each other."""
    groups: dict[DOMNode, dict[str, list[str]]] = {}
    for key, active in bindings.items():
        binding = active.binding
        if binding.description and binding.action not in _UNTOLD and not binding.system:
            said = binding.tooltip or _SAID.get(binding.description, binding.description)
            keys = groups.setdefault(active.node, {}).setdefault(said, [])
            if (shown := binding.key_display or _plain(key)) not in keys:
                keys.append(shown)
    lines: list[Content] = []
    for _, rows in sorted(groups.items(), key=lambda item: _nearness(item[0])):
        for what, keys in rows.items():
            first, *more = wrap(what, _ROOM - _KEYS)
            lines.append(Content.assemble((f"{' '.join(keys):>{_KEYS - 2}}  ", "bold $text-accent"), first))
            lines += [Content(" " * _KEYS + rest) for rest in more]
        lines.append(Content(""))
    return lines[:-1]


def signs(pane: str) -> list[Content]:
    """Laid out as the keys are."""
    legend = LEGENDS.get(pane, ())
    lines = [Content("")] if legend else []
    for glyphs, what in legend:
        shown = Content(" ").join([content(line(glyph)) for glyph in glyphs])
        lines.append(Content.assemble(" " * (_KEYS - 2 - shown.cell_length), shown, "  ", what))
    return lines


def _nearness(node: DOMNode) -> tuple[bool, int]:
    """What the pane does comes before how its lists are walked through, and the window's own keys come last."""
    depth = len(node.ancestors_with_self)
    return (True, -depth) if isinstance(node, App | Screen) else (False, depth)


_PLAIN = {
    "question_mark": "?",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "left_parenthesis": "(",
    "right_parenthesis": ")",
    "slash": "/",
    "full_stop": ".",
    "comma": ",",
    "colon": ":",
    "plus": "+",
    "minus": "-",
    "space": "space",
    "escape": "esc",
    "pagedown": "pgdn",
    "pageup": "pgup",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
}


def _plain(key: str) -> str:
    return _PLAIN.get(key, key)
