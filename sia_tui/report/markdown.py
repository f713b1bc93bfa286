"""A page as Markdown. Pictures are given as their numbers; no text of others is markup."""

from __future__ import annotations

import re

from sia_tui.core.text import clean
from sia_tui.report.blocks import Block, Code, Figure, Page, Table, Words

_MARKUP = re.compile(r"([\\`*_{}\[\]()#|~$!<>&@]|:(?=//)|(?<=www)\.)")


def draw(page: Page) -> str:
    lines = [f"# {_text(page.title)}", ""]
    for section in page.sections:
        lines += [f"## {_text(section.title)}", ""]
        for block in section.blocks:
            lines += [*_block(block), ""]
    return "\n".join(lines)


def _block(block: Block) -> list[str]:
    match block:
        case Words(text):
            return [_text(text)]
        case Table():
            return _table(block)
        case Code(title, text):
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
            return [f"{_text(title)}:", "", fence, clean(text).rstrip("\n"), fence]
        case Figure(title, _, numbers):
            return [_text(title), "", *_table(numbers)]


def _table(table: Table) -> list[str]:
    return [_row(table.head), "|" + "---|" * len(table.head), *map(_row, table.rows)]


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(map(_text, cells)) + " |"


def _text(text: str) -> str:
    """On one line; what would be a list, a heading or an address that links itself is plain text."""
    flat = _MARKUP.sub(r"\\\1", " ".join(clean(text).split()))
    return re.sub(r"^(\d+)?([-+.])(?=\s)", r"\1\\\2", flat)
