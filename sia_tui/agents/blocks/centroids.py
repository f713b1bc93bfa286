"""Compare facts with the mean of each charge's cases instead of with every case."""

from sia_tui.agents.blocks.block import Block
from sia_tui.agents.blocks.edits import Files, changed, function, in_turn, line

INDEXED = '''
def indexed(entries: csr_matrix, charges: list[str]) -> tuple[csr_matrix, list[str]]:
    """The entries that facts are compared with, and the charge of each: the mean of its solved cases, at length one."""
    names = sorted(set(charges))
    place = {name: row for row, name in enumerate(names)}
    members = csr_matrix((np.ones(len(charges)), ([place[charge] for charge in charges], range(len(charges)))))
    return normalize(members @ entries), names
'''


def _apply(files: Files) -> dict[str, str] | None:
    learned = "from sklearn.feature_extraction.text import TfidfVectorizer"
    edits = in_turn(
        line(learned, f"{learned}\nfrom sklearn.preprocessing import normalize"), function("indexed", INDEXED)
    )
    return changed(files, {"tools.py": edits})


BLOCK = Block("centroids", "Rank charges by the mean of their cases instead of by single neighbours.", _apply)
