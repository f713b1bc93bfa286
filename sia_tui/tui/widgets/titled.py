"""Titles on borders."""

from __future__ import annotations

from typing import TypeVar

from textual.content import Content
from textual.widget import Widget

from sia_tui.core.text import one_line

Framed = TypeVar("Framed", bound=Widget)


def titled(widget: Framed, title: str) -> Framed:
    """The widget with a title on its border; its text is never read as markup."""
    content = Content(one_line(title, 120))
    if widget.border_title != content:
        widget.border_title = content
    return widget
