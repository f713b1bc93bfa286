"""Proof that what the gateway serves is what the trainer made: a fixed greedy probe, token by token."""

from __future__ import annotations

from collections.abc import Sequence

from sia_tui.core.episodes import Call
from sia_tui.policy.client import Gateway
from sia_tui.policy.rows import TOLERANCE
from sia_tui.weights.protocol import Probe


class NotAsTrained(Exception):
    """The served adapter says something else than the trained one."""


async def probe_gap(gateway: Gateway, adapter: str | None, probes: Sequence[Probe]) -> float:
    """Largest difference of a logprob over the probe's tokens, in nats. Raises NotAsTrained, GatewayError."""
    told = [probe for probe in probes if probe.completion_ids and _is_chat(probe)]
    if not told:
        raise NotAsTrained("the trainer gave no probe: what is served cannot be proved to be what was trained")
    gaps, tolerance = [], TOLERANCE[gateway.dtype]
    for probe in told:
        await gateway.open_lane(0, "probe", adapter=adapter)
        try:
            await gateway.chat(0, [dict(message) for message in probe.messages], max_tokens=len(probe.completion_ids))
        finally:
            calls = await gateway.close_lane(0)
        gaps.append(_gap(probe, calls[0], tolerance))
    return max(gaps)


def _is_chat(probe: Probe) -> bool:
    """A plain completion has no roles to ask it by again."""
    return all(message.get("role") in ("system", "user", "assistant", "tool") for message in probe.messages)


def _gap(probe: Probe, call: Call, tolerance: float) -> float:
    """Where two tokens are equally likely either may be the greedy one: up to there counts, and that they are."""
    if call.prompt_ids != probe.prompt_ids:
        raise NotAsTrained("the gateway reads the probe's prompt as other tokens")
    if not call.completion_ids:
        raise NotAsTrained("the gateway says nothing to the probe")
    gap = 0.0
    for trained, served, wanted, got in zip(
        probe.completion_ids, call.completion_ids, probe.logprobs, call.logprobs, strict=False
    ):
        gap = max(gap, abs(wanted - got))
        if gap > tolerance:
            raise NotAsTrained(f"served and trained logprobs differ by {gap:.4f} nats (at most {tolerance:g})")
        if trained != served:
            break
    return gap
