"""What PPO's value head has learned comes back from a checkpoint, and it learns on as if it had never stopped."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from sia_tui.weights.value import Critic


def test_it_goes_on_from_tensors_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    states, returns, mask = torch.randn(3, 4, 8), torch.randn(3, 4), torch.ones(3, 4)
    whole, other = Critic(8, 0.2, seed=1), Critic(8, 0.2, seed=2)
    save_file(whole.state_dict(), tmp_path / "new.safetensors")
    other.load_state_dict(load_file(tmp_path / "new.safetensors"))
    for _ in range(2):
        said = [critic.learn(states, critic.values(states), returns, mask) for critic in (whole, other)]
        assert said[0] == said[1] and torch.equal(whole.values(states), other.values(states))
        save_file(whole.state_dict(), tmp_path / "kept.safetensors")
        other = Critic(8, 0.2, seed=3)
        other.load_state_dict(load_file(tmp_path / "kept.safetensors"))
