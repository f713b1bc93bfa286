"""How long a gate has waited for a person, and what the run held meanwhile."""

from __future__ import annotations

from datetime import datetime

from sia_tui.tui.view import View, age_s, ago


def waited(view: View, now: datetime) -> str:
    """`12 min`, since it was put; nothing where none waits."""
    step = view.state.current
    return ago(age_s(step.asked_at, now)) if step is not None and step.open_gate is not None and step.asked_at else ""


def held(view: View, now: datetime) -> str:
    """`16.8 GPU-h held`: of the GPUs that the living engine has had since it waits; nothing where that is nothing."""
    step, since = view.state.current, view.state.gpus_since
    if not view.alive or step is None or step.open_gate is None or not since:
        return ""
    hours = view.state.gpus * age_s(max(step.asked_at, since), now) / 3600
    return f"{hours:.1f} GPU-h held" if hours >= 0.05 else ""


def waits(view: View, now: datetime) -> str:
    """`waits 12 min · 16.8 GPU-h held`."""
    since = waited(view, now)
    return " · ".join(filter(None, (since and f"waits {since}", held(view, now))))
