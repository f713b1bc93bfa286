"""A mistake in a config is one line that names file, key and what was expected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sia_tui.cli.again import config_of
from sia_tui.config import ConfigError, PlanConfig, load_config
from sia_tui.core.plans import ALGORITHMS, TrainPlan
from sia_tui.store.workspace import RunPaths

FOLDER = Path(__file__).parents[1] / "configs"
CONFIGS = sorted(FOLDER.glob("**/*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_shipped_configs_load(path: Path) -> None:
    config = load_config(path)
    again = path.parent / "never"
    assert not again.exists() and len(config.hash) == 64


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task: {name: lawbench}\nbudgt: {}\n", "budgt: unknown key; expected one of task, policy"),
        ("task: {name: lawbench, fold: 3}\n", "task.fold: unknown key; expected one of name, folder, seed, folds"),
        ("task: {name: lawbench}\nbudget: {steps: many}\n", "budget.steps: input should be a valid integer"),
        ("task: {name: lawbench, dev: 0.9}\n", "task.dev: input should be less than 0.5, got 0.9"),
        ("gate: {policy: ask}\n", "task: missing"),
        ("task: [\n", "line 2: not valid YAML"),
        ("- a\n", "expected a mapping at the top, got list"),
        ("", "expected a mapping at the top, got NoneType"),
        (
            "task: {name: lawbench}\nweights: {plan: {samples: 1}}\n",
            "weights: plan: samples must lie in [2, 1024], got 1",
        ),
        (
            "task: {name: lawbench}\nweights: {algorithms: {grpo: {stepz: 1}}}\n",
            "weights.algorithms.grpo.stepz: unknown key; expected one of steps, cases_per_step",
        ),
        ("task: {name: lawbench}\nweights: {algorithms: {magic: {}}}\n", "input should be 'best_of_n', 'dpo', 'grpo'"),
        ("task: {name: lawbench}\nweights: {dtype: int4}\n", "weights.dtype: input should be 'float32' or 'bfloat16'"),
        (
            "task: {name: lawbench}\ngate: {policy: maybe}\n",
            "gate.policy: input should be 'ask' or 'auto', got 'maybe'",
        ),
        ("task: {name: lawbench}\npolicy: {kind: model}\n", "policy: kind: model and a model to name go together"),
        ("task: {name: lawbench}\ncluster: {serve: nodes}\n", "cluster: serve: nodes needs the executor ray"),
        (
            "task: {name: lawbench}\ncluster: {replicas: 2}\n",
            "(top): replicas need policy.backend vllm, without an address",
        ),
        (
            "task: {name: lawbench}\ncluster: {replicas: 2}\npolicy: {backend: vllm, device: cuda}\n"
            "weights: {plan: {serve_on: [0, 1, 2]}}\n",
            "(top): 2 replicas on 1 GPUs each need 2 in weights.plan.serve_on, which names 3",
        ),
        (
            "task: {name: lawbench}\npolicy: {kind: model, model: m, backend: remote}\n",
            "policy: the backend remote needs kind: model, a model and an address",
        ),
        (
            "task: {name: lawbench}\npolicy: {kind: model, model: m, backend: remote, address: 'http://x/v1'}\n",
            "(top): a remote policy's weights are not ours to train: set agents.levers to [harness]",
        ),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:") and said in message and "\n" not in message


def test_a_critic_is_named_to_whoever_wants_nothing_to_leave(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("task: {name: lawbench}\nagents: {critic: {model: 'anthropic:m'}}\n")
    config = load_config(path)
    (to,) = config.egress
    assert (to.host, to.local) == ("api.anthropic.com", False) and to.what.startswith("the critic agent's: proposals")
    assert config.rules.critic and not load_config(FOLDER / "lawbench-nano.yaml").rules.critic
    with pytest.raises(ConfigError, match=r"agents\.egress is none, but api\.anthropic\.com would receive"):
        load_config(path, ["agents.egress=none"])
    with pytest.raises(ConfigError, match=r"agents\.critic: .*'playbook'"):
        load_config(path, ["agents.critic=playbook"])


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "none.yaml")


def test_overrides_lie_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("task: {name: lawbench}\n")
    config = load_config(path, ["budget.steps=2", "task.limit=100", "gate.policy=auto"])
    assert (config.budget.steps, config.task.limit, config.gate.policy) == (2, 100, "auto")
    for bad in ("budget", "=1", "task.name.x=1"):
        with pytest.raises(ConfigError, match="--set"):
            load_config(path, [bad])


def test_what_a_run_stores_is_the_same_config(tmp_path: Path) -> None:
    path, again = tmp_path / "c.yaml", tmp_path / "again.yaml"
    path.write_text("task: {name: lawbench}\nseed: 3\n")
    config = load_config(path)
    again.write_text(config.dump())
    assert load_config(again).hash == config.hash


def test_a_plan_for_every_algorithm_and_the_numbers_the_results_were_made_with() -> None:
    plans = {plan.algorithm: plan for plan in load_config(FOLDER / "lawbench-nano.yaml").weights.plans(3)}
    assert tuple(plans) == ALGORITHMS
    shared = {"held_out": 80, "learning_rate": 0.001, "rank": 32, "alpha": 64, "seed": 3}
    assert plans["best_of_n"] == TrainPlan("best_of_n", 40, 32, 8, 400, eval_every=10, **shared)  # type: ignore[arg-type]
    assert plans["grpo"] == TrainPlan("grpo", 20, 16, 8, 2000, eval_every=5, **shared)  # type: ignore[arg-type]
    quick = {plan.algorithm: plan for plan in load_config(FOLDER / "lawbench-nano-quick.yaml").weights.plans(0)}
    shared |= {"held_out": 40, "seed": 0}
    assert quick["best_of_n"] == TrainPlan("best_of_n", 20, 32, 8, 200, eval_every=10, **shared)  # type: ignore[arg-type]
    assert quick["grpo"] == TrainPlan("grpo", 10, 16, 8, 400, eval_every=5, **shared)  # type: ignore[arg-type]


def test_the_special_lies_over_the_general_over_the_houses(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("task: {name: lawbench}\nweights: {plan: {kl: 0.2, rank: 8}, algorithms: {grpo: {kl: 0.3}}}\n")
    plans = {plan.algorithm: plan for plan in load_config(path).weights.plans(0)}
    assert (plans["rloo"].kl, plans["grpo"].kl, plans["rloo"].alpha) == (0.2, 0.3, 16)
    path.write_text("task: {name: lawbench}\n")
    house = {plan.algorithm: plan for plan in load_config(path).weights.plans(0)}
    assert house["dpo"].kl > 0 and house["reinforce_kl"].kl > 0 and house["grpo"].kl == 0
    assert (house["best_of_n"].steps, house["grpo"].steps, house["ppo"].steps) == (60, 30, 30)


def test_every_field_of_a_plan_can_be_said_in_a_config() -> None:
    assert set(PlanConfig.model_fields) == set(TrainPlan.__dataclass_fields__) - {"algorithm"}


def test_the_configs_for_clusters_are_others_carried_about() -> None:
    for name, place in (("lawbench-nano-quick", "."), ("qwen3-8b", "h100")):
        config, other = load_config(FOLDER / "cluster" / f"{name}.yaml"), load_config(FOLDER / place / f"{name}.yaml")
        assert config.cluster.executor == "ray" and config.weights.workers > 1
        assert (config.task, config.evaluate, config.gate) == (other.task, other.evaluate, other.gate)
        assert [replace(plan, serve_on=()) for plan in config.weights.plans(0)] == list(other.weights.plans(0))


@pytest.mark.parametrize("path", sorted((FOLDER / "h100").glob("*.yaml")), ids=lambda path: path.name)
def test_a_config_for_the_real_thing_says_whether_it_ran(path: Path) -> None:
    stamp = path.read_text().splitlines()[0]
    assert stamp == "# never run" or stamp.startswith("# ran on ")
    weights = load_config(path).weights
    assert (weights.rank, weights.learning_rate, weights.dtype) == (32, 4e-5, "bfloat16")


def test_the_advisor_proposes_steps_and_writes_no_harness(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("task: {name: lawbench}\nagents: {feedback: advisor}\n")
    assert load_config(path).agents.feedback == "advisor" and load_config(path).egress == ()
    with pytest.raises(ConfigError, match=r"agents\.meta: input should be 'playbook', got 'advisor'"):
        load_config(path, ["agents.meta=advisor"])


def test_whom_a_run_calls_is_beside_what_it_does(tmp_path: Path) -> None:
    path = tmp_path / "run" / "config.yaml"
    path.parent.mkdir()
    before = load_config(FOLDER / "lawbench-nano.yaml")
    called = load_config(FOLDER / "lawbench-nano.yaml", ["notify.webhook=https://hooks.example.org/secret"])
    assert called.hash == before.hash and called.public == before
    assert "hooks.example.org" in {to.host for to in called.egress}
    path.write_text(called.dump())
    shown = config_of(RunPaths(path.parent))
    assert "secret" not in shown and load_config(path) == called
    path.write_text(shown)
    assert load_config(path) == before
    path.write_text(f'{shown}"notify": {{webhook: "https://hooks.example.org/secret"}}')
    assert config_of(RunPaths(path.parent)) == shown
