"""The walls that every container of ours has, whether it judges an answer or makes one."""

from __future__ import annotations

PROGRAMS = ("podman", "docker")
WALLS = (
    *("--rm", "--pull", "never", "--network", "none", "--read-only"),
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
)
"""Arguments of `run`, the same for both."""
