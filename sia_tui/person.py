"""Who sits at this machine, and where what is theirs lies. Standard library only."""

from __future__ import annotations

import os
import pwd
from pathlib import Path


def whoami() -> str:
    """By the user number, whatever the environment says; the number itself where it has no name (as in some containers)."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"


def user_folder() -> Path:
    """`$XDG_CONFIG_HOME/sia-tui`, else `~/.config/sia-tui`."""
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "sia-tui"


def user_file() -> Path:
    return user_folder() / "config.yaml"
