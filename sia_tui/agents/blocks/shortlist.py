"""Show the policy a short list of charges from the search, each under a letter."""

from functools import partial

from sia_tui.agents.blocks.block import Block
from sia_tui.agents.blocks.edits import (
    Files,
    changed,
    function,
    imported,
    in_turn,
    line,
    new_code,
    new_constant,
    whole,
)
from sia_tui.agents.blocks.readers import reader

PROMPT = "事实：{facts}\n候选：\n{candidates}\n只回答字母。\n"

CANDIDATES = '''
def candidates(text: str, tools: Tools) -> list[str]:
    """The charges similar cases led to, best first."""
    return tools.rank(text, SIZE)
'''

LISTING = '''
def listing(charges: Sequence[str]) -> str:
    """The charges, each under a letter."""
    return "\\n".join(f"{letter}. {charge}" for letter, charge in zip(ascii_uppercase, charges, strict=False))
'''

QUESTION = '''
def question(text: str, allowed: Sequence[str]) -> list[dict[str, str]]:
    """The messages that put the case and the candidates before the policy."""
    return [{"role": "user", "content": PROMPT.format(facts=excerpt(text), candidates=listing(allowed))}]
'''

LETTER = '''
def letter(text: str, allowed: Sequence[str]) -> str | None:
    """The reply is the letter of a listed charge and nothing else."""
    return dict(zip(ascii_uppercase, allowed, strict=False)).get(text)
'''


def shortlist(size: int) -> Block:
    """The block for a list of `size` charges."""
    return Block(
        "shortlist", f"Show the {size} charges the search ranks first and ask for a letter.", partial(_apply, size)
    )


def _apply(size: int, files: Files) -> dict[str, str] | None:
    return changed(
        files,
        {
            "shortlist.py": in_turn(
                imported("from collections.abc import Sequence"),
                imported("from string import ascii_uppercase"),
                new_constant("SIZE", str(size), "Charges the policy is shown."),
                function("candidates", CANDIDATES),
                new_code("listing", "candidates", LISTING),
            ),
            "harness.py": in_turn(
                line("from shortlist import candidates", "from shortlist import candidates, listing"),
                function("question", QUESTION),
            ),
            "answers.py": in_turn(
                imported("from string import ascii_uppercase"),
                reader("letter", LETTER),
            ),
            "prompt.md": whole(PROMPT),
        },
    )
