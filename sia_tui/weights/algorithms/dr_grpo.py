"""Dr. GRPO: GRPO without its two biases, towards nearly settled cases and towards long wrong answers.

Liu et al. 2025 (arXiv 2503.20783): no division by the group's spread; every token weighs the same part of a constant
length (the plan's `max_tokens`), not of its own answer's.
"""

from __future__ import annotations

from sia_tui.weights import advantages
from sia_tui.weights.online import Estimator, learner

train = learner(Estimator(advantages.dr_grpo, weighting="constant"))
