"""A search over the solved cases: which charges did similar facts lead to?"""

import json
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

NEIGHBOURS = 30
"""Similar entries that vote for their charge."""


class Tools:
    """The charges of the task, and a ranking of them for new facts."""

    def __init__(self, labels: list[str], vectorizer: TfidfVectorizer, entries: csr_matrix, charges: list[str]) -> None:
        self.labels = labels
        self._vectorizer = vectorizer
        self._entries = entries
        self._charges = charges

    def rank(self, text: str, count: int) -> list[str]:
        """At most `count` charges, best first: each is worth the similarity of its entries among the nearest."""
        similarity = (self._entries @ self._vectorizer.transform([text]).T).toarray().ravel()
        votes: Counter[str] = Counter()
        for entry in np.argsort(-similarity, kind="stable")[:NEIGHBOURS]:
            votes[self._charges[entry]] += float(similarity[entry])
        return [charge for charge, _ in votes.most_common(count)]


def prepare(rows: Path, out: Path) -> None:
    """Index the solved cases."""
    with (rows / "rows.jsonl").open(encoding="utf-8") as lines:
        solved = [json.loads(line) for line in lines]
    charges = [row["label"] for row in solved]
    vectorizer = features()
    entries = vectorizer.fit_transform([row["inputs"]["text"] for row in solved])
    with (out / "index.pickle").open("wb") as file:
        pickle.dump((vectorizer, *indexed(entries, charges)), file)


def load(rows: Path, out: Path) -> Tools:
    """What `prepare` made of the rows."""
    labels = json.loads((rows / "labels.json").read_text(encoding="utf-8"))
    with (out / "index.pickle").open("rb") as file:
        vectorizer, entries, charges = pickle.load(file)
    return Tools(labels, vectorizer, entries, charges)


def features() -> Any:
    """How facts become numbers."""
    return TfidfVectorizer(analyzer="char", ngram_range=(2, 2))


def indexed(entries: csr_matrix, charges: list[str]) -> tuple[csr_matrix, list[str]]:
    """The entries that facts are compared with, and the charge of each: every solved case is one."""
    return entries, charges
