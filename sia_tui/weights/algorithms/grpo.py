"""GRPO: an episode against the others of its group, in units of their spread; PPO's clipped ratio.

Shao et al. 2024 (arXiv 2402.03300). For cheap rollouts that are scored at their end.
"""

from __future__ import annotations

from sia_tui.weights import advantages
from sia_tui.weights.online import Estimator, learner

train = learner(Estimator(advantages.grpo))
