"""A mistake in a config is one line that names file, key and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from sia_tui.config import ConfigError, load_config

CONFIGS = sorted(Path(__file__).parents[1].glob("configs/**/*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_shipped_configs_load(path: Path) -> None:
    config = load_config(path)
    again = path.parent / "never"
    assert not again.exists() and len(config.hash) == 64


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task: {name: lawbench}\nbudgt: {}\n", "budgt: unknown key; expected one of task, policy"),
        ("task: {name: lawbench, fold: 3}\n", "task.fold: unknown key; expected one of name, seed, folds"),
        ("task: {name: lawbench}\nbudget: {steps: many}\n", "budget.steps: input should be a valid integer"),
        ("task: {name: lawbench, dev: 0.9}\n", "task.dev: input should be less than 0.5, got 0.9"),
        ("gate: {policy: ask}\n", "task: missing"),
        ("task: [\n", "line 2: not valid YAML"),
        ("- a\n", "expected a mapping at the top, got list"),
        ("", "expected a mapping at the top, got NoneType"),
        (
            "task: {name: lawbench}\ngate: {policy: maybe}\n",
            "gate.policy: input should be 'ask' or 'auto', got 'maybe'",
        ),
        ("task: {name: lawbench}\npolicy: {kind: model}\n", "policy: kind: model and a model to name go together"),
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
