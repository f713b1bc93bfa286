"""The value head of PPO: what a token's state is expected to earn, learned beside the policy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEARNING_RATE = 1e-3
PASSES = 4
"""Gradient steps a step of the policy: the features are there already, so they cost next to nothing."""


class Critic:
    """A layer norm and two linear layers over hidden states, with an optimizer of its own; starts at zero everywhere."""

    def __init__(self, hidden: int, clip: float, seed: int) -> None:
        """`clip`: how far a value may move from the old one in a step before it is no longer pulled (PPO's)."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            last = nn.Linear(hidden, 1)
            self._net = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, hidden), nn.Tanh(), last)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self._optimizer = torch.optim.Adam(self._net.parameters(), lr=LEARNING_RATE)
        self._clip = clip

    def values(self, states: Tensor) -> Tensor:
        """`(..., hidden)` to `(...)`, without a gradient."""
        with torch.no_grad():
            found: Tensor = self._net(states)[..., 0]
        return found

    def learn(self, states: Tensor, old: Tensor, returns: Tensor, mask: Tensor) -> dict[str, float]:
        """Move the values towards the returns, `(episodes, tokens)` all; what came of it, measured before it moved.

        The loss is PPO's clipped one: half the mean over tokens of max((V - R)^2, (V_old + clip(V - V_old) - R)^2).
        """
        inside = mask.bool()
        states, old, target = states[inside], old[inside], returns[inside].to(states)
        left = float((target - old).var(correction=0))
        spread = float(target.var(correction=0))
        losses = []
        with torch.enable_grad():
            for _ in range(PASSES):
                loss = clipped_loss(self._net(states)[..., 0], old, target, self._clip)
                self._optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                self._optimizer.step()
                losses.append(float(loss.detach()))
        return {"value_loss": losses[0], "explained_variance": 1 - left / spread if spread > 0 else 0.0}

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors alone, by flat names, as safetensors has them: the optimizer's settings are those it was made with."""
        moments = self._optimizer.state_dict()["state"]
        found = {f"net.{name}": tensor for name, tensor in self._net.state_dict().items()}
        return found | {
            f"optimizer.{at}.{name}": tensor for at, kept in moments.items() for name, tensor in kept.items()
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in state.items():
            part, _, rest = name.partition(".")
            if part == "optimizer":
                at, _, what = rest.partition(".")
                moments.setdefault(int(at), {})[what] = tensor
        self._net.load_state_dict({name[4:]: tensor for name, tensor in state.items() if name.startswith("net.")})
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": moments})


def clipped_loss(values: Tensor, old: Tensor, returns: Tensor, clip: float) -> Tensor:
    """Half the mean of max((V - R)^2, (V_old + clip(V - V_old) - R)^2), all of one shape."""
    held = old + (values - old).clamp(-clip, clip)
    return 0.5 * torch.maximum((values - returns) ** 2, (held - returns) ** 2).mean()
