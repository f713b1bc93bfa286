"""The form of a standing yes: its limits, and what they come to."""

from __future__ import annotations

from collections.abc import Mapping

from sia_tui.core.contract import NAMES, made
from sia_tui.tui.plan_form import Field
from sia_tui.tui.screens.form import Form


def limits(title: str, to: str, lever: str = "harness") -> Form:
    """`to` says what it is a yes to, before the limits; `lever` is what it covers unless a person says otherwise."""
    begins = {"levers": lever, "steps": "3", "wall": "2h"}
    lines = [Field(name, name, begins.get(name, ""), hint) for name, hint in NAMES.items()]

    def told(values: Mapping[str, str]) -> str:
        return f"yes to {to}{made(values).told}; any red light, alarm or doubtful result ends it"

    return Form(title, lines, told, "approves")
