"""What harness code cannot do: every attempt in `escapes/`, at every level that stands here."""

from __future__ import annotations

from pathlib import Path

import pytest

from sia_tui.harness.container import found
from sia_tui.harness.sandbox import Isolation
from sia_tui.harness.walls import Container
from tests.harness.escaping import OPEN, attempts, tried
from tests.harness.world import LEVELS


@pytest.mark.asyncio
@pytest.mark.parametrize("walls", [*LEVELS, "container"])
async def test_attempts(walls: Isolation, tmp_path: Path) -> None:
    """One test, since they share their processes and what is planted around them."""
    if walls == "container" and not (finding := found(Container())[1]).works:
        pytest.skip(str(finding))
    some = attempts()
    came = await tried(walls, tmp_path, some)
    unlike = [f"{one.name}: {came[one.name]}" for one in some if not came[one.name].is_as(one.expected(walls))]
    assert not unlike, "\n".join(unlike)


NOTHING_THERE = {
    "a key in its own environment": "the engine hands none down at any level",
    "descriptors left open": "the engine leaves none open at any level",
    "memory of the machine": "a kernel need not offer it",
    "packages of the base interpreter": "need not have any",
}
"""What gains nothing without walls either, and why."""


async def test_without_walls_what_reads_gains_what_it_tries(tmp_path: Path) -> None:
    """So a refusal elsewhere is the wall's."""
    came = await tried(OPEN, tmp_path, attempts())
    nothing = {name: one for name, one in came.items() if one.kind not in ("escaped", "seen")}
    assert len(came) > 20 and nothing.keys() <= NOTHING_THERE.keys(), nothing
