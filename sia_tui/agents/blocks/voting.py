"""Let several samples of the policy vote."""

from functools import partial

from sia_tui.agents.blocks.block import Block
from sia_tui.agents.blocks.edits import Files, changed, function, imported, in_turn, new_constant

ASK = '''
async def ask(llm: LLM, messages: list[dict[str, str]], allowed: Sequence[str], attempt: int) -> str | None:
    """The charge most of the replies agree on; the first of them when it is a draw."""
    replies = await llm.sample(messages, VOTES, max_tokens=MAX_TOKENS, temperature=temperature(attempt))
    charges = [extract(reply.text, allowed) for reply in replies]
    votes = Counter(charge for charge in charges if charge is not None)
    return max(votes, key=votes.__getitem__, default=None)
'''


def voting(votes: int) -> Block:
    """The block for `votes` samples."""
    return Block("voting", f"Sample {votes} replies and take the charge most of them agree on.", partial(_apply, votes))


def _apply(votes: int, files: Files) -> dict[str, str] | None:
    if "TEMPERATURE = 0.0" in files.get("harness.py", ""):
        return None  # greedy replies are all the same
    edits = in_turn(
        imported("from collections import Counter"),
        new_constant("VOTES", str(votes), "Replies that vote in an attempt."),
        function("ask", ASK),
    )
    return changed(files, {"harness.py": edits})
