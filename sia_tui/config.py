"""The typed form of the files in configs/. A mistake is one line: file, key, what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sia_tui.core.hashing import digest
from sia_tui.core.loop import Rules
from sia_tui.core.plans import TrainPlan
from sia_tui.policy.nano import NanoRecipe


class ConfigError(Exception):
    """A config that cannot be used, in one line."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskConfig(_Section):
    """Which task, and how its rows are split."""

    name: Literal["lawbench"]
    seed: int = 0
    folds: int = Field(5, ge=2, le=20)
    dev: float = Field(0.15, gt=0, lt=0.5)
    """Share of the labelled rows that steps are measured on."""
    hidden: float = Field(0.15, gt=0, lt=0.5)
    """Share of the labelled rows kept for the audit."""
    limit: int | None = Field(None, ge=50)
    """Use only so many labelled rows (and as large a share of test); null for all."""
    data: Path | None = None
    """A folder with the task's files; null: the workspace's, fetched on first use."""


class PolicyConfig(_Section):
    """The model behind the gateway."""

    kind: Literal["nano"] = "nano"
    recipe: NanoRecipe = NanoRecipe()
    """How the nano model is made; each field is documented there."""
    backend: Literal["hf"] = "hf"
    threads: int = Field(1, ge=1, le=64)
    max_batch: int = Field(32, ge=1, le=512)


class SizeConfig(_Section):
    """How much one algorithm may do; the fields are TrainPlan's."""

    steps: int = Field(ge=1)
    cases_per_step: int = Field(ge=1)
    samples: int = Field(ge=2)
    cases: int = Field(ge=1)
    eval_every: int = Field(ge=1)


class HarnessConfig(_Section):
    """How harness code is run."""

    isolation: Literal["auto", "bwrap", "landlock", "none"] = "auto"
    lanes: int = Field(32, ge=1, le=256)
    """Episodes in flight at once."""
    deadline_s: float = Field(30.0, gt=0, le=3600)
    """Wall clock of one episode."""
    prepare_s: float = Field(300.0, gt=0)
    memory_mb: int = Field(4096, ge=256)
    scratch_mb: int = Field(64, ge=1)
    max_calls: int = Field(32, ge=1)
    max_tokens: int = Field(16384, ge=16)
    """Prompt and sampled tokens of one episode."""
    surface: tuple[str, ...] = ("*.py", "*.md")
    """What a patch may touch, as globs below the task's package; requirements.txt is not for it to choose."""


class WeightsConfig(_Section):
    """Where and how large weights updates may be; the Feedback-Agent starts its plans from here."""

    threads: int = Field(1, ge=1, le=256)
    """Of the trainer; another number adds in another order and so gives other weights."""
    pilot: int = Field(40, ge=2)
    """Train cases that a plan is tried on before the gate."""
    held_out: int = Field(80, ge=8)
    """Train cases that training stops by."""
    rank: int = Field(32, ge=1, le=512)
    learning_rate: float = Field(4e-5, gt=0, le=0.1)
    cloning: SizeConfig = SizeConfig(steps=60, cases_per_step=32, samples=8, cases=400, eval_every=20)
    """Best-of-n: successes of `cases` × `samples` rollouts, cloned `cases_per_step` at a time."""
    grpo: SizeConfig = SizeConfig(steps=30, cases_per_step=16, samples=8, cases=2000, eval_every=10)

    def plans(self, seed: int) -> tuple[TrainPlan, ...]:
        """The house's plan of each algorithm, from the cold start on."""
        shared: dict[str, Any] = {"held_out": self.held_out, "rank": self.rank, "alpha": 2 * self.rank, "seed": seed}
        cloning = TrainPlan("best_of_n", learning_rate=self.learning_rate, **self.cloning.model_dump(), **shared)
        return cloning, TrainPlan("grpo", learning_rate=self.learning_rate, **self.grpo.model_dump(), **shared)


class AgentsConfig(_Section):
    meta: Literal["playbook"] = "playbook"
    feedback: Literal["playbook"] = "playbook"
    levers: tuple[Literal["harness", "weights"], ...] = ("harness", "weights")
    """Those that the Feedback-Agent may pull, for runs that are to show what one of them does alone."""


class EvaluateConfig(_Section):
    """Cases a generation is measured on; null for the whole split."""

    train: int | None = Field(400, ge=1)
    dev: int | None = Field(None, ge=2)
    hidden: int | None = Field(None, ge=1)
    test: int | None = Field(None, ge=1)
    open_test: bool = True
    """False for runs that are only compared with others on dev and hidden: test stays sealed at their end."""
    preview: int = Field(120, ge=2)
    """Train cases a patch is tried on before the gate."""


class GateConfig(_Section):
    policy: Literal["ask", "auto"] = "ask"
    indecisive: Literal["ask", "keep", "roll_back"] = "ask"
    """The keep rule for a result that is neither better nor worse."""


class BudgetConfig(_Section):
    steps: int = Field(8, ge=0)
    refusals: int = Field(3, ge=1)
    wall_s: float = Field(86_400.0, gt=0)
    """No new step is proposed past this; the one under way and test still finish."""
    tokens: int = Field(10**12, ge=1)


class RunConfig(_Section):
    """A whole run."""

    task: TaskConfig
    policy: PolicyConfig = PolicyConfig()
    harness: HarnessConfig = HarnessConfig()
    weights: WeightsConfig = WeightsConfig()
    agents: AgentsConfig = AgentsConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    gate: GateConfig = GateConfig()
    budget: BudgetConfig = BudgetConfig()
    mirror: Literal["none", "trackio", "wandb"] = "none"
    """Where metrics are copied to, for those who have the package; may be changed while the run goes on."""
    seed: int = 0

    @property
    def hash(self) -> str:
        """Of all that decides what the run does."""
        return digest(self.model_dump(mode="json", exclude={"mirror"}))

    @property
    def rules(self) -> Rules:
        return Rules(
            max_steps=self.budget.steps,
            max_wall_s=self.budget.wall_s,
            max_tokens=self.budget.tokens,
            max_refusals=self.budget.refusals,
            indecisive=self.gate.indecisive,
        )

    def dump(self) -> str:
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def load_config(path: Path, overrides: list[str] | None = None) -> RunConfig:
    """Read a YAML config and lay `a.b=value` overrides over it. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; see configs/ for examples") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    tree = _parse(text, str(path))
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected a mapping at the top, got {type(tree).__name__}")
    for override in overrides or []:
        _override(tree, override)
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first_fault(error)}") from None


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark else ""
        raise ConfigError(
            f"{where}:{line} not valid YAML ({getattr(error, 'problem', None) or 'cannot be parsed'})"
        ) from None


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
    tree[leaf] = _parse(value, f"--set {override}")


def _first_fault(error: ValidationError) -> str:
    fault, more = error.errors()[0], error.error_count() - 1
    key = ".".join(str(part) for part in fault["loc"]) or "(top)"
    if fault["type"] == "extra_forbidden":
        said = f"{key}: unknown key; {_known(fault['loc'][:-1])}"
    elif fault["type"] == "missing":
        said = f"{key}: missing"
    else:
        said = f"{key}: {fault['msg'][0].lower()}{fault['msg'][1:]}, got {fault['input']!r}"
    return said + (f" (and {more} more)" if more else "")


def _known(parents: tuple[int | str, ...]) -> str:
    model: type[BaseModel] = RunConfig
    for name in parents:
        field = model.model_fields.get(str(name))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return "no key of that name is expected here"
        model = field.annotation
    return f"expected one of {', '.join(model.model_fields)}"
