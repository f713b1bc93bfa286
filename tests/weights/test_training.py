"""Trainers learn, go on after a kill, and say why when there is nothing to publish.

What is about processes, a kill and how one ends, is held to real ones; the rest is run in this one, over the same pipe.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sia_tui.pickles import pickles
from sia_tui.weights.protocol import Failed, Full, Job, Left, Need, Rollout, Trained
from sia_tui.weights.whole import carry
from tests.weights.bandit import Heard, Policy, Reward, job, plan, run, run_here, start

LONG = {"steps": 24, "eval_every": 4, "patience": 20, "learning_rate": 0.03, "samples": 8}


@pytest.fixture(scope="module")
def grpo(model: Path, policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Heard]:
    asked = job(model, tmp_path_factory.mktemp("grpo"), plan(**LONG))
    return asked, run_here(asked, policy)


@pytest.fixture(scope="module")
def short(model: Path, policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Heard]:
    """What others are to come to, byte for byte, by another way."""
    asked = job(model, tmp_path_factory.mktemp("short"), plan(**LONG | {"steps": 8}))
    return asked, run_here(asked, policy)


@pytest.fixture(scope="module")
def cloning(model: Path, policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Heard]:
    asked = job(model, tmp_path_factory.mktemp("cloning"), plan(algorithm="best_of_n"))
    return asked, run_here(asked, policy)


@pytest.fixture(scope="module")
def dpo(model: Path, policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Heard]:
    asked = job(model, tmp_path_factory.mktemp("dpo"), plan(algorithm="dpo", samples=8))
    return asked, run_here(asked, policy)


def trained(heard: Heard) -> Trained:
    assert isinstance(heard.end, Trained), heard.errors
    return heard.end


def test_grpo_learns_what_pays(grpo: tuple[Job, Heard]) -> None:
    _, heard = grpo
    end = trained(heard)
    rewards = heard.curve("reward")
    assert len(rewards) == 24 and [line.step for line in heard.metrics] == list(range(25))
    assert sum(rewards[-4:]) / 4 > sum(rewards[:4]) / 4 + 0.3
    assert end.held_out_after > end.held_out_before + 0.3
    assert heard.metrics[0].values == {"held_out": end.held_out_before}
    assert max(heard.curve("sampling/sampling_logp_difference/max")) < 1e-4
    assert max(heard.curve("clip_ratio/low_mean") + heard.curve("clip_ratio/high_mean")) == 0
    assert heard.curve("kl")[-1] > heard.curve("kl")[0]
    assert set(heard.metrics[4].values) == {
        *("reward", "reward_std", "pass_1", "useful", "frac_reward_zero_std", "entropy", "kl", "ess"),
        *("loss", "grad_norm", "learning_rate", "completions/mean_length", "completions/clipped_ratio"),
        *(f"sampling/importance_sampling_ratio/{name}" for name in ("min", "mean", "max")),
        *(f"sampling/sampling_logp_difference/{name}" for name in ("mean", "max")),
        *("clip_ratio/low_mean", "clip_ratio/high_mean", "advantage/min", "advantage/max", "advantage/std"),
        *("shared_prefix", "staleness", "rollout_s", "train_s", "step_time", "peak_gib", "held_out"),
        *("completions/p95_length", "tokens", "rollout_tokens_s", "train_tokens_s"),
    }


def test_every_step_is_rolled_out_by_its_own_adapter(grpo: tuple[Job, Heard]) -> None:
    asked, heard = grpo
    train = [need for need in heard.needs if need.purpose == "train"]
    assert [need.step for need in train] == list(range(24))
    assert train[0].adapter is None
    assert {need.adapter.name for need in train[1:] if need.adapter} == {f"v{step}" for step in range(1, 24)}
    looks = [need for need in heard.needs if need.purpose == "held_out"]
    assert [need.step for need in looks] == [0, 4, 8, 12, 16, 20, 24]
    assert all(need.samples == 1 and need.cases == asked.held_out for need in looks)
    left = {path.name for path in (asked.folder / "steps").iterdir()}
    assert left == {"v20", "v24", f"v{trained(heard).best_step}"}


def test_the_published_adapter_is_plain_lora_and_says_what_the_probe_says(
    grpo: tuple[Job, Heard], policy: Policy
) -> None:
    asked, heard = grpo
    end = trained(heard)
    config = json.loads((asked.out / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] is None and not config["use_dora"] and config["bias"] == "none"
    assert sorted(path.name for path in asked.out.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    assert len(end.moved) == 7 and all(norm > 0.01 for norm in end.moved.values())
    assert 1 <= len(end.probe) <= 4
    for probe in end.probe:
        ids = list(probe.prompt_ids)
        for token, logprob in zip(probe.completion_ids, probe.logprobs, strict=True):
            table = policy.table(asked.out, tuple(ids))
            assert int(table.argmax()) == token and float(table[token]) == pytest.approx(logprob, abs=1e-4)
            ids.append(token)


def test_cloning_makes_its_lessons_likely(cloning: tuple[Job, Heard]) -> None:
    _, heard = cloning
    values = heard.metrics[0].values
    assert set(values) >= {"held_out", "reward", "pass_n", "useful", "completions/mean_length", "rollout_s"}
    losses = heard.curve("loss")
    assert len(losses) == 6 and sum(losses[4:]) / 2 < sum(losses[:3]) / 3 - 0.5
    assert [need.purpose for need in heard.needs] == ["held_out", "train", "held_out", "held_out", "held_out"]


@pytest.mark.parametrize("algorithm", ["dpo", "dr_grpo", "rloo", "reinforce_kl", "entropic", "ppo"])
def test_each_algorithm_makes_its_pay_likelier(algorithm: str, model: Path, policy: Policy, tmp_path: Path) -> None:
    settings = {"algorithm": algorithm, "steps": 12, "eval_every": 6, "samples": 8, "learning_rate": 0.03}
    heard = run_here(job(model, tmp_path, plan(**settings, value_warmup=2)), policy)
    end = trained(heard)
    assert end.held_out_after > end.held_out_before, heard.errors
    assert any(norm > 0.01 for norm in end.moved.values())
    if algorithm == "ppo":
        spread = heard.curve("explained_variance")
        assert len(spread) == 12 and len(heard.curve("value_loss")) == 12
        assert len(heard.curve("loss")) == 10, "two steps of warm-up have no policy gradient"


def test_every_algorithm_there_is_a_name_for_has_a_file() -> None:
    from sia_tui.core.plans import ALGORITHMS
    from sia_tui.weights import algorithms

    assert all(callable(algorithms.load(name)) for name in ALGORITHMS)
    folder = Path(algorithms.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == set(ALGORITHMS)


def test_rollouts_for_the_next_step_are_asked_for_while_this_one_is_learned_from(
    model: Path, policy: Policy, tmp_path: Path
) -> None:
    asked = job(model, tmp_path / "whole", plan(**LONG | {"steps": 8, "staleness": 2}))
    heard = run_here(asked, policy)
    train = [need for need in heard.needs if need.purpose == "train"]
    assert [need.step for need in train] == [0, 0, 0, 1, 2, 3, 4, 5]
    assert heard.curve("staleness") == [0, 1, 2, 2, 2, 2, 2, 2]
    assert max(heard.curve("sampling/sampling_logp_difference/mean")[:1]) < 1e-4
    assert min(heard.curve("sampling/sampling_logp_difference/mean")[3:]) > 1e-3
    broken = job(model, tmp_path / "broken", asked.plan)
    run(broken, policy, kill=lambda need: need.step == 5 and need.purpose == "train")
    run_here(broken, policy)
    assert (broken.out / "adapter_model.safetensors").read_bytes() == (
        asked.out / "adapter_model.safetensors"
    ).read_bytes()


def test_in_turns_it_says_when_it_computes_and_learns_the_very_same(
    short: tuple[Job, Heard], model: Path, policy: Policy, tmp_path: Path
) -> None:
    whole, straight = short
    asked = job(model, tmp_path, whole.plan, in_turns=True)
    heard = run_here(asked, policy)
    assert trained(heard) == trained(straight)
    assert (asked.out / "adapter_model.safetensors").read_bytes() == (
        whole.out / "adapter_model.safetensors"
    ).read_bytes()
    assert "turn" not in straight.said
    # The look at the start and the model's loading; then a step's rollouts, and every fourth time a look.
    step, look = ["need", "turn", "metrics"], ["need", "turn", "need", "turn", "metrics"]
    assert heard.said == ["need", "metrics", "turn", *(3 * step + look) * 2, "trained"]


def test_an_offline_one_takes_the_gpu_once_its_rollouts_are_there(model: Path, policy: Policy, tmp_path: Path) -> None:
    heard = run_here(job(model, tmp_path, plan(algorithm="best_of_n", steps=2), in_turns=True), policy)
    assert heard.said == ["need", "need", "metrics", "turn", "metrics", "need", "turn", "metrics", "trained"]


def test_a_person_ends_it_early_with_the_best_it_had(model: Path, policy: Policy, tmp_path: Path) -> None:
    heard = run_here(job(model, tmp_path, plan(**LONG)), policy, stop_at=6)
    end = trained(heard)
    assert end.steps == 7 and end.stopped.startswith("ana asked") and end.best_step in (4, 7)


def test_no_sample_is_asked_for_twice(grpo: tuple[Job, Heard]) -> None:
    seen = set()
    for need in (need for need in grpo[1].needs if need.purpose == "train"):
        for case, first in zip(need.cases, need.first, strict=True):
            numbers = {(case, first + sample) for sample in range(need.samples)}
            assert not numbers & seen
            seen |= numbers


def test_a_stop_rule_ends_it(model: Path, policy: Policy, tmp_path: Path) -> None:
    heard = run_here(job(model, tmp_path, plan(**LONG, stop_kl=0.001)), policy)
    assert "stop rule: KL" in trained(heard).stopped and trained(heard).steps < 24


def test_what_is_no_number_fails_it(model: Path, policy: Policy, tmp_path: Path) -> None:
    beyond = plan(**LONG | {"algorithm": "rloo"})
    heard = run_here(job(model, tmp_path, beyond), policy, reward=lambda token: 1e39 if token % 2 else 0.0)
    assert isinstance(heard.end, Failed), heard.end
    assert "of step 1 is" in heard.end.reason


@pytest.mark.parametrize(
    ("algorithm", "at"),
    [
        ("short", 6),
        pytest.param("best_of_n", 4, marks=pytest.mark.long),
        pytest.param("dpo", 4, marks=pytest.mark.long),
    ],
)
def test_a_killed_trainer_goes_on_to_the_very_same_adapter(
    algorithm: str, at: int, policy: Policy, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    whole, straight = request.getfixturevalue({"best_of_n": "cloning"}.get(algorithm, algorithm))
    broken = job(whole.model, tmp_path, whole.plan)
    first = run(broken, policy, kill=lambda need: need.step == at)
    assert first.status == -9 and first.end is None
    newest = broken.folder / "checkpoints" / f"checkpoint-{'4' if algorithm == 'short' else '2'}"
    damaged = newest.with_name(f"checkpoint-{at}")
    shutil.copytree(newest, damaged, dirs_exist_ok=True)
    (damaged / "optimizer.safetensors").write_bytes(b"cut sh")
    # That a process goes on as well is seen once: three more would only import the libraries again.
    second = run(broken, policy) if algorithm == "short" else run_here(broken, policy)
    after = int(newest.name.rpartition("-")[2]) + 1
    assert [line.step for line in second.metrics] == list(range(after, whole.plan.steps + 1)), second.errors
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (broken.out / name).read_bytes() == (whole.out / name).read_bytes()
    assert trained(second) == trained(straight)


def test_told_to_leave_it_makes_a_checkpoint_and_another_one_elsewhere_learns_the_very_same(
    short: tuple[Job, Heard], policy: Policy, tmp_path: Path
) -> None:
    whole, straight = short
    broken = job(whole.model, tmp_path, whole.plan)
    first = run_here(broken, policy, leave_at=5)
    assert first.end == Left(step=6), "between two looks"
    assert {path.name for path in broken.checkpoints.glob("checkpoint-*")} == {"checkpoint-4", "checkpoint-6"}
    assert pickles(broken.folder) == []
    elsewhere = job(whole.model, tmp_path / "elsewhere", whole.plan)
    assert carry(broken.folder, elsewhere.folder)
    shutil.rmtree(broken.folder)
    second = run_here(elsewhere, policy)
    assert [line.step for line in second.metrics] == list(range(7, whole.plan.steps + 1))
    assert (elsewhere.out / "adapter_model.safetensors").read_bytes() == (
        whole.out / "adapter_model.safetensors"
    ).read_bytes()
    assert trained(second) == trained(straight)


def test_cloning_goes_on_from_a_parent_and_stops_when_nothing_gets_better(
    grpo: tuple[Job, Heard], policy: Policy, tmp_path: Path
) -> None:
    parent = grpo[0].out
    asked = plan(algorithm="best_of_n", steps=20, eval_every=1, patience=2, learning_rate=1e-7)
    child = job(grpo[0].model, tmp_path, asked, parent=parent)
    heard = run_here(child, _Parent(policy, parent))
    end = trained(heard)
    assert end.steps == 2 and end.best_step == 2
    assert end.stopped == "no new best in 2 looks; no look was better than the start"
    assert all(0 < norm < 1e-3 for norm in end.moved.values())


class _Parent(Policy):
    """No adapter in a question means the parent's."""

    def __init__(self, policy: Policy, parent: Path) -> None:
        super().__init__(policy.folder)
        self._parent = parent

    def model(self, adapter: Path | None) -> object:
        return super().model(adapter or self._parent)


class _Shrinking(Policy):
    """From the rollouts of step 3 on, no file may grow past what an adapter takes: a checkpoint does not fit."""

    def roll(self, need: Need, reward: Reward) -> tuple[Rollout, ...]:
        if need.step >= 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        return super().roll(need, reward)


def test_without_room_it_says_so_and_goes_on_from_its_last_whole_checkpoint(
    model: Path, policy: Policy, tmp_path: Path
) -> None:
    asked = job(model, tmp_path, plan(**LONG | {"steps": 4, "eval_every": 2}))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        heard = run_here(asked, _Shrinking(policy.folder))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert isinstance(heard.end, Full), heard.end
    assert f"no room left to write in {asked.folder} (" in heard.end.reason and "MB needed)" in heard.end.reason
    assert [path.name for path in asked.checkpoints.glob("checkpoint-*")] == ["checkpoint-2"]
    assert not list(asked.folder.glob("steps/.*"))
    second = run_here(asked, policy)
    assert [line.step for line in second.metrics] == [3, 4] and trained(second).steps == 4


def test_weights_that_did_not_move_are_a_failure(model: Path, policy: Policy, tmp_path: Path) -> None:
    asked = job(model, tmp_path, plan(steps=3))
    heard = run(asked, policy, reward=lambda token: 1.0)
    assert isinstance(heard.end, Failed) and "did not move" in heard.end.reason and heard.status == 1
    assert heard.curve("useful") == [0.0] * 3 and not heard.curve("loss") and not asked.out.exists()


def test_the_trainer_dies_with_the_engine(model: Path, tmp_path: Path) -> None:
    process = start(job(model, tmp_path, plan()))
    assert process.stdin and process.stdout
    assert json.loads(process.stdout.readline())["say"] == "need"
    process.stdin.close()
    assert process.wait(5) == 3 and process.stdout.read() == b""
    process.stdout.close()


def test_what_libraries_print_stays_off_the_pipe() -> None:
    script = (
        "import os; from sia_tui.weights.pipe import Pipe; p = Pipe.take_over(); print('chatter', flush=True);"
        "os.system('echo more'); p.ask('train', ['c'], samples=2, adapter=None, step=0); os.write(1, b'raw')"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        assert [json.loads(line)["say"] for line in process.stdout] == ["need"]
        assert process.stderr.read() == b"chatter\nmore\nraw"


def test_the_protocol_needs_no_torch() -> None:
    script = "import sys, sia_tui.weights.protocol, sia_tui.weights.trainer; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
