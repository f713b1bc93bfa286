"""The config's section on machines besides the engine's own."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ClusterSettings(BaseModel):
    """Where harness workers run. Decides nothing of what their episodes come to, and may be changed while a run goes on."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    executor: Literal["local", "ray"] = "local"
    """ray (needs `pip install '.[ray]'`): on every node of a Ray cluster that has walls as good as `harness.isolation` asks."""
    address: str | None = Field(None, min_length=1)
    """host:port of a cluster that runs already, of which the engine's machine is a node, or `auto` for the one that runs
    here; null: one of this machine alone is started on loopback and ends with the engine."""
    serve: Literal["here", "nodes"] = "here"
    """Who starts the servers of policy.backend vllm. nodes (needs the executor ray): Ray actors that hold their GPUs, on any
    node; the model's folder lies at the same path on each."""
    replicas: int = Field(1, ge=1, le=256)
    """Servers that answer as the policy. here: the GPUs of serve_on are split among them, in order."""
    lag_s: float = Field(30.0, gt=0)
    """An adapter may be so much later on one of them than on another; the run then goes on without it until it has caught up."""
    slots: int | None = Field(None, ge=1, le=1024)
    """Harness workers side by side on one node; null: as many as it has CPUs."""
    join_s: float = Field(120.0, gt=0)
    """How long to wait for a node that can be used, at the beginning and when all are lost."""
    reissue: float | None = Field(4.0, gt=1)
    """Where nothing else is left to begin, an episode that takes so many times the median is begun on another node too, and
    the one that ends first counts; null: never."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.executor == "local" and self.address is not None:
            raise ValueError("an address needs the executor ray")
        if self.executor == "local" and self.serve == "nodes":
            raise ValueError("serve: nodes needs the executor ray")
        return self
