"""What a GRPO step with ready rollouts costs, against TRL's own trainer on the very same rows, in one process.

    python -m tests.benchmarks.bench_training

Rows are distinct, so that nothing is gained by merging equal ones; a second table has short answers that repeat, as a policy
that picks a letter gives them. TRL's row is its GRPOTrainer as it comes, at the better of two micro-batches. Also prints the
most memory a trainer process ever held.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

from sia_tui.weights import advantages, online
from sia_tui.weights.looks import Training
from sia_tui.weights.online import Estimator
from sia_tui.weights.progress import fresh
from sia_tui.weights.sequences import Row, batch, merged, weighted
from sia_tui.weights.stopping import Look
from tests.policy.tiny import make_model
from tests.weights.bandit import Policy, job, plan, run

PROMPT, ROWS, VOCABULARY = 200, 128, 4000
TRL_MICRO = (16, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="sia-training-") as name:
        folder = Path(name)
        model = make_model(folder / "model", vocabulary=VOCABULARY, hidden=160, layers=2, context=512)
        ours, theirs = trainers(model, folder)
        print("| rows | ours s | TRL s | ours / TRL |\n|---|---|---|---|")
        for told, answer, kinds in (("distinct, 16 tokens", 16, ROWS), ("2 tokens, 10 kinds", 2, 10)):
            rows = made(answer, kinds)
            pairs = [(timed(partial(ours_step, ours, rows)), trl_step(theirs, rows)) for _ in range(rounds)]
            mine, plain = (statistics.median(some) for some in zip(*pairs, strict=True))
            ratio = statistics.median(a / b for a, b in pairs)
            print(f"| {ROWS} × {PROMPT} + {told} | {mine:.2f} | {plain:.2f} | {ratio:.2f} |", flush=True)
        heard = run(job(model, folder / "peak", plan(steps=4, cases_per_step=16, samples=8)), Policy(model))
        print(f"\na trainer process at its peak: {max(heard.curve('peak_gib')):.2f} GiB")


def trainers(model: Path, folder: Path) -> tuple[Any, Any]:
    """Ours, narrowed as it is when it trains, and TRL's own with the same settings; a model each."""
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    from sia_tui.weights.head import narrow

    made = []
    for name in ("ours", "theirs"):
        asked = job(model, folder / name, plan(rank=32, alpha=64, clip=0.2))
        nobody: Any = None
        training = Training(asked, nobody, fresh(asked), None)
        training.progress.looks.append(Look(0, 0.0))
        training.load()
        made.append(training)
    ours = online.make(made[0], Estimator(advantages.grpo))
    narrow(made[0].model)
    arguments = GRPOConfig(**made[1].arguments(), per_device_train_batch_size=2, num_generations=2, loss_type="dapo")
    theirs = GRPOTrainer(
        model=made[1].model,
        reward_funcs=lambda **_: [],
        args=arguments,
        train_dataset=Dataset.from_dict({"prompt": [""] * 4}),
        processing_class=made[1].tokenizer,
    )
    for trainer in (ours, theirs):
        trainer.current_gradient_accumulation_steps = 1
    torch.use_deterministic_algorithms(False)
    return ours, theirs


def made(answer: int, kinds: int) -> list[Row]:
    """Rows of one prompt length; `kinds` different answers, each to a prompt of its own."""
    draw = random.Random(0)
    ids = [[tuple(draw.randrange(10, 300) for _ in range(size)) for size in (PROMPT, answer)] for _ in range(kinds)]
    each = 1 / (ROWS * answer)
    return [
        Row(*ids[at % kinds], (-4.0,) * answer, (each,) * answer, ((-1.0) ** at,) * answer)  # type: ignore[arg-type]
        for at in range(ROWS)
    ]


def ours_step(trainer: Any, rows: list[Row]) -> None:
    trainer.learn(trainer.model, merged(rows))
    trainer.model.zero_grad()


def trl_step(trainer: Any, rows: list[Row]) -> float:
    """Seconds at the better micro-batch."""

    def step(micro: int) -> Callable[[], None]:
        def whole() -> None:
            trainer.model.train()
            for start in range(0, len(rows), micro):
                inputs = weighted(batch(rows[start : start + micro], 0))
                trainer.accelerator.backward(trainer.compute_loss(trainer.model, inputs))
            trainer.model.zero_grad()

        return whole

    return min(timed(step(micro)) for micro in TRL_MICRO)


def timed(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


if __name__ == "__main__":
    main()
