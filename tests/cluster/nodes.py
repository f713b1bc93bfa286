"""A cluster of nodes that are processes of this machine, on loopback and behind a token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sia_tui.cluster.joining import environment
from sia_tui.cluster.settings import ClusterSettings


@dataclass
class Cluster:
    ray: Any
    """Ray's own `Cluster`."""
    workers: list[Any]
    """Its nodes but the head, by the order of their start."""
    settings: ClusterSettings


@contextmanager
def nodes(count: int, folder: Path) -> Iterator[Cluster]:
    """So many, the head among them, until left; what joins reads the environment of this process."""
    own = environment(ClusterSettings(executor="ray"), folder)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in own.items():
            patch.setenv(name, value)
        from ray._private import authentication_test_utils, ray_constants
        from ray.cluster_utils import Cluster as Nodes

        # Another test of this process may have imported it before it was told.
        patch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)
        authentication_test_utils.reset_auth_token_state()
        made = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        try:
            workers = [made.add_node(num_cpus=1, wait=False) for _ in range(count - 1)]
            made.wait_for_nodes()
            yield Cluster(made, workers, ClusterSettings(executor="ray", address=made.address))
        finally:
            made.shutdown()
