"""A task of one's own: a folder with cases, a reward, a first harness and a config that runs.

`task.yaml` names what is in it (`Described`); `cases.jsonl` has a case a line: `inputs` (an object of texts) or `input`
(one text), and beside it, for the reward alone, `gold` (anything, or nothing), and `split`, where the cases come divided.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sia_tui.core.containers import PROGRAMS, WALLS
from sia_tui.core.episodes import Case, Scores, Split
from sia_tui.core.hashing import digest
from sia_tui.core.text import one_line
from sia_tui.given import CASES, CONFIG, read_whole
from sia_tui.tasks import duplicates, splits
from sia_tui.tasks.judge import Judge
from sia_tui.tasks.reads import SPEC, Reads
from sia_tui.tasks.task import Task, TaskError

TASK, HARNESS = "task.yaml", "harness"
MOST_LABELS, LONGEST_LABEL = 1000, 60
LEAST = 20
"""Fewer cases than this make no four splits."""
HOST = Path(__file__).with_name("reward_host.py")
SPLITS: tuple[Split, ...] = ("train", "dev", "hidden", "test")
WITHIN = (
    *("--interactive", "--tmpfs", "/tmp", "--memory", "4g", "--pids-limit", "256"),
    *("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=256:256"),
)
"""What a reward's container is given, besides the walls of all containers."""


class Rewarded(BaseModel):
    """Who says what an answer is worth, from 0 to 1: exactly one of the three."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    function: str | None = Field(None, pattern=r"^[\w./-]+\.py:\w+$")
    """FILE:NAME in the task's folder; called with (answer, case), where case has id, inputs and gold. May be async."""
    command: tuple[str, ...] | None = Field(None, min_length=1)
    """Started in the task's folder for each answer; reads {"case", "answer"} on stdin, writes the reward as JSON."""
    image: str | None = Field(None, pattern=r"^[\w][\w./:@-]*$", max_length=400)
    """Of a container: the command runs in it, by podman or docker, without network and without anything of this machine."""
    url: str | None = Field(None, pattern=r"^https?://")
    """Asked by POST with {"case", "answer"}; answers the reward as JSON."""
    deadline_s: float = Field(10.0, gt=0, le=3600)
    requirements: str | None = None
    """A file of `name==version` lines in the task's folder: the reward runs in an environment of its own."""
    at_once: int = Field(1, ge=1, le=64)
    """Answers judged side by side, each in a process of its own."""
    files: tuple[str, ...] = ()
    """Globs below the task's folder of data that it reads besides: hashed with its code (`reads`), so that a change is seen."""

    @model_validator(mode="after")
    def _one(self) -> Rewarded:
        if sum(way is not None for way in (self.function, self.command, self.url)) != 1:
            raise ValueError("name one of function, command, url")
        if self.url is not None and self.requirements is not None:
            raise ValueError("requirements are of a function or a command; what answers at a url has its own")
        if self.image is not None and (self.command is None or self.requirements is not None):
            raise ValueError("image goes with a command, and has its own environment")
        return self


class Described(BaseModel):
    """What `task.yaml` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")
    description: str = Field(min_length=1)
    """What agents are told: what is given, what is asked, how it is scored."""
    cases: str = "cases.jsonl"
    reward: Rewarded
    labels: Literal["auto", "none"] = "auto"
    """auto: where gold is one of a few short texts that repeat, the answer is one of them."""
    test: float = Field(0.2, gt=0, lt=0.5)
    """Share of the cases that are sealed, the same whatever the seed; where cases name their split, they decide."""
    scores: Scores = "absolute"


@dataclass(frozen=True)
class Line:
    """One case as written."""

    id: str
    inputs: Mapping[str, str]
    gold: Any
    split: Split | None

    @property
    def label(self) -> str:
        """Gold as text."""
        if self.gold is None:
            return ""
        return self.gold if isinstance(self.gold, str) else json.dumps(self.gold, ensure_ascii=False, sort_keys=True)

    @property
    def text(self) -> str:
        return "\n".join(self.inputs[name] for name in sorted(self.inputs))


def described(folder: Path) -> Described:
    """Raises TaskError, with the key that is wrong."""
    path = folder / TASK
    try:
        if path.exists() and not path.is_file():
            raise TaskError(f"{path} is no file: make a task with `sia-tui tasks new`")
        told = Described.model_validate(yaml.safe_load(read_whole(path, CONFIG)))
        json.dumps(told.model_dump(), ensure_ascii=False).encode()
        return told
    except FileNotFoundError:
        raise TaskError(f"{folder} has no {TASK}: make a task with `sia-tui tasks new`") from None
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "top"
        raise TaskError(one_line(f"{path}: {where}: {fault['msg']}", 500)) from None
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise TaskError(f"{path} cannot be read: {one_line(str(error))}") from error


def read_cases(path: Path) -> list[Line]:
    """Raises TaskError, with the line that is wrong."""
    try:
        text = read_whole(path, CASES)
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{path} cannot be read: {error}") from error
    lines = [_line(f"{path.name} line {n}", row) for n, row in enumerate(text.split("\n"), 1) if row.strip()]
    repeated = [id for id, count in Counter(line.id for line in lines).items() if count > 1]
    if repeated:
        raise TaskError(
            f"{path.name}: {len(repeated)} cases stand there twice, inputs and gold alike; leave one of each"
        )
    if len(lines) < LEAST:
        raise TaskError(
            f"{path.name} has {len(lines)} cases: at least {LEAST} are needed for train, dev, hidden and test"
        )
    return lines


def _line(where: str, text: str) -> Line:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TaskError(f"{where}: no JSON ({' '.join(str(error).split())[:200]})") from error
    if not isinstance(told, dict):
        raise TaskError(f"{where}: expected an object with `inputs` or `input`")
    inputs = told.get("inputs", {"text": told.get("input")})
    if not isinstance(inputs, dict) or not inputs or not all(isinstance(value, str) for value in inputs.values()):
        raise TaskError(f"{where}: `inputs` is an object of texts, or `input` one text")
    split = told.get("split")
    if split is not None and split not in SPLITS:
        raise TaskError(f"{where}: split is one of {', '.join(SPLITS)}")
    gold = told.get("gold")
    try:
        return Line(digest([inputs, gold])[:16], inputs, gold, split)
    except UnicodeEncodeError:
        raise TaskError(f"{where}: holds half a character (a lone surrogate); write it as UTF-8") from None


def labels_of(lines: Sequence[Line], wanted: str) -> tuple[str, ...]:
    """The labels, where gold is a label: short, one line, and met more than once on the whole."""
    golds = [line.gold for line in lines]
    if wanted == "none" or not all(isinstance(gold, str) and gold.strip() for gold in golds):
        return ()
    distinct = sorted(set(golds))
    short = all(len(label) <= LONGEST_LABEL and "\n" not in label for label in distinct)
    return tuple(distinct) if short and len(distinct) <= min(MOST_LABELS, len(golds) / 2) else ()


def load(folder: Path, seed: int, folds: int, dev: float, hidden: float, limit: int | None) -> Task:
    """The task in `folder`, split by `seed`; near duplicates share a side and a fold. Raises TaskError."""
    folder = folder.resolve()
    told = described(folder)
    lines = read_cases(_inside(folder, told.cases, "cases"))
    labels = labels_of(lines, told.labels)
    inputs = {line.id: _inputs(line, bool(labels)) for line in lines}
    places = _places(lines, told, seed, folds, dev, hidden, limit, by_label=bool(labels))
    kept = {line.id: line for line in lines if line.id in places}
    return Task(
        name=told.name,
        description=told.description,
        labels=labels,
        cases={id: Case(id, place.split, inputs[id], place.fold) for id, place in places.items()},
        gold={id: line.label for id, line in kept.items()},
        counts={"cases": len(lines), "left_out": len(lines) - len(kept)},
        judge=judge_of(folder, told, kept.values()),
        seed=folder / HARNESS,
        scores=told.scores,
    )


def _inputs(line: Line, labelled: bool) -> Mapping[str, str]:
    """Of a task with labels one text, which is what its first harness and the null baselines read."""
    if not labelled or set(line.inputs) == {"text"}:
        return line.inputs
    return {"text": "\n".join(f"{name}: {line.inputs[name]}" for name in sorted(line.inputs))}


def _places(
    lines: Sequence[Line],
    told: Described,
    seed: int,
    folds: int,
    dev: float,
    hidden: float,
    limit: int | None,
    by_label: bool,
) -> dict[str, splits.Place]:
    groups = duplicates.groups([line.text for line in lines])
    items = {
        line.id: splits.Item(line.id, line.label if by_label else "", str(group))
        for line, group in zip(lines, groups, strict=True)
    }
    if any(line.split for line in lines):
        return _named(lines, items, seed, folds, limit)
    # The seal does not move with the seed: what was test once is test in every run.
    sealed = {
        id for id, place in splits.split(list(items.values()), 0, 2, told.test, 0.0).items() if place.split == "dev"
    }
    places = splits.split([item for id, item in items.items() if id not in sealed], seed, folds, dev, hidden, limit)
    return places | {id: splits.Place("test", None) for id in sealed}


def _named(
    lines: Sequence[Line], items: Mapping[str, splits.Item], seed: int, folds: int, limit: int | None
) -> dict[str, splits.Place]:
    """As the cases say; train is folded."""
    missing = set(SPLITS) - {line.split for line in lines}
    if missing or any(line.split is None for line in lines):
        raise TaskError(
            f"either every case names its split or none does; no case is {', '.join(sorted(missing)) or 'left'}"
        )
    sides: dict[str, set[str | None]] = {}
    for line in lines:
        sides.setdefault(items[line.id].group, set()).add(line.split)
    if torn := sum(len(found) > 1 for found in sides.values()):
        raise TaskError(f"{torn} groups of near duplicates stand in more than one split: put each on one side")
    train = [items[line.id] for line in lines if line.split == "train"]
    places = splits.split(train, seed, folds, 0.0, 0.0, limit)
    rest = {line.id: line.split for line in lines if line.split != "train"}
    return places | {id: splits.Place(split, None) for id, split in rest.items() if split is not None}


def judge_of(folder: Path, told: Described, lines: Iterable[Line]) -> Judge:
    """The reward in its own process. Raises TaskError for a file that is not there."""
    reward = told.reward
    reads = _reads(folder, reward)
    spec: dict[str, Any] = {"deadline_s": reward.deadline_s, "files": reads.hashes}
    asked = {line.id: {"inputs": dict(line.inputs), "json": not isinstance(line.gold, str)} for line in lines}
    beside = {"cases.json": _json(asked)}
    if reward.requirements is not None:
        beside["requirements.txt"] = _inside(folder, reward.requirements, "reward.requirements").read_bytes()
    if reward.function is not None:
        name, function = reward.function.rsplit(":", 1)
        beside["rewards.py"] = _inside(folder, name, "reward.function").read_bytes()
        spec |= {"file": "rewards.py", "function": function}
    elif reward.command is not None:
        spec["command"] = list(reward.command)
        if reward.image is not None:
            spec |= contained(reward.image)
    else:
        spec["url"] = reward.url
    beside[SPEC] = _json(spec)
    return Judge(
        HOST,
        beside,
        alone=False,
        reads=reads,
        folder=folder,
        deadline_s=reward.deadline_s + 5,
        at_once=reward.at_once,
        requirements=folder / reward.requirements if reward.requirements else None,
    )


def contained(image: str) -> dict[str, Any]:
    """What the reward's process needs to know of its container. Raises TaskError."""
    return {"image": image_id(image), "programs": PROGRAMS, "walls": (*WALLS, *WITHIN)}


def image_id(image: str) -> str:
    """What the name stands for on this machine, so that another image of that name is another verifier. Raises TaskError."""
    runtime = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if runtime is None:
        raise TaskError(f"{TASK}: reward.image: neither podman nor docker is installed here; install one of them")
    asked = [runtime, "image", "inspect", "--format", "{{.Id}}", image]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TaskError(f"{TASK}: reward.image: {runtime} does not answer ({error})") from error
    if found.returncode != 0:
        raise TaskError(f"{TASK}: reward.image: {image} is not here; get it with: {Path(runtime).name} pull {image}")
    return found.stdout.strip()


def _inside(folder: Path, name: str, key: str) -> Path:
    try:
        path = (folder / name).resolve()
        if path.is_relative_to(folder) and path.is_file() and os.access(path, os.R_OK):
            return path
    except (OSError, RuntimeError, ValueError):
        pass
    raise TaskError(f"{TASK}: {key}: there is no readable file {one_line(name, 100)!r} in {folder}")


def _reads(folder: Path, reward: Rewarded) -> Reads:
    """A function's own file is copied; what is in an image or behind an address is not here."""
    if reward.function is not None:
        own = _inside(folder, reward.function.rsplit(":", 1)[0], "reward.function")
        return Reads(folder, reward.files, code=True, copied=str(own.relative_to(folder)))
    if reward.command is not None and reward.image is None:
        return Reads(folder, reward.files, reward.command, code=True)
    return Reads(folder, reward.files)


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, sort_keys=True).encode()
