"""Results too good to be taken without a person's look: better on dev than train promised, or than anything can be."""

from __future__ import annotations

import math

from sia_tui.core import events as ev
from sia_tui.core.state import Step
from sia_tui.core.stats import Z95
from sia_tui.core.telling import percent, points

Seen = tuple[float, float]
"""A gain and its standard error."""


def surprising(step: Step, found: ev.Measured, before: float, sigmas: float, bound: float | None) -> str:
    """Why a person must look before this result is kept; nothing for one that may be believed. `before` is the incumbent's
    mean on dev."""
    after = before + found.gain
    if bound is not None and after > bound:
        return f"{percent(after)} on dev is above {percent(bound)}, which the config holds for the most there can be"
    trained = _on_train(step)
    if trained is None:
        return ""
    gain, error = trained
    apart = math.hypot(error, (found.hi - found.lo) / (2 * Z95))
    if found.gain - gain <= sigmas * apart:
        return ""
    return (
        f"{points(found.gain)} points on dev, {points(gain)} on train: {(found.gain - gain) / apart:.1f} standard errors "
        "apart, as if it knew dev"
    )


def _on_train(step: Step) -> Seen | None:
    """What train cases said of the same change: the preview of a patch, the held-out cases of a training. Of both together
    neither says enough."""
    if step.proposal.lever == "harness" and step.preview is not None:
        return step.preview.gain, (step.preview.hi - step.preview.lo) / (2 * Z95)
    plan, trained = step.proposal.plan, step.trained
    if step.proposal.lever == "weights" and plan is not None and trained is not None:
        before, after = trained.held_out_before, trained.held_out_after
        # Of rewards in [0, 1] the variance is at most that of a coin with their mean.
        return after - before, math.sqrt((before * (1 - before) + after * (1 - after)) / plan.held_out)
    return None
