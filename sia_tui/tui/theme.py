"""The window's own colours; the palette (ctrl+p) offers Textual's other themes."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="sia",
    primary="#5FA8D3",
    secondary="#7C8DB5",
    accent="#E0B973",
    warning="#E8A33D",
    error="#E06C75",
    success="#7FB77E",
    foreground="#D7DAE0",
    background="#14171C",
    surface="#191D24",
    panel="#242A33",
    dark=True,
)
LIGHT = Theme(
    name="sia-light",
    primary="#1F6F9F",
    secondary="#5B6B8C",
    accent="#8A5A00",
    warning="#A86400",
    error="#B3261E",
    success="#2E7D32",
    foreground="#20242B",
    background="#F7F7F5",
    surface="#EFEFEC",
    panel="#E2E2DE",
    dark=False,
)
THEMES = (DARK, LIGHT)
