"""REINFORCE with KL to the base: r - kl KL(p || p_base), against the mean of the step's other rewards.

Williams 1992. For dense rewards where much could be lost: every case teaches, solved ones too, and the base holds on.
"""

from __future__ import annotations

from sia_tui.weights import advantages
from sia_tui.weights.online import Estimator, learner

train = learner(Estimator(advantages.reinforce, clipped=False))
