"""What the trainers lean on in TRL, held against a computation by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sia_tui.weights import adapters, advantages
from sia_tui.weights.progress import fresh
from sia_tui.weights.sequences import Row, merged
from tests.weights.bandit import job, plan

ROWS = [
    Row((3, 11, 4), (30, 31, 32), (-5.0, 0.0, -5.5), (0.125, 0.0, 0.125), (1.3, 0.0, 1.1)),
    Row((3, 4), (40,), (-5.9,), (0.5,), (-0.8,)),
    Row((3, 12, 21, 22, 4), (50, 51), (-4.0, -9.0), (0.0625, 0.0625), (0.4, 0.4)),
    Row((3, 12, 21, 22, 4), (50, 51), (-4.0, -9.0), (0.0625, 0.0625), (0.6, 0.6)),
]
CLIP = 0.2


def made(model: Path, folder: Path, estimator: Any, **changes: Any) -> Any:
    """An online trainer just before its first step; the adapter is away from zero."""
    from sia_tui.weights import online
    from sia_tui.weights.looks import Training
    from sia_tui.weights.stopping import Look

    asked = job(model, folder, plan(clip=CLIP, **changes))
    pipe: Any = None
    training = Training(asked, pipe, fresh(asked), None)
    training.progress.looks.append(Look(0, 0.0))
    training.load()
    for name, parameter in training.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    trainer = online.make(training, estimator)
    # The loop of transformers sets it before every step.
    trainer.current_gradient_accumulation_steps = 1
    return trainer


@pytest.fixture(scope="module")
def trainer(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from sia_tui.weights.online import Estimator

    yield made(model, tmp_path_factory.mktemp("contract"), Estimator(advantages.grpo))
    torch.use_deterministic_algorithms(False)


def logps_of(model: Any, row: Row) -> torch.Tensor:
    ids = torch.tensor([[*row.prompt_ids, *row.completion_ids]])
    table = model(input_ids=ids).logits[0, len(row.prompt_ids) - 1 : -1].log_softmax(-1)
    found: torch.Tensor = table.gather(-1, torch.tensor(row.completion_ids)[:, None])[:, 0]
    return found


def by_hand(model: Any, clipped: bool = True) -> torch.Tensor:
    """The loss of these rows, one at a time, without padding."""
    loss = torch.zeros(())
    for row in ROWS:
        logps, gains = logps_of(model, row), torch.tensor(row.advantages)
        ratio = (logps - torch.tensor(row.logprobs)).exp()
        if clipped:
            worth = torch.min(ratio * gains, ratio.clamp(1 - CLIP, 1 + CLIP) * gains)
        else:
            worth = ratio.detach() * gains * logps
        loss = loss - (torch.tensor(row.weights) * worth).sum()
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
    from sia_tui.weights.head import narrow

    base = trainer.model.get_base_model()
    monkeypatch.setattr(base, "forward", base.forward)
    monkeypatch.setattr(trainer, "_cells", cells)
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


@pytest.mark.parametrize("cells", [1, 16, 100_000])
@pytest.mark.parametrize("processes", [2, 3, 5])
def test_the_shares_of_several_processes_add_up_to_the_step(
    trainer: Any, processes: int, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sia_tui.weights import ranks

    monkeypatch.setattr(trainer, "_cells", cells)
    rows = merged(ROWS)
    wanted = float(trainer.learn(trainer.model, rows))
    expected, measured = gradients(trainer.model), dict(trainer.training.values)
    monkeypatch.setattr(ranks, "size", lambda: processes)
    total, shapes, places = 0.0, [], []
    for rank in range(processes):
        monkeypatch.setattr(ranks, "rank", lambda rank=rank: rank)
        made = list(trainer.batches(rows))
        shapes.append([len(inputs["weights"]) for _, inputs in made])
        places += [place for part, _ in made for place in part]
        loss = trainer.learn(trainer.model, rows)
        total += float(loss)
    found = gradients(trainer.model)
    assert total == pytest.approx(wanted, abs=1e-5) and sorted(places) == list(range(len(rows)))
    assert len({tuple(shape) for shape in shapes}) == 1, "as many rows at every process, or they wait for each other"
    for name, gradient in found.items():
        assert torch.allclose(gradient, expected[name], atol=1e-5), name
    assert trainer.training.values.keys() == measured.keys()


def test_without_clipping_the_ratio_is_a_plain_weight(model: Path, tmp_path: Path) -> None:
    from sia_tui.weights.online import Estimator

    trainer = made(model, tmp_path, Estimator(advantages.entropic, clipped=False))
    wanted = by_hand(trainer.model, clipped=False)
    wanted.backward()
    expected = gradients(trainer.model)
    assert float(trainer.learn(trainer.model, merged(ROWS))) == pytest.approx(float(wanted.detach()), rel=1e-5)
    for name, gradient in gradients(trainer.model).items():
        assert torch.allclose(gradient, expected[name], rtol=1e-4, atol=1e-4), name


def test_kl_to_the_base_is_in_every_token_s_advantage_and_told(model: Path, tmp_path: Path) -> None:
    from sia_tui.weights.online import Estimator

    trainer = made(model, tmp_path, Estimator(advantages.reinforce, clipped=False), kl=0.7, entropy=0.2)
    own, base = [], []
    for row in ROWS:
        with torch.no_grad():
            own.append(logps_of(trainer.model, row))
            with trainer.model.disable_adapter():
                base.append(logps_of(trainer.model, row))
    weights = torch.cat([torch.tensor(row.weights) for row in ROWS])
    cost = 0.7 * (torch.cat(own) - torch.cat(base)) + 0.2 * torch.cat(own)
    wanted = (cost * weights).sum() / weights.sum() - cost
    found = {place: inputs for part, inputs in trainer._shaped(trainer.model, ROWS) for place in part}
    assert len(found) == len(ROWS)
    at = 0
    for place, row in enumerate(ROWS):
        size = len(row.completion_ids)
        part = next(part for part, inputs in trainer.batches(ROWS) if place in part)
        shown = found[place]["advantages"][part.index(place)][:size]
        sampled = torch.tensor(row.weights) > 0
        expected = torch.tensor(row.advantages) + torch.where(sampled, wanted[at : at + size], torch.zeros(()))
        assert torch.allclose(shown, expected, atol=1e-4)
        at += size
    change = torch.cat(base) - torch.cat(own)
    kl = (change.exp() - change - 1)[weights > 0].mean()
    assert trainer.training.values["kl"] == pytest.approx(float(kl), rel=1e-3) and kl > 0
    trainer.learn(trainer.model, merged(ROWS))
    assert gradients(trainer.model)


def test_kl_is_told_though_nothing_depends_on_it(trainer: Any) -> None:
    trainer.learn(trainer.model, merged(ROWS))
    gradients(trainer.model)
    assert trainer.training.values["kl"] > 0


def test_measures_are_over_sampled_tokens(trainer: Any) -> None:
    trainer.learn(trainer.model, merged(ROWS))
    gradients(trainer.model)
    gaps, low, high, ratios = [], [], [], []
    for row in ROWS:
        with torch.no_grad():
            change = (logps_of(trainer.model, row) - torch.tensor(row.logprobs)).tolist()
        for moved, weight, advantage in zip(change, row.weights, row.advantages, strict=True):
            if not weight:
                continue
            ratio = float(torch.tensor(moved).exp())
            gaps.append(abs(moved))
            ratios.append(ratio)
            low.append(ratio < 1 - CLIP and advantage < 0)
            high.append(ratio > 1 + CLIP and advantage > 0)
    values = trainer.training.values
    assert values["sampling/sampling_logp_difference/mean"] == pytest.approx(sum(gaps) / len(gaps), abs=1e-4)
    assert values["sampling/sampling_logp_difference/max"] == pytest.approx(max(gaps), abs=1e-4)
    for name, wanted in (("mean", sum(ratios) / len(ratios)), ("min", min(ratios)), ("max", max(ratios))):
        assert values[f"sampling/importance_sampling_ratio/{name}"] == pytest.approx(wanted, rel=1e-4)
    assert values["clip_ratio/low_mean"] == pytest.approx(sum(low) / len(low))
    assert values["clip_ratio/high_mean"] == pytest.approx(sum(high) / len(high))
    assert 0 < values["entropy"] < 7


def test_short_of_memory_a_step_is_made_again_in_halves_once(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(trainer.training, "pipe", SimpleNamespace(notice=told.append))
    monkeypatch.setattr(trainer, "_cells", 4096)
    with pytest.raises(RuntimeError, match="some other"):
        trainer._halve(RuntimeError("some other"))
    trainer._halve(torch.OutOfMemoryError("CUDA out of memory"))
    assert trainer._cells == 2048 and "2048 tokens" in told[0]
    with pytest.raises(torch.OutOfMemoryError):
        trainer._halve(torch.OutOfMemoryError("CUDA out of memory"))


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
    read = {"prompt_ids", "prompt_mask", "completion_ids", "completion_mask", "tool_mask", "advantages"}
    read |= {"old_per_token_logps", "num_items_in_batch"}
    assert all(f'"{name}"' in source for name in read)
    assert "self._get_per_token_logps_and_entropies(" in source
    assert "fused_lm_head=True" in inspect.getsource(GRPOTrainer._get_per_token_logps_and_entropies)
    fields = set(FusedCausalLMOutput.__dataclass_fields__)
    assert fields >= {"loss", "log_probs", "entropy", "mean_logits", "is_top1", "label_mask"}


def test_moved_is_the_norm_of_the_change_of_the_product() -> None:
    a, b = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0], [0.0]])
    found = adapters.moved({"m": (a, b * 0, 2.0)}, {"m": (a, b, 2.0)})
    assert found == {"m": pytest.approx(2 * (9 + 36) ** 0.5)}
