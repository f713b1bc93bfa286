"""RLOO: REINFORCE with the mean of the group's other rewards for a baseline.

Ahmadian et al. 2024 (arXiv 2402.14740). The ratio is clipped as PPO does it, which on fresh rollouts changes nothing.
"""

from __future__ import annotations

from sia_tui.weights import advantages
from sia_tui.weights.online import Estimator, learner

train = learner(Estimator(advantages.rloo))
