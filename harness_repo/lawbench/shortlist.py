"""Which charges the policy may answer with."""

from tools import Tools


def candidates(text: str, tools: Tools) -> list[str]:
    """Every charge of the task."""
    return tools.labels
