"""The window's own colours, and those that a person keeps in files; the palette (ctrl+p) offers Textual's too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from textual.color import ColorParseError
from textual.theme import BUILTIN_THEMES, Theme

TEXTUALS = tuple(BUILTIN_THEMES)
"""Names of those that come with Textual."""

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
    # Lines around what is not in the focus: lighter than the panel they would not be seen on paper.
    variables={"panel-lighten-2": "#9A9A94"},
)
CONTRAST = Theme(
    name="sia-contrast",
    primary="#66CCFF",
    secondary="#CCCCFF",
    accent="#FFFF66",
    warning="#FFCC00",
    error="#FF8080",
    success="#80FF80",
    foreground="#FFFFFF",
    background="#000000",
    surface="#000000",
    panel="#303030",
    dark=True,
    variables={"foreground-muted": "#D0D0D0", "text-muted": "#D0D0D0"},
)
COLOUR_BLIND = Theme(
    name="sia-colour-blind",
    # Of the palette of Okabe and Ito: good is blue, bad is orange, a warning yellow.
    primary="#56B4E9",
    secondary="#8FA3BF",
    accent="#CC79A7",
    warning="#F0E442",
    error="#E69F00",
    success="#56B4E9",
    foreground="#D7DAE0",
    background="#14171C",
    surface="#191D24",
    panel="#242A33",
    dark=True,
)
THEMES = (DARK, LIGHT, CONTRAST, COLOUR_BLIND)


class ThemeError(Exception):
    """A theme that cannot be used, in one line."""


def own_themes(folder: Path) -> tuple[list[Theme], list[str]]:
    """Themes of a person's own, one a YAML file named as it, and one line for each file that is none."""
    themes, faults = [], []
    for path in sorted(folder.glob("*.yaml")):
        try:
            themes.append(read_theme(path))
        except ThemeError as error:
            faults.append(str(error))
    return themes, faults


def read_theme(path: Path) -> Theme:
    """Colours by Textual's names (`primary: '#5FA8D3'`, …), `dark`, `variables`. Raises ThemeError."""
    import yaml

    try:
        tree: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        theme = Theme(**{**tree, "name": path.stem})
        theme.to_color_system().generate()
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ColorParseError, TypeError, ValueError) as error:
        raise ThemeError(f"{path}: no theme: {' '.join(str(error).split())[:200]}") from None
    return theme
