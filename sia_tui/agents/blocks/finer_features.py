"""Compare facts by single characters as well as pairs, with damped counts."""

from sia_tui.agents.blocks.block import Block
from sia_tui.agents.blocks.edits import Files, changed, function

FEATURES = '''
def features() -> Any:
    """How facts become numbers: single characters and pairs, a repeated one counting by its logarithm."""
    return TfidfVectorizer(analyzer="char", ngram_range=(1, 2), sublinear_tf=True, min_df=2)
'''


def _apply(files: Files) -> dict[str, str] | None:
    return changed(files, {"tools.py": function("features", FEATURES)})


BLOCK = Block("finer-features", "Search by single characters as well as pairs, with damped counts.", _apply)
