"""The sections of a config: what may be said of task, policy, harness, weights, agents, evaluation, gates and budget."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from sia_tui.agents.llm.roles import Role
from sia_tui.core.plans import ALGORITHMS, OFFLINE, Algorithm, TrainPlan
from sia_tui.harness.agent import Agent
from sia_tui.harness.walls import Walls
from sia_tui.policy.nano import NanoRecipe
from sia_tui.policy.wire import VLLMSettings

_GROUP = r"^[A-Za-z_][A-Za-z0-9_.-]{0,31}$"


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class TissuesConfig(Section):
    """One's own single-cell counts, for the task denoise: .h5ad files (needs anndata) cut into tissues."""

    files: tuple[Path, ...] = Field(min_length=1)
    """Relative to the config's own folder."""
    layer: str | None = None
    """That holds raw counts; null: `counts` where there is one, else X."""
    by: str | None = None
    """A column of obs, such as donor or batch, whose every value is a tissue; null: cells are drawn into pieces."""
    cells: int = Field(250, ge=40)
    """Of one piece."""


class TaskConfig(Section):
    """Which task, and how its rows are split."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")
    """One of the house's (`sia-tui tasks ls`), or, with `folder`, one's own."""
    folder: Path | None = None
    """Of a task of one's own, which `sia-tui tasks new` makes; relative to the config's own folder."""
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
    tissues: TissuesConfig | None = None
    """Of denoise: one's own; null: made-up ones."""


class PolicyConfig(Section):
    """The model behind the gateway."""

    kind: Literal["nano", "model"] = "nano"
    recipe: NanoRecipe = NanoRecipe()
    """How the nano model is made; each field is documented there."""
    model: str | None = None
    """Of kind `model`: a Hugging Face folder, or a hub id in the local cache; remote: the server's name of it."""
    backend: Literal["hf", "vllm", "remote"] = "hf"
    """Who answers: the gateway itself, a vLLM server, or any OpenAI-compatible address (its weights are not trained)."""
    address: str | None = None
    """remote: up to and with `/v1`; vllm: of a server that runs already and reads this disk; null: one is started."""
    key_env: str | None = None
    """remote: the environment variable that holds the key, which is stored nowhere."""
    vllm: VLLMSettings = VLLMSettings()
    device: Literal["cpu", "cuda"] = "cpu"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    context: int | None = Field(None, ge=2)
    """Tokens; a limit under the model's own."""
    threads: int = Field(1, ge=1, le=64)
    max_batch: int = Field(32, ge=1, le=512)
    ready_s: float = Field(1800.0, gt=0)
    """How long loading may take."""

    @property
    def name(self) -> str:
        """What the model is called."""
        return self.kind if self.model is None else self.model if self.backend == "remote" else Path(self.model).name

    @model_validator(mode="after")
    def _fits_together(self) -> PolicyConfig:
        if (self.kind == "model") != (self.model is not None):
            raise ValueError("kind: model and a model to name go together")
        if self.backend == "remote" and (self.model is None or self.address is None):
            raise ValueError("the backend remote needs kind: model, a model and an address")
        if self.backend == "hf" and self.address is not None:
            raise ValueError("an address needs the backend vllm or remote")
        if self.backend != "remote" and self.key_env is not None:
            raise ValueError("a key_env needs the backend remote")
        return self


class PlanConfig(Section):
    """Fields of TrainPlan (`core/plans.py` says what each means and may be); null: as it stands."""

    steps: int | None = None
    cases_per_step: int | None = None
    samples: int | None = None
    cases: int | None = None
    held_out: int | None = None
    learning_rate: float | None = None
    eval_every: int | None = None
    patience: int | None = None
    rank: int | None = None
    alpha: int | None = None
    """Null: twice the rank."""
    targets: Literal["all-linear", "attention"] | None = None
    clip: float | None = None
    kl: float | None = None
    entropy: float | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    staleness: int | None = None
    gamma: float | None = None
    gae_lambda: float | None = None
    value_warmup: int | None = None
    stop_slope: int | None = None
    stop_kl: float | None = None
    stop_truncated: float | None = None
    stop_gap: float | None = None
    stop_s: float | None = None
    serve_on: tuple[int, ...] | None = None
    train_on: tuple[int, ...] | None = None
    seed: int | None = None

    @property
    def said(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True)


_ONLINE = {"steps": 30, "cases_per_step": 16, "samples": 8, "cases": 2000, "eval_every": 10}
_OFFLINE = {"steps": 60, "cases_per_step": 32, "samples": 8, "cases": 400, "eval_every": 20}
HOUSE: dict[Algorithm, dict[str, Any]] = {name: dict(_OFFLINE if name in OFFLINE else _ONLINE) for name in ALGORITHMS}
"""What a plan of each algorithm is where the config says nothing."""
HOUSE["dpo"]["kl"] = 0.1
"""Rafailov et al. 2023, arXiv 2305.18290, §6: beta."""
HOUSE["reinforce_kl"]["kl"] = 0.01


class HarnessConfig(Section):
    """How harness code is run."""

    isolation: Literal["auto", "bwrap", "landlock", "container", "none"] = "auto"
    """The walls around it; who puts up a container is said in `engine.walls`."""
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
    attempts: int = Field(1, ge=0, le=8)
    """How often an episode may ask the task's compiler, where the task has one."""
    surface: tuple[str, ...] = ("*.py", "*.md")
    """What a patch may touch, as globs below the task's package; requirements.txt is not for it to choose."""
    agent: Agent | None = None
    """The harness is a program of one's own, with the policy at OPENAI_BASE_URL; null: a Python package with `solve`."""


class WeightsConfig(Section):
    """Where and how large weights updates may be; the Feedback-Agent starts its plans from here."""

    threads: int = Field(1, ge=1, le=256)
    """Of the trainer; another number adds in another order and so gives other weights."""
    workers: int = Field(1, ge=1, le=1024)
    """Processes that share each step of a training, started by Ray wherever the cluster has room, each with a GPU of its own
    where there are any (needs `pip install '.[ray]'`). They learn what one would, up to rounding."""
    pilot: int = Field(40, ge=2)
    """Train cases that a plan is tried on before the gate."""
    held_out: int = Field(80, ge=8)
    """Train cases that training stops by."""
    rank: int = Field(32, ge=1, le=512)
    learning_rate: float = Field(4e-5, gt=0, le=0.1)
    plan: PlanConfig = PlanConfig()
    """Laid over the house's plan of every algorithm."""
    algorithms: dict[Algorithm, PlanConfig] = Field(default_factory=dict)
    """Laid over that, for one algorithm alone: `grpo: {steps: 20}`."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the trainer computes; auto: on a GPU if there is one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the base's weights and the activations while training; the adapter and its optimiser stay in float32."""
    micro_tokens: int | None = Field(None, ge=128)
    """Tokens, padding included, of one forward and backward pass: a step of more is cut into several. Never less than a
    row. Null: 2,048 on a CPU, 32,768 on a GPU."""
    turns: Literal["auto", "always"] = "auto"
    """Whether the policy sleeps while the trainer computes. auto: on GPUs that both are to use, where the estimate says that
    they do not fit side by side."""
    gradient_checkpointing: bool = False
    """Keep each layer's input alone and compute the layer again on the way back: a third slower, a fraction of the
    memory."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        placed = {one.serve_on for one in self.plans(0)}
        if len(placed) > 1:
            raise ValueError(
                "serve_on differs between algorithms, but the policy is served in one place for a whole run"
            )
        return self

    @property
    def serve_on(self) -> tuple[int, ...]:
        """GPUs that serve the policy; empty: nobody said."""
        return self.plans(0)[0].serve_on

    def plans(self, seed: int) -> tuple[TrainPlan, ...]:
        """The house's plan of each algorithm, cold start first. Raises ValueError for a value outside its range."""
        return tuple(self._plan(algorithm, seed) for algorithm in ALGORITHMS)

    def _plan(self, algorithm: Algorithm, seed: int) -> TrainPlan:
        fields: dict[str, Any] = {"held_out": self.held_out, "rank": self.rank, "learning_rate": self.learning_rate}
        fields |= {"seed": seed, **HOUSE[algorithm], **self.plan.said}
        if algorithm in self.algorithms:
            fields |= self.algorithms[algorithm].said
        return TrainPlan(algorithm=algorithm, **{"alpha": 2 * fields["rank"], **fields})


Player = Annotated[
    Annotated[Literal["playbook"], Tag("rules")] | Annotated[Role, Tag("role")],
    Discriminator(lambda given: "rules" if isinstance(given, str) else "role"),
]
"""Who plays an agent: the offline rules by name, or a language model by its block."""
Proposer = Annotated[
    Annotated[Literal["playbook", "advisor"], Tag("rules")] | Annotated[Role, Tag("role")],
    Discriminator(lambda given: "rules" if isinstance(given, str) else "role"),
]
"""Who proposes each step. advisor: the playbook, whose lever is picked by what levers paid in earlier steps."""


class AgentsConfig(Section):
    """Who writes the first harness and who proposes each step: the offline rules, or a language model."""

    meta: Player = "playbook"
    feedback: Proposer = "playbook"
    critic: Role | None = None
    """A second model that says what speaks against each proposal, whoever made it, before its gate. It decides nothing."""
    egress: Literal["none", "as configured"] = "as configured"
    """`none` refuses a config under which anything leaves this machine."""
    trials: int = Field(24, ge=0)
    """Train cases that a model may run the harness on before it proposes, each time."""
    levers: tuple[Literal["harness", "weights"], ...] = ("harness", "weights")
    """Those that the Feedback-Agent may pull, for runs that are to show what one of them does alone."""
    memory: Literal["run", "task"] = "run"
    """What agents are told of earlier steps: this run's own, or those of every run of the workspace on this task and split
    too. What a person noted on the task (`sia-tui memory`) is told either way."""
    algorithms: tuple[Algorithm, ...] = Field(ALGORITHMS, min_length=1)
    """Those that it may train by, likewise."""

    @property
    def players(self) -> dict[str, str | Role | None]:
        """Who plays each part."""
        return {"meta": self.meta, "feedback": self.feedback, "critic": self.critic}


class EvaluateConfig(Section):
    """Cases a generation is measured on; null for the whole split."""

    train: int | None = Field(400, ge=1)
    dev: int | None = Field(None, ge=2)
    """Cases that steps are measured on; null for the whole split."""
    hidden: int | None = Field(None, ge=1)
    test: int | None = Field(None, ge=1)
    open_test: bool = True
    """False for runs that are only compared with others on dev and hidden: test stays sealed at their end."""
    preview: int = Field(120, ge=2)
    """Train cases a patch is tried on before the gate."""
    cascade: int | None = Field(None, ge=2)
    """A candidate is first measured on so many dev cases, and on the others only if it is not clearly worse there."""
    attribute: bool = True
    """Of two steps of the two levers kept one after the other, the fourth cell of their two-by-two table is measured too."""
    trace: int = Field(24, ge=0)
    """At most so many dev cases that a patch of several hunks changed are answered again without each of them in turn, to
    tell which came through which. 0: none."""
    matched: int = Field(4, ge=0)
    """While a gate waits for a person the tokens of a patch that takes more than the incumbent are spent on that: at most so many
    answers to each case of the preview, of which the best is paid. 0 or 1: they are not."""
    idle_repeats: int = Field(1, ge=0)
    """While a gate waits for a person the incumbent is measured on dev so many times more, under other sampling seeds."""


class GateConfig(Section):
    policy: Literal["ask", "auto"] = "ask"
    indecisive: Literal["ask", "keep", "roll_back"] = "ask"
    """The keep rule for a result that is neither better nor worse."""
    hold_sigmas: float = Field(4.0, gt=0)
    """A result that is better on dev than on train by so many standard errors waits for a person, whatever `policy` says."""
    bound: float | None = Field(None, gt=0, le=1)
    """A mean reward on dev above this waits for a person too: what nobody could reach honestly."""
    release_s: float = Field(120.0, ge=0)
    """How long the engine waits for a person before the policy's GPUs are released; they are taken again when needed."""


class EngineConfig(Section):
    """How the engine's process behaves."""

    grace_s: float = Field(60.0, ge=0, le=3600)
    """On SIGTERM, or when the run is to pause, a training has so long to make its step and a checkpoint."""
    walls: Walls = Walls()


class ShareConfig(Section):
    """Who else of this machine's users has a part in the run, by group; nobody where nothing is said."""

    viewers: str | None = Field(None, pattern=_GROUP)
    """May read the run's log and config, and the harness' history."""
    approvers: str | None = Field(None, pattern=_GROUP)
    """May answer its gates besides, while an engine lives. To see what they answer they are viewers too."""

    @property
    def readers(self) -> str | None:
        """The group that the run's folder is given to."""
        return self.viewers or self.approvers


class BudgetConfig(Section):
    steps: int = Field(8, ge=0)
    """Proposals, at most."""
    refusals: int = Field(3, ge=1)
    target: float | None = Field(None, gt=0, le=1)
    """No new step is proposed once the incumbent's mean reward on dev is this high."""
    stall: int | None = Field(None, ge=1)
    """Nor after so many steps in a row of which none was kept; a person's no is not counted."""
    wall_s: float = Field(86_400.0, gt=0)
    """No new step is proposed past this; the one under way and test still finish."""
    tokens: int = Field(10**12, ge=1)
    """Of the policy."""
    money: float = Field(1e9, gt=0)
    """US dollars of agents' models, where their prices are known."""
    gpu_hours: float = Field(1e9, gt=0)
    """GPUs of all nodes × hours of engines' work, idle ones included; like `wall_s`."""
