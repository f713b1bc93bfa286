"""What harness code cannot do: every attempt in `escapes/`, at every level that stands here."""

from __future__ import annotations

from pathlib import Path

import pytest

from sia_tui.harness.sandbox import Isolation
from tests.harness.escaping import attempts, tried


@pytest.mark.asyncio
async def test_attempts(level: Isolation, tmp_path: Path) -> None:
    """One test, since they share their processes and what is planted around them."""
    some = attempts()
    came = await tried(level, tmp_path, some)
    unlike = [f"{one.name}: {came[one.name]}" for one in some if not came[one.name].is_as(one.expected(level))]
    assert not unlike, "\n".join(unlike)
