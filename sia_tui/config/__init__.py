"""The typed form of the files in configs/: `sections` and the `run` made of them, read from a `file`."""

from sia_tui.config.file import ConfigError, hash_of, load_config
from sia_tui.config.run import Egress, RunConfig
from sia_tui.config.sections import HarnessConfig, PlanConfig, PolicyConfig, TaskConfig, WeightsConfig

__all__ = [
    "ConfigError",
    "Egress",
    "HarnessConfig",
    "PlanConfig",
    "PolicyConfig",
    "RunConfig",
    "TaskConfig",
    "WeightsConfig",
    "hash_of",
    "load_config",
]
