"""Read replies that say more than the bare answer."""

from sia_tui.agents.blocks.block import Block
from sia_tui.agents.blocks.edits import Files, changed, imported, in_turn
from sia_tui.agents.blocks.readers import reader

LETTERED = '''
def lettered(text: str, allowed: Sequence[str]) -> str | None:
    """The first letter in the reply that stands alone, full-width or not, if the allowed charges have letters."""
    found = re.search(r"(?<![A-Z])[A-Z](?![A-Z])", unicodedata.normalize("NFKC", text))
    if found is None or len(allowed) > len(ascii_uppercase):
        return None
    return dict(zip(ascii_uppercase, allowed, strict=False)).get(found[0])
'''

NAMED = '''
def named(text: str, allowed: Sequence[str]) -> str | None:
    """The longest allowed charge that stands in the reply, whatever is written around it."""
    return max((charge for charge in allowed if charge in text), key=len, default=None)
'''


def _apply(files: Files) -> dict[str, str] | None:
    return changed(
        files,
        {
            "answers.py": in_turn(
                imported("import re"),
                imported("import unicodedata"),
                imported("from string import ascii_uppercase"),
                reader("lettered", LETTERED),
                reader("named", NAMED),
            )
        },
    )


BLOCK = Block("lenient-extraction", "Find the letter or the charge anywhere in the reply.", _apply)
