"""Meta- and Feedback-Agents and critics. Configs name them; the engine asks for them here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sia_tui.agents.llm.roles import Role
from sia_tui.agents.protocol import Critic, FeedbackAgent, MetaAgent

if TYPE_CHECKING:
    from sia_tui.agents.llm.calls import Calls


def make_meta_agent(player: str | Role, calls: Calls) -> MetaAgent:
    """Raises ValueError for a name there is no agent of."""
    if isinstance(player, Role):
        from sia_tui.agents.llm.meta import ModelMetaAgent

        return ModelMetaAgent(player, calls)
    from sia_tui.agents.playbook import PlaybookMetaAgent

    if player == "playbook":
        return PlaybookMetaAgent()
    raise ValueError(f"no Meta-Agent {player!r}; there is: playbook")


def make_feedback_agent(player: str | Role, calls: Calls) -> FeedbackAgent:
    """Raises ValueError for a name there is no agent of."""
    from sia_tui.agents.playbook import PlaybookFeedbackAgent

    if isinstance(player, Role):
        from sia_tui.agents.llm.feedback import ModelFeedbackAgent

        return ModelFeedbackAgent(player, calls, PlaybookFeedbackAgent() if player.otherwise == "playbook" else None)
    if player == "playbook":
        return PlaybookFeedbackAgent()
    if player == "advisor":
        from sia_tui.agents.advisor import AdvisorFeedbackAgent

        return AdvisorFeedbackAgent()
    raise ValueError(f"no Feedback-Agent {player!r}; there are: playbook, advisor")


def make_critic(role: Role, calls: Calls) -> Critic:
    from sia_tui.agents.llm.critic import ModelCritic

    return ModelCritic(role, calls)
