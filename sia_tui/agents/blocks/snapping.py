"""Take a misspelt charge for the nearest allowed one."""

from sia_tui.agents.blocks.block import Block
from sia_tui.agents.blocks.edits import Files, changed, imported, in_turn
from sia_tui.agents.blocks.readers import reader

NEAREST = '''
def nearest(text: str, allowed: Sequence[str]) -> str | None:
    """The allowed charge most like the reply, if they share more than half of their characters in order."""
    said = text.rpartition("：")[2].rstrip("。").removesuffix("罪")
    return next(iter(get_close_matches(said, allowed, n=1, cutoff=0.5)), None)
'''


def _apply(files: Files) -> dict[str, str] | None:
    return changed(
        files,
        {
            "answers.py": in_turn(
                imported("from difflib import get_close_matches"),
                reader("nearest", NEAREST),
            )
        },
    )


BLOCK = Block("label-snapping", "Take a misspelt charge for the nearest allowed one.", _apply)
