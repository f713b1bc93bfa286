"""A whole run's config, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import yaml
from pydantic import model_validator

from sia_tui.agents.llm.roles import Role, is_local
from sia_tui.cluster.settings import ClusterSettings
from sia_tui.config.notify import NotifyConfig
from sia_tui.config.sections import (
    AgentsConfig,
    BudgetConfig,
    EngineConfig,
    EvaluateConfig,
    GateConfig,
    HarnessConfig,
    PolicyConfig,
    Section,
    ShareConfig,
    TaskConfig,
    WeightsConfig,
)
from sia_tui.core.hashing import digest
from sia_tui.core.loop import Rules

BESIDE = ("cluster", "engine", "mirror", "notify", "share")
"""Keys that decide nothing of what a run does."""
SENT = {
    "meta": "the task's description, its labels, public samples of train",
    "feedback": "trajectories of train and dev in full, the harness, scores on train and dev",
    "critic": "proposals, the trajectories of train and dev that they rest on, scores on train and dev",
}


@dataclass(frozen=True)
class Egress:
    """A host that is sent something."""

    host: str
    local: bool
    """It is this machine."""
    what: str

    @property
    def told(self) -> str:
        return f"{self.host}{' (this machine)' if self.local else ''} receives {self.what}"


def calls(notify: NotifyConfig) -> Iterator[Egress]:
    return (Egress(host, is_local(host), "calls: what is to be decided, and its hash") for host in notify.hosts)


class RunConfig(Section):
    """A whole run."""

    task: TaskConfig
    policy: PolicyConfig = PolicyConfig()
    harness: HarnessConfig = HarnessConfig()
    weights: WeightsConfig = WeightsConfig()
    agents: AgentsConfig = AgentsConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    gate: GateConfig = GateConfig()
    budget: BudgetConfig = BudgetConfig()
    cluster: ClusterSettings = ClusterSettings()
    mirror: Literal["none", "trackio", "wandb"] = "none"
    """Where metrics are copied to, for those who have the package; may be changed while the run goes on."""
    notify: NotifyConfig | None = None
    """Whom to call when a person is needed; null: as the user's own file says. May be changed while the run goes on."""
    share: ShareConfig = ShareConfig()
    """May be changed while the run goes on."""
    engine: EngineConfig = EngineConfig()
    """Decides nothing of what the run does; may be changed while the run goes on."""
    seed: int = 0
    """Of what the run draws; the split has its own, `task.seed`."""

    @model_validator(mode="after")
    def _levers_work(self) -> RunConfig:
        if self.policy.backend == "remote" and "weights" in self.agents.levers:
            raise ValueError("a remote policy's weights are not ours to train: set agents.levers to [harness]")
        return self

    @model_validator(mode="after")
    def _served_by_several(self) -> RunConfig:
        policy, cluster = self.policy, self.cluster
        several = cluster.replicas > 1 or cluster.serve == "nodes"
        if several and (policy.backend != "vllm" or policy.address is not None):
            raise ValueError("replicas need policy.backend vllm, without an address")
        wanted, named = cluster.replicas * self.tensor_parallel, len(self.weights.serve_on)
        if cluster.replicas > 1 and cluster.serve == "here" and policy.device == "cuda" and wanted != named:
            raise ValueError(
                f"{cluster.replicas} replicas on {self.tensor_parallel} GPUs each need {wanted} in weights.plan.serve_on, "
                f"which names {named}"
            )
        return self

    @model_validator(mode="after")
    def _one_first_harness(self) -> RunConfig:
        if self.harness.agent is not None and isinstance(self.agents.meta, Role):
            raise ValueError(
                "harness.agent is the first harness: a Meta-Agent's model has none to write, leave agents.meta out"
            )
        return self

    @model_validator(mode="after")
    def _stays_here(self) -> RunConfig:
        if self.agents.egress == "none" and (leaving := [to for to in self.egress if not to.local]):
            said = "; ".join(f"{to.host} would receive {to.what}" for to in leaving)
            raise ValueError(f"agents.egress is none, but {said}")
        return self

    @property
    def egress(self) -> tuple[Egress, ...]:
        """Every host that a run of this config sends anything to, and what."""
        said = []
        for name, role in self.agents.players.items():
            if isinstance(role, Role):
                said.append(Egress(role.host, role.local, f"the {name} agent's: {SENT[name]}"))
        policy = self.policy
        if policy.backend != "hf" and policy.address is not None:
            host = urlsplit(policy.address).hostname or policy.address
            said.append(Egress(host, is_local(host), "the policy's: every prompt of the harness"))
        if self.mirror == "wandb":
            said.append(Egress("wandb (as it is set up)", False, "metrics, names of runs"))
        return (*said, *(calls(self.notify) if self.notify else ()))

    @property
    def tensor_parallel(self) -> int:
        """GPUs over which one vLLM is split."""
        here = len(self.weights.serve_on) // self.cluster.replicas if self.cluster.serve == "here" else 1
        return self.policy.vllm.tensor_parallel or here or 1

    @property
    def public(self) -> RunConfig:
        """As it may be handed on: the address of whom it calls may be a key."""
        return self.model_copy(update={"notify": None})

    @property
    def hash(self) -> str:
        """Of all that decides what the run does."""
        return digest(self.model_dump(mode="json", exclude=set(BESIDE)))

    @property
    def rules(self) -> Rules:
        return Rules(
            max_steps=self.budget.steps,
            max_wall_s=self.budget.wall_s,
            max_tokens=self.budget.tokens,
            max_money=self.budget.money,
            max_gpu_hours=self.budget.gpu_hours,
            meta_writes=isinstance(self.agents.meta, Role),
            max_refusals=self.budget.refusals,
            target=self.budget.target,
            stall=self.budget.stall,
            indecisive=self.gate.indecisive,
            critic=self.agents.critic is not None,
            attribute=self.evaluate.attribute,
            trace=self.evaluate.trace,
        )

    def dump(self) -> str:
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
