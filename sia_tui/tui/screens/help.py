"""Every key that works right now, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import ModalScreen
from textual.widgets import Static

_UNTOLD = {"screen.copy_text", "help_quit", "scroll_left", "scroll_right", "page_left", "page_right"}
_SAID = {"Focus Next": "the next part of the pane", "Focus Previous": "the part before", "palette": "every command"}


class Help(ModalScreen[None]):
    """Laid over the window; any of its keys closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,f1,q,enter", "app.pop_screen", "close")]

    DEFAULT_CSS = """
    Help {
        align: center middle;
        & > VerticalScroll {
            width: 72; max-width: 100%; height: auto; max-height: 100%;
            border: round $primary; padding: 0 1; background: $surface;
        }
    }
    """

    def __init__(self, title: str, bindings: Mapping[str, ActiveBinding]) -> None:
        super().__init__()
        self._title = title
        self._text = told(bindings)

    def compose(self) -> ComposeResult:
        with VerticalScroll() as box:
            box.border_title = Content(f" keys: {self._title} ")
            box.border_subtitle = Content(" esc closes ")
            yield Static(self._text, markup=False)


def told(bindings: Mapping[str, ActiveBinding]) -> Content:
    """Keys by what they do; those of the pane first, those of the window last."""
    groups: dict[DOMNode, dict[str, list[str]]] = {}
    for key, active in bindings.items():
        binding = active.binding
        if binding.description and binding.action not in _UNTOLD and not binding.system:
            said = binding.tooltip or _SAID.get(binding.description, binding.description)
            keys = groups.setdefault(active.node, {}).setdefault(said, [])
            if (shown := binding.key_display or _plain(key)) not in keys:
                keys.append(shown)
    lines: list[Content] = []
    for rows in sorted(groups.items(), key=lambda item: -len(item[0].ancestors_with_self)):
        lines += [
            Content.assemble((f"{' '.join(keys):>20}  ", "bold $text-accent"), what) for what, keys in rows[1].items()
        ]
        lines.append(Content(""))
    return Content("\n").join(lines[:-1])


_PLAIN = {
    "question_mark": "?",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
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
