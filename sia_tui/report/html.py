"""A page as one HTML file: nothing is fetched, nothing is run, and no text is markup."""

from __future__ import annotations

from html import escape

from sia_tui.core.text import clean
from sia_tui.report.blocks import Block, Code, Figure, Page, Section, Table, Words

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Whatever stands in the file, a browser loads and runs nothing."""
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 66rem; margin: 2rem auto;
  padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd }
table { border-collapse: collapse; margin: .8rem 0; display: block; overflow-x: auto }
th, td { text-align: left; vertical-align: top; padding: .25rem .7rem .25rem 0; border-bottom: 1px solid #eee;
  overflow-wrap: anywhere; min-width: 2.5rem }
th { font-weight: 600; white-space: nowrap }
pre { background: #f6f8fa; padding: .7rem; overflow-x: auto; font-size: 13px }
figure { margin: 1rem 0 } figcaption, summary { color: #555 } svg { max-width: 100%; height: auto }
"""


def draw(page: Page) -> str:
    body = "\n".join(_section(section) for section in page.sections)
    title = _text(page.title)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="viewport" content="width=device-width">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    )


def _section(section: Section) -> str:
    return "\n".join([f"<h2>{_text(section.title)}</h2>", *map(_block, section.blocks)])


def _block(block: Block) -> str:
    match block:
        case Words(text):
            return f"<p>{_text(text)}</p>"
        case Table():
            return _table(block)
        case Code(title, text, folded):
            return f"<details{'' if folded else ' open'}><summary>{_text(title)}</summary><pre>{_text(text)}</pre></details>"
        case Figure(title, svg, numbers):
            told = f"<details><summary>its numbers</summary>{_table(numbers)}</details>"
            return f"<figure>{svg}<figcaption>{_text(title)}</figcaption></figure>{told}"


def _table(table: Table) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in table.head)
    rows = "\n".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    return f"<table>\n<tr>{head}</tr>\n{rows}\n</table>"


def _text(text: str) -> str:
    return escape(clean(text))
