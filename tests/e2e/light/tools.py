"""The search of the first harness with the standard library alone: to import scikit-learn is most of what its workers do on a
task this small."""

import json
import math
from collections import Counter, defaultdict
from pathlib import Path

NEIGHBOURS = 30
"""Similar entries that vote for their charge."""


class Tools:
    """The charges of the task, and a ranking of them for new facts."""

    def __init__(self, labels: list[str], entries: list[tuple[Counter[str], str]]) -> None:
        self.labels = labels
        among = Counter(pair for pairs, _ in entries for pair in pairs)
        self._rare = {pair: math.log((1 + len(entries)) / (1 + count)) + 1 for pair, count in among.items()}
        self._entries = [(self._direction(pairs), charge) for pairs, charge in entries]

    def rank(self, text: str, count: int) -> list[str]:
        """At most `count` charges, best first: each is worth the similarity of its entries among the nearest."""
        wanted = self._direction(pairs_of(text))
        alike = [(sum(wanted[pair] * at[pair] for pair in wanted.keys() & at), charge) for at, charge in self._entries]
        votes: dict[str, float] = defaultdict(float)
        for similarity, charge in sorted(alike, reverse=True)[:NEIGHBOURS]:
            votes[charge] += similarity
        return sorted(votes, key=lambda charge: -votes[charge])[:count]

    def _direction(self, pairs: Counter[str]) -> dict[str, float]:
        """TF-IDF at length one, as scikit-learn has it."""
        weights = {pair: times * self._rare[pair] for pair, times in pairs.items() if pair in self._rare}
        length = math.hypot(*weights.values()) or 1.0
        return {pair: weight / length for pair, weight in weights.items()}


def pairs_of(text: str) -> Counter[str]:
    return Counter(text[at : at + 2] for at in range(len(text) - 1))


def prepare(rows: Path, out: Path) -> None:
    """Index the solved cases."""
    with (rows / "rows.jsonl").open(encoding="utf-8") as lines:
        solved = [json.loads(line) for line in lines]
    entries = [(pairs_of(row["inputs"]["text"]), row["label"]) for row in solved]
    (out / "index.json").write_text(json.dumps(entries, ensure_ascii=False), encoding="utf-8")


def load(rows: Path, out: Path) -> Tools:
    """What `prepare` made of the rows."""
    labels = json.loads((rows / "labels.json").read_text(encoding="utf-8"))
    entries = json.loads((out / "index.json").read_text(encoding="utf-8"))
    return Tools(labels, [(Counter(pairs), label) for pairs, label in entries])
