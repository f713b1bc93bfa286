"""Ask again more freely when a reply held no answer."""

from sia_tui.agents.blocks.block import Block
from sia_tui.agents.blocks.edits import Files, changed, constant, function, in_turn

TEMPERATURE = '''
def temperature(attempt: int) -> float:
    """How freely the policy samples in an attempt, counted from 0: more freely each time."""
    return min(TEMPERATURE + 0.3 * attempt, 1.2)
'''


def _apply(files: Files) -> dict[str, str] | None:
    edits = in_turn(
        function("temperature", TEMPERATURE),
        lambda source: constant("ATTEMPTS", "4", lambda now: not isinstance(now, int) or now >= 4)(source) or source,
    )
    return changed(files, {"harness.py": edits})


BLOCK = Block(
    "warmer-retry", "Ask up to four times, at a higher temperature each time, until there is an answer.", _apply
)
