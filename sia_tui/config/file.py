"""Reading a config from its YAML file. A mistake is one line: file, key, what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from sia_tui.config.run import BESIDE, RunConfig
from sia_tui.config.sections import PlanConfig
from sia_tui.core.hashing import digest
from sia_tui.core.plans import ALGORITHMS
from sia_tui.core.text import one_line
from sia_tui.given import CONFIG, read_whole


class ConfigError(Exception):
    """A config that cannot be used, in one line."""


def load_config(path: Path, overrides: list[str] | None = None) -> RunConfig:
    """Read a YAML config and lay `a.b=value` overrides over it. Raises ConfigError."""
    try:
        text = read_whole(path, CONFIG)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; see configs/ for examples") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    tree = parse(text, str(path))
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected a mapping at the top, got {type(tree).__name__}")
    try:
        _place(tree, path.parent)
    except (ValueError, OSError) as error:
        raise ConfigError(f"{path}: task: no usable path ({one_line(str(error))})") from None
    for override in overrides or []:
        _override(tree, override)
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(f"{path}: {one_line(_first_fault(error), 600)}") from None


def hash_of(path: Path, recorded: str) -> str:
    """`recorded` where that is the hash of the config: of all it says, or of the keys that its file has, as a later version
    knows more of them; else what the hash is now. Raises ConfigError."""
    config = load_config(path)
    told = parse(read_whole(path, CONFIG), str(path))
    written = digest({name: value for name, value in told.items() if name not in BESIDE})
    return recorded if recorded in (config.hash, written) else config.hash


def _place(tree: dict[str, Any], beside: Path) -> None:
    task = tree.get("task")
    if isinstance(task, dict) and isinstance(task.get("folder"), str):
        task["folder"] = str((beside / task["folder"]).resolve())
    tissues = task.get("tissues") if isinstance(task, dict) else None
    if isinstance(tissues, dict) and isinstance(tissues.get("files"), list):
        tissues["files"] = [str((beside / str(path)).resolve()) for path in tissues["files"]]


def parse(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark else ""
        raise ConfigError(f"{where}:{line} not valid YAML ({one_line(_problem(error), 200)})") from None


def _problem(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    problem = getattr(error, "problem", None) if isinstance(error, yaml.YAMLError) else str(error)
    return problem or "cannot be parsed"


def _override(tree: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override}: expected key.path=value")
    *parents, leaf = key.split(".")
    for name in parents:
        child = tree.setdefault(name, {})
        if not isinstance(child, dict):
            raise ConfigError(f"--set {override}: {name} is not a section")
        tree = child
    tree[leaf] = parse(value, f"--set {override}")


def _first_fault(error: ValidationError) -> str:
    fault, more = error.errors()[0], error.error_count() - 1
    key = ".".join(str(part) for part in fault["loc"] if part not in ("rules", "role")) or "(top)"
    if fault["type"] == "extra_forbidden":
        said = f"{key}: unknown key; {_known(fault['loc'][:-1])}"
    elif fault["type"] == "value_error":
        said = f"{key}: {fault['ctx']['error']}"
    elif fault["type"] == "missing":
        said = f"{key}: missing"
    else:
        said = f"{key}: {fault['msg'][0].lower()}{fault['msg'][1:]}, got {fault['input']!r}"
    return said + (f" (and {more} more)" if more else "")


def _known(parents: tuple[int | str, ...]) -> str:
    model: type[BaseModel] = RunConfig
    if parents and parents[-1] in ALGORITHMS:
        return f"expected one of {', '.join(PlanConfig.model_fields)}"
    for name in parents:
        field = model.model_fields.get(str(name))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return "no key of that name is expected here"
        model = field.annotation
    return f"expected one of {', '.join(model.model_fields)}"
