"""Who sits at this machine, and where what is theirs lies. Standard library only."""

from __future__ import annotations

import getpass
import os
from pathlib import Path


def whoami() -> str:
    """The login name, or the user number where there is none (as in some containers)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def user_folder() -> Path:
    """`$XDG_CONFIG_HOME/sia-tui`, else `~/.config/sia-tui`."""
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "sia-tui"


def user_file() -> Path:
    return user_folder() / "config.yaml"
