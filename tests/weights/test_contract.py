"""What the trainers lean on in TRL, held against a computation by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from sia_tui.weights import adapters
from sia_tui.weights.groups import Row, merged
from sia_tui.weights.progress import fresh
from tests.weights.bandit import job, plan

ROWS = [
    Row((3, 11, 4), (30, 31, 32), (-5.0, -4.2, -5.5), 1.3, 0.25),
    Row((3, 4), (40,), (-5.9,), -0.8, 0.5),
    Row((3, 12, 21, 22, 4), (50, 51), (-4.0, -9.0), 0.4, 0.125),
    Row((3, 12, 21, 22, 4), (50, 51), (-4.0, -9.0), 0.6, 0.125),
]
CLIP = 0.2


@pytest.fixture(scope="module")
def trainer(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A GRPO trainer just before its first step; the adapter is away from zero."""
    from sia_tui.weights import grpo
    from sia_tui.weights.looks import Training
    from sia_tui.weights.stopping import Look

    asked = job(model, tmp_path_factory.mktemp("contract"), plan(clip=CLIP))
    pipe: Any = None
    training = Training(asked, pipe, fresh(asked), None)
    training.progress.looks.append(Look(0, 0.0))
    training.load()
    for name, parameter in training.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    made = grpo.make(training)
    # The loop of transformers sets it before every step.
    made.current_gradient_accumulation_steps = 1
    yield made
    torch.use_deterministic_algorithms(False)


def by_hand(model: Any) -> torch.Tensor:
    """The clipped GRPO loss, a row at a time, without padding."""
    loss = torch.zeros(())
    for row in ROWS:
        ids = torch.tensor([[*row.prompt_ids, *row.completion_ids]])
        table = model(input_ids=ids).logits[0, len(row.prompt_ids) - 1 : -1].log_softmax(-1)
        logps = table.gather(-1, torch.tensor(row.completion_ids)[:, None])[:, 0]
        ratio = (logps - torch.tensor(row.logprobs)).exp()
        gains = torch.min(ratio * row.advantage, ratio.clamp(1 - CLIP, 1 + CLIP) * row.advantage)
        loss = loss - row.share * gains.mean()
    return loss


def gradients(model: Any) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


@pytest.mark.parametrize("cells", [1, 16, 100_000])
@pytest.mark.parametrize("narrowed", [False, True])
def test_the_gradient_is_that_of_the_loss_by_hand(
    trainer: Any, narrowed: bool, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sia_tui.weights import grpo
    from sia_tui.weights.head import narrow

    base = trainer.model.get_base_model()
    monkeypatch.setattr(base, "forward", base.forward)
    monkeypatch.setitem(grpo.CELLS, "cpu", cells)
    if narrowed:
        narrow(trainer.model)
    wanted = by_hand(trainer.model)
    wanted.backward()
    expected = gradients(trainer.model)
    loss = trainer.learn(trainer.model, merged(ROWS))
    found = gradients(trainer.model)
    assert float(loss) == pytest.approx(float(wanted.detach()), abs=1e-5)
    assert found.keys() == expected.keys() and len(found) == 14
    for name, gradient in found.items():
        assert torch.allclose(gradient, expected[name], atol=1e-5), name
    assert all(float(gradient.abs().max()) > 1e-4 for gradient in found.values())


def test_measures_are_means_over_sampled_tokens(trainer: Any) -> None:
    trainer.learn(trainer.model, merged(ROWS))
    gradients(trainer.model)
    gaps, clipped, ratios = [], [], []
    for row in ROWS:
        ids = torch.tensor([[*row.prompt_ids, *row.completion_ids]])
        with torch.no_grad():
            table = trainer.model(input_ids=ids).logits[0, len(row.prompt_ids) - 1 : -1].log_softmax(-1)
        for place, token in enumerate(row.completion_ids):
            change = float(table[place, token]) - row.logprobs[place]
            ratio = float(torch.tensor(change).exp())
            gaps.append(abs(change))
            ratios.append(ratio)
            clipped.append(ratio > 1 + CLIP if row.advantage > 0 else ratio < 1 - CLIP)
    values = trainer._training.values
    assert values["gap"] == pytest.approx(sum(gaps) / len(gaps), abs=1e-4)
    assert values["ratio"] == pytest.approx(sum(ratios) / len(ratios), rel=1e-4)
    assert values["clip"] == pytest.approx(sum(clipped) / len(clipped))
    assert 0 < values["entropy"] < 7


def test_a_step_that_teaches_nothing_moves_nothing_however_much_momentum_there_is(trainer: Any) -> None:
    optimizer = torch.optim.AdamW(trainer.model.parameters(), lr=0.01, weight_decay=0.1)
    trainer.learn(trainer.model, ROWS)
    optimizer.step()
    trainer.model.zero_grad()
    before = adapters.factors(trainer.model)
    assert float(trainer.learn(trainer.model, [])) == 0
    optimizer.step()
    assert set(adapters.moved(before, adapters.factors(trainer.model)).values()) == {0.0}


def test_what_is_overridden_and_called_exists_in_trl() -> None:
    import inspect

    from trl.trainer.grpo_trainer import GRPOTrainer
    from trl.trainer.utils import FusedCausalLMOutput

    source = inspect.getsource(GRPOTrainer._compute_loss)
    read = {"prompt_ids", "prompt_mask", "completion_ids", "completion_mask", "advantages", "old_per_token_logps"}
    assert all(f'"{name}"' in source for name in read)
    assert "self._get_per_token_logps_and_entropies(" in source
    assert "fused_lm_head=True" in inspect.getsource(GRPOTrainer._get_per_token_logps_and_entropies)
    fields = set(FusedCausalLMOutput.__dataclass_fields__)
    assert fields >= {"loss", "log_probs", "entropy", "is_top1", "label_mask"}


def test_moved_is_the_norm_of_the_change_of_the_product() -> None:
    a, b = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0], [0.0]])
    found = adapters.moved({"m": (a, b * 0, 2.0)}, {"m": (a, b, 2.0)})
    assert found == {"m": pytest.approx(2 * (9 + 36) ** 0.5)}
