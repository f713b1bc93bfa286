"""What models and tools say is shown, never obeyed: no escape reaches a strip, no markup is read."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from textual.app import App, ComposeResult

from sia_tui.store.reader import EpisodeRow
from sia_tui.tui.app import PANES, SiaApp
from sia_tui.tui.pieces import line
from sia_tui.tui.stream import episode_line
from sia_tui.tui.widgets.card import Card
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.styled import content
from sia_tui.tui.widgets.titled import titled
from tests.tui.opened import loaded, opened, text
from tests.tui.runs import Scene, make_run

NASTY = st.text(st.one_of(st.characters(), st.sampled_from("\x1b\x9b\x00\x7f\u202e\u2066\u200b[]\\/$\r\n\t"))).map(
    lambda said: f"[/nope] {said} [bold red] \x1b[2J"
)


def steering(shown: str) -> list[str]:
    """Characters that would steer a terminal or hide what is said."""
    return [char for char in shown if char != "\n" and unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp")]


@pytest.mark.parametrize("scene", ["patch_gate", "plan_gate", "training", "done"])
async def test_no_pane_lets_a_steering_character_through(tmp_path: Path, scene: Scene) -> None:
    app = opened(make_run(tmp_path / "r", scene))
    async with app.run_test(size=(140, 50)) as pilot:
        await loaded(pilot)
        for number in range(1, len(PANES) + 2):
            await pilot.press(str(number))
            await pilot.pause(0.2)
            assert steering(text(app)) == [], f"pane {number}"
            await pilot.press("j", "enter")
            await pilot.pause(0.2)
            assert steering(text(app)) == [], f"pane {number}, opened"


class Shown(App[None]):
    CSS = SiaApp.CSS

    def compose(self) -> ComposeResult:
        yield Lines()
        yield Card()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=NASTY)
def test_any_text_is_shown_as_text(said: str) -> None:
    import asyncio

    asyncio.run(_show(said))


async def _show(said: str) -> None:
    at = "2026-01-05T07:00:00+00:00"
    row = EpisodeRow(said, "k", said, "dev", None, 0.0, said, "policy", said, 9, 1.0, "x", None, None, None, None, at)
    app = Shown()
    async with app.run_test(size=(70, 12)) as pilot:
        lines, card = app.query_one(Lines), app.query_one(Card)
        lines.show_rows(3, lambda index, width: content(episode_line(row, width, over=True)))
        card.show(lambda width, height: [line(said), line((said, "bold"))])
        titled(card, said)
        await pilot.pause()
        shown = "\n".join(strip.text for strip in app.screen._compositor.render_strips())
        assert steering(shown) == []
