"""The typed form of the files in configs/: `sections` and the `run` made of them, read from a `file`."""

from sia_tui.config.file import ConfigError, load_config
from sia_tui.config.run import BESIDE, Egress, RunConfig
from sia_tui.config.sections import HarnessConfig, PlanConfig, PolicyConfig, TaskConfig, WeightsConfig

__all__ = [
    "BESIDE",
    "ConfigError",
    "Egress",
    "HarnessConfig",
    "PlanConfig",
    "PolicyConfig",
    "RunConfig",
    "TaskConfig",
    "WeightsConfig",
    "load_config",
]
