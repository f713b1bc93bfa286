"""What the signs of a pane mean, where no word stands beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sia_tui.tui.grounds import LIGHTS
from sia_tui.tui.past import FATES, MARKED, SERVES, UNBORN
from sia_tui.tui.pieces import BAD, DIM, GOOD, STRONG, Piece
from sia_tui.tui.scores import AGREES, BELOW, LETTERS

Sign = tuple[Sequence[Piece], str]
"""Signs with their styles, and what they mean in turn."""

_STEPS: tuple[Sign, ...] = (
    ((SERVES,), "before a name: the generation that serves"),
    ((FATES[True], FATES[False], FATES[None]), "before a name: kept, rolled back, not decided yet"),
    ((UNBORN,), "before a name: no generation came of it"),
    ((("├", DIM), ("╰", DIM)), "came of the generation that the line leads to"),
)
_ENGINE: Sign = ((("●", GOOD),), "in the top line: the run and its engine go on")

LEGENDS: Mapping[str, tuple[Sign, ...]] = {
    "live": (
        *_STEPS,
        ((AGREES, BELOW), "after a score: hidden agrees with dev, is below"),
        (
            [(LETTERS[lever], STRONG) for lever in ("harness", "weights", "both", "stop")],
            "harness, weights, both, stop",
        ),
        ((("✓", GOOD), ("✗", BAD)), "a rollout: right, wrong"),
        ((("●", GOOD), ("◌", BAD), ("✗", BAD)), "a node or a replica: at work, behind, out"),
        _ENGINE,
    ),
    "gate": (
        (tuple(LIGHTS.values()), "a check: green, amber, red"),
        ((("✓", GOOD), ("✗", BAD)), "a case: fixed, broken; a rollout: right, wrong"),
        ((("▸", "bold $accent"),), "the hunk that is taken or dropped next"),
        _ENGINE,
    ),
    "history": (
        *_STEPS,
        ((MARKED,), "the other side of the diff"),
        ((("✓", ""), ("✗", "")), "before who decided: yes, no"),
        _ENGINE,
    ),
}
"""By pane."""
