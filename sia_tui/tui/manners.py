"""How the window behaves, as a person has set it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textual.app import App

from sia_tui.tui.ascii import Ascii
from sia_tui.tui.theme import THEMES, own_themes

STEERING = frozenset(
    {
        *("approve", "reject", "other_lever", "more_evidence", "until", "edit", "defer", "end_contract"),
        *("go_back", "confirm", "pause", "end_training", "start", "branch", "revive"),
    }
)
"""Actions that a window opened to read only does not do."""
READ_ONLY = "this window only reads: open it without --read-only to decide"


@dataclass(frozen=True)
class Manners:
    """As in the user's file: `theme` and `ascii` of its `ui`, `keys`."""

    theme: str = THEMES[0].name
    ascii: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)
    """Binding ids and the keys they have instead."""
    themes: Path | None = None
    """Folder of a person's own."""
    read_only: bool = False


def dress(app: App[Any], manners: Manners) -> list[str]:
    """Give the app its themes, its keys and, where asked, plain letters; one line for whatever cannot be."""
    own, faults = own_themes(manners.themes) if manners.themes else ([], [])
    for theme in (*THEMES, *own):
        app.register_theme(theme)
    found = manners.theme in app.available_themes
    app.theme = manners.theme if found else THEMES[0].name
    if manners.ascii:
        app._filters.append(Ascii())
    app.set_keymap(dict(manners.keys))
    return faults if found else [*faults, f"ui.theme: there is no theme {manners.theme}; see: sia-tui config show"]
