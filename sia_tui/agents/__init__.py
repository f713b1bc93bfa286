"""Meta- and Feedback-Agents. Configs name them; the engine asks for them here."""

from __future__ import annotations

from sia_tui.agents.protocol import FeedbackAgent, MetaAgent


def make_meta_agent(name: str) -> MetaAgent:
    """Raises ValueError for a name there is no agent of."""
    from sia_tui.agents.playbook import PlaybookMetaAgent

    if name == "playbook":
        return PlaybookMetaAgent()
    raise ValueError(f"no Meta-Agent {name!r}; there is: playbook")


def make_feedback_agent(name: str) -> FeedbackAgent:
    """Raises ValueError for a name there is no agent of."""
    from sia_tui.agents.playbook import PlaybookFeedbackAgent

    if name == "playbook":
        return PlaybookFeedbackAgent()
    raise ValueError(f"no Feedback-Agent {name!r}; there is: playbook")
