"""Entropic weighting: the rare large wins of a group carry the update, and no more of it than ln 2 nats.

TTT-Discover (arXiv 2601.16175): plain importance sampling without clipping, advantages by `advantages.entropic`. For
sparse rewards that are skewed to the right.
"""

from __future__ import annotations

from sia_tui.weights import advantages
from sia_tui.weights.online import Estimator, learner

train = learner(Estimator(advantages.entropic, clipped=False))
