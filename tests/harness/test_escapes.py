"""What harness code cannot do: every attempt in `escapes/`, at every level that stands here."""

from __future__ import annotations

from pathlib import Path

import pytest

from sia_tui.harness.container import found
from sia_tui.harness.sandbox import Isolation
from sia_tui.harness.walls import Container
from tests.harness.escaping import attempts, tried
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
