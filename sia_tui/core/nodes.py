"""Machines that work for a run: what happens to them, and what is kept of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from sia_tui.core.event import Event

NodeStatus = Literal["working", "refused", "lost"]


@dataclass(frozen=True)
class NodeJoined(Event):
    """A machine takes part from here on, or again."""

    node: str
    """Its name; no two machines of a cluster have the same."""
    slots: int
    """Harness workers at once."""
    gpus: int
    isolation: str
    """Of harness code there."""
    own: bool = False
    """It is the engine's own machine."""


@dataclass(frozen=True)
class NodeRefused(Event):
    """A machine on which no episodes are made; its GPUs are there for trainings and servers all the same."""

    node: str
    why: str
    gpus: int = 0
    own: bool = False


@dataclass(frozen=True)
class NodeLost(Event):
    node: str
    why: str


@dataclass(frozen=True)
class EpisodesReissued(Event):
    """Episodes under way on a node were begun anew: it was lost, or they were late. Each counts once, whoever ends it."""

    node: str
    count: int
    why: Literal["lost", "late"]


@dataclass(frozen=True)
class Node:
    name: str
    slots: int = 0
    gpus: int = 0
    isolation: str = ""
    standing: NodeStatus = "working"
    why: str = ""
    """It is refused or lost."""
    lost: int = 0
    """How often."""
    reissued: int = 0
    """Episodes that were begun anew elsewhere."""
    own: bool = False
    """It is the engine's machine."""

    @property
    def alive(self) -> bool:
        return self.standing == "working"


Nodes = tuple[Node, ...]
"""In the order they were first heard of."""


def after(nodes: Nodes, event: NodeJoined | NodeRefused | NodeLost | EpisodesReissued) -> Nodes:
    was = next((node for node in nodes if node.name == event.node), Node(event.node))
    match event:
        case NodeJoined(slots=slots, gpus=gpus, isolation=isolation, own=own):
            now = replace(was, slots=slots, gpus=gpus, isolation=isolation, standing="working", why="", own=own)
        case NodeRefused(why=why, gpus=gpus, own=own):
            now = replace(was, standing="refused", why=why, gpus=gpus, own=own)
        case NodeLost(why=why):
            now = replace(was, standing="lost", why=why, lost=was.lost + 1)
        case EpisodesReissued(count=count):
            now = replace(was, reissued=was.reissued + count)
    known = any(node.name == event.node for node in nodes)
    return tuple(now if node.name == now.name else node for node in nodes) if known else (*nodes, now)


def gpus(nodes: Nodes, own: int) -> int:
    """Of all machines that the run has: trainings and servers use those too on which no episodes are made, and of the engine's
    own some may be kept from the cluster."""
    others = sum(node.gpus for node in nodes if node.standing != "lost" and not node.own)
    mine = [node.gpus for node in nodes if node.own]
    return others + max(own, *mine) if mine else max(own, others)


def held_twice(nodes: Nodes, machine: int, serving: int) -> str:
    """Why the cluster may give a training GPUs that serve the policy, of so many that the engine's machine has; or nothing;
    0: nobody knows."""
    held = sum(node.gpus for node in nodes if node.own and node.standing != "lost")
    if not machine or held + serving <= machine:
        return ""
    return (
        f"Ray holds {held} of this machine's {machine} GPUs, and {serving} serve the policy: keep these from it (SERVE_ON under "
        "Slurm, else CUDA_VISIBLE_DEVICES of ray start)"
    )


def left_alone(nodes: Nodes) -> Nodes:
    """As another engine finds them: none works for it yet."""
    idle = (replace(node, gpus=0, own=False) for node in nodes)
    return tuple(replace(node, standing="lost", why="the engine ended") if node.alive else node for node in idle)
