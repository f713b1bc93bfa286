"""Parts of ours that die: started again a few times, then a fault of the run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sia_tui.engine.engine import MOST_DEATHS, Options, _Engine
from sia_tui.policy.client import GatewayDied
from sia_tui.store.lock import Hold
from sia_tui.tasks.verifier import VerifierDied


class Session:
    """As much of one as a death touches."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.left = 0
        self.config: Any = SimpleNamespace(mirror="none")
        self.report: Any = SimpleNamespace(say=self.said.append)

    async def leave_place(self) -> None:
        self.left += 1


async def test_each_part_is_borne_a_few_times_and_only_a_gateway_takes_the_place_with_it() -> None:
    session = Session()
    engine = _Engine(session, Hold(Path("/nowhere/engine.lock"), -1), Options())  # type: ignore[arg-type]
    for _ in range(MOST_DEATHS):
        await engine._bear(VerifierDied("the verifier ended with code -9"))
    assert (
        session.left == 0
        and session.said
        == ["the verifier ended with code -9; starting it again, finished episodes are kept"] * MOST_DEATHS
    )
    await engine._bear(GatewayDied("the gateway ended"))
    assert session.left == 1
    with pytest.raises(VerifierDied, match="code -9"):
        await engine._bear(VerifierDied("the verifier ended with code -9"))
