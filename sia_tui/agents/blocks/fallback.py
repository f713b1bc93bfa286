"""Say the search's first candidate when the policy gave no answer."""

from sia_tui.agents.blocks.block import Block
from sia_tui.agents.blocks.edits import Files, changed, function

WITHOUT_ANSWER = '''
def without_answer(allowed: Sequence[str]) -> Answer:
    """The search's first candidate when no attempt gave a charge; not the policy's answer, and marked so."""
    return Answer(next(iter(allowed), None), source="tool")
'''


def _apply(files: Files) -> dict[str, str] | None:
    if "tools.rank(" not in files.get("shortlist.py", ""):
        return None  # nothing is ranked yet, so there is no first candidate
    return changed(files, {"harness.py": function("without_answer", WITHOUT_ANSWER)})


BLOCK = Block("fallback", "After the last attempt without an answer, say the search's first candidate.", _apply)
