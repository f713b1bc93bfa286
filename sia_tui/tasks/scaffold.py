"""`tasks new`: from cases and a reward to a folder that runs, checks itself and can be handed on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from sia_tui.tasks import own
from sia_tui.tasks.task import TaskError

DESCRIPTION = """\
A case of {name} is given under {inputs}. {asked}
The score is the mean reward over all cases; an unanswered case earns nothing. (Written by `tasks new`: say here what the
cases are and what a good answer is, for the agents that read it.)"""
TEST = '''"""Whether the reward can be trusted: python -m pytest {folder}"""

from pathlib import Path

from sia_tui.engine.tasks import equipped
from sia_tui.store.workspace import Workspace
from sia_tui.tasks import own
from sia_tui.tasks.fit import fit, plain


def test_the_reward_pays_what_is_right_and_nothing_else() -> None:
    task = own.load(Path(__file__).parent, seed=0, folds=5, dev=0.15, hidden=0.15, limit=None)
    task = equipped(task, Workspace.locate(None), print)
    assert plain(fit(task)) == ""
'''
LABELLED = """\
# {name} with the nano policy and the playbook agents: no key, no GPU, two CPU cores. It knows no language: it learns the
# form of an answer from the cases' texts. For a real model see the keys of `policy` in sia_tui/config/sections.py.
task:
  name: {name}
  folder: .
policy:
  kind: nano
  threads: 1
evaluate:
  train: 150
  preview: 60
  hidden: 100
weights:
  learning_rate: 0.001
  pilot: 20
  held_out: 40
  plan: {{steps: 10, cases_per_step: 16, samples: 8, cases: 400, eval_every: 5}}
  algorithms:
    best_of_n: {{steps: 20, cases_per_step: 32, cases: 200, eval_every: 10}}
gate: {{policy: ask, indecisive: roll_back}}
budget: {{steps: 3, wall_s: 900}}
"""
OPEN = """\
# {name} with a model at an OpenAI-compatible address: a vLLM or llama.cpp server on this machine, or a provider. Its weights
# are not ours to train, so the harness alone is improved. To train too: backend vllm or hf, and `model` a folder.
task:
  name: {name}
  folder: .
policy:
  kind: model
  backend: remote
  address: http://localhost:8000/v1
  model: name-of-the-model
  key_env: null       # the environment variable that holds a key, where one is asked for
agents:
  levers: [harness]
  # feedback: a model, as in configs/lawbench-model-agents.yaml: the playbook knows nothing of this task
evaluate: {{train: 100, preview: 30}}
gate: {{policy: ask, indecisive: roll_back}}
budget: {{steps: 5, wall_s: 3600}}
"""


AGENT = """\
harness:
  agent:
    command: {command}
    programs: []      # programs of this machine that it starts besides: [sh, node]
  surface: {surface}
  lanes: 5            # episodes at once are one fewer, each a process
  deadline_s: 60
"""
LEFT_OUT = ("__pycache__", "venv", "*.pyc", ".*")
"""Of an agent's folder: what is made again, and where keys and histories lie."""
LARGEST = 4 * 2**20
"""Bytes of an agent's folder: it is committed, and shown to who proposes changes."""
PATCHED = (
    ".py",
    ".md",
    ".js",
    ".mjs",
    ".cjs",
    ".ts",
    ".json",
    ".yaml",
    ".yml",
    ".toml",
    ".sh",
    ".j2",
    ".jinja",
    ".rb",
    ".go",
)
"""Suffixes of files that a patch may touch by default."""


@dataclass(frozen=True)
class Ordered:
    """What `tasks new` was asked for."""

    name: str
    cases: Path
    reward: dict[str, Any]
    """As in `task.yaml`; a function's file is an absolute path, and is copied."""
    description: str | None = None
    agent: Program | None = None
    """The first harness; None: the house's."""
    beside: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """More files of the task's folder, by relative path."""


@dataclass(frozen=True)
class Program:
    """An agent that is there already."""

    command: tuple[str, ...]
    folder: Path


def new(ordered: Ordered, folder: Path, seeds: Path) -> bool:
    """Write the task's folder, whole or not at all; True for a task with labels. Raises TaskError."""
    if folder.exists() and any(folder.iterdir()):
        raise TaskError(f"{folder} is not empty: name another folder with --folder")
    draft = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        labelled = _fill(draft, ordered, folder, seeds)
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return labelled


def _fill(draft: Path, ordered: Ordered, folder: Path, seeds: Path) -> bool:
    lines = own.read_cases(ordered.cases)
    labels = own.labels_of(lines, "auto")
    reward = dict(ordered.reward)
    if "function" in reward:
        file, _, name = reward["function"].rpartition(":")
        if not Path(file).is_file():
            raise TaskError(f"no such file: {file}; --reward takes FILE.py:FUNCTION")
        shutil.copyfile(file, draft / "rewards.py")
        reward["function"] = f"rewards.py:{name}"
    if "requirements" in reward:
        shutil.copyfile(reward["requirements"], draft / "requirements.txt")
        reward["requirements"] = "requirements.txt"
    for path, content in ordered.beside.items():
        (draft / path).parent.mkdir(parents=True, exist_ok=True)
        (draft / path).write_bytes(content)
    shutil.copyfile(ordered.cases, draft / "cases.jsonl")
    told = {
        "name": ordered.name,
        "description": ordered.description or _described(ordered.name, lines, labels),
        "reward": reward,
    }
    (draft / own.TASK).write_text(
        yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=110), encoding="utf-8"
    )
    config = (LABELLED if labels else OPEN).format(name=ordered.name)
    if ordered.agent is not None:
        config += _brought(ordered.agent, draft / own.HARNESS)
    else:
        seed = seeds / ("lawbench" if labels else "open")
        shutil.copytree(seed, draft / own.HARNESS, ignore=shutil.ignore_patterns("__pycache__"))
    (draft / "run.yaml").write_text(config, encoding="utf-8")
    (draft / "test_task.py").write_text(TEST.format(folder=folder.name), encoding="utf-8")
    # Everything is read again as a run will read it.
    own.load(draft, 0, 5, 0.15, 0.15, None)
    return bool(labels)


def _brought(agent: Program, to: Path) -> str:
    """Copies the agent's folder, and gives the part of the config that starts it. Raises TaskError."""
    if not agent.folder.is_dir():
        raise TaskError(f"no such folder: {agent.folder}; --agent-dir is where the agent's files lie")
    if links := [path for path in agent.folder.rglob("*") if path.is_symlink() and not _ignored(path, agent.folder)]:
        raise TaskError(f"{links[0]} is a link: put the file itself into the agent's folder")
    shutil.copytree(agent.folder, to, ignore=shutil.ignore_patterns(*LEFT_OUT))
    files = sorted(path for path in to.rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in files)
    if size > LARGEST:
        raise TaskError(
            f"{agent.folder} has {size / 2**20:.1f} MiB, at most {LARGEST // 2**20} are taken: leave data out"
        )
    # A name with a suffix on the command line is a file of the folder, or the agent cannot begin.
    missing = [word for word in agent.command if word.endswith(PATCHED) and not (to / word).is_file()]
    if missing or not files:
        raise TaskError(
            f"{agent.folder} has no {missing[0] if missing else 'files'}: --agent names files of --agent-dir"
        )
    texts = [path for path in files if path.suffix == ".txt" and path.name != "requirements.txt"]
    surface = [f"*{suffix}" for suffix in PATCHED if any(path.suffix == suffix for path in files)]
    surface += [path.relative_to(to).as_posix() for path in texts]
    return AGENT.format(command=json.dumps(list(agent.command), ensure_ascii=False), surface=json.dumps(surface))


def _ignored(path: Path, root: Path) -> bool:
    return any(fnmatch(part, pattern) for part in path.relative_to(root).parts for pattern in LEFT_OUT)


def _described(name: str, lines: list[own.Line], labels: tuple[str, ...]) -> str:
    inputs = ", ".join(sorted({field for line in lines for field in line.inputs}))
    asked = f"The answer is one of {len(labels)} labels, spelt as in the list." if labels else "The answer is a text."
    return DESCRIPTION.format(name=name, inputs=inputs, asked=asked)
