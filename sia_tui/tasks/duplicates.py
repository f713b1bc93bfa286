"""Which texts say nearly the same: the pairs that must never sit on two sides of a split.

MinHash over character shingles proposes pairs, the exact Jaccard index of the shingle sets decides. Labels are never
looked at. Integers only, so the answer is the same on every machine and does not depend on the order of the texts.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

SHINGLE = 5
"""Characters per shingle: long enough that boilerplate phrases alone do not make two court texts alike."""
BANDS, DEPTH = 40, 3
"""A pair with Jaccard index s meets in at least one band with probability 1 - (1 - s**DEPTH)**BANDS: 0.9999 at 0.6."""
THRESHOLD = 0.6
"""Of the Jaccard index. Below it, court texts are different cases in the same words; above, co-defendants of one case."""
_MASK = (1 << 64) - 1


def normalise(text: str) -> str:
    """Letters and digits only, width and case folded, so that punctuation and spacing do not hide a copy."""
    return "".join(char for char in unicodedata.normalize("NFKC", text).casefold() if char.isalnum())


def groups(texts: Sequence[str], threshold: float = THRESHOLD) -> list[int]:
    """A group number per text; near duplicates, also through a chain of others, share one."""
    forest = _Forest(len(texts))
    distinct = _merge_equal([normalise(text) for text in texts], forest)
    if len(distinct) > 1:
        _merge_similar(list(distinct), list(distinct.values()), forest, threshold)
    return [forest.root(index) for index in range(len(texts))]


def _merge_equal(normal: Sequence[str], forest: _Forest) -> dict[str, int]:
    first: dict[str, int] = {}
    for index, text in enumerate(normal):
        forest.join(first.setdefault(text, index), index)
    return first


def _merge_similar(normal: Sequence[str], indices: Sequence[int], forest: _Forest, threshold: float) -> None:
    shingles, starts = _shingles(normal)
    ends = [*starts[1:], len(shingles)]
    sets: dict[int, Any] = {}
    for left, right in _candidates(_signatures(shingles, starts)):
        if forest.root(indices[left]) == forest.root(indices[right]):
            continue
        for text in (left, right):
            if text not in sets:
                sets[text] = _unique(shingles[starts[text] : ends[text]])
        if jaccard(sets[left], sets[right]) >= threshold:
            forest.join(indices[left], indices[right])


def _unique(values: Any) -> Any:
    import numpy as np

    return np.unique(values)


def jaccard(left: Any, right: Any) -> float:
    """Jaccard index of two arrays of distinct shingles."""
    import numpy as np

    if min(len(left), len(right)) == 0:
        return 0.0
    common = len(np.intersect1d(left, right, assume_unique=True))
    return common / (len(left) + len(right) - common)


def _shingles(texts: Sequence[str]) -> tuple[Any, list[int]]:
    """One 64-bit hash per shingle, text after text, and where each text starts; short texts are padded to one shingle."""
    import numpy as np

    padded = [text.ljust(SHINGLE, "\0") for text in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    hashes = np.zeros(len(codes) - SHINGLE + 1, dtype=np.uint64)
    for offset in range(SHINGLE):
        hashes = _mix(hashes + codes[offset : offset + len(hashes)])
    keep = np.ones(len(codes), dtype=bool)
    ends = np.cumsum([len(text) for text in padded])
    for back in range(1, SHINGLE):
        keep[ends - back] = False
    lengths = [len(text) - SHINGLE + 1 for text in padded]
    starts = [0, *(int(end) for end in np.cumsum(lengths)[:-1])]
    return hashes[keep[: len(hashes)]], starts


def _mix(values: Any) -> Any:
    """The splitmix64 finaliser on an array of uint64; overflow wraps, as it should."""
    import numpy as np

    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _signatures(shingles: Any, starts: Sequence[int]) -> Any:
    """MinHash signature per text: the smallest of its shingles under BANDS * DEPTH hash functions."""
    import numpy as np

    salts = _mix(np.arange(1, BANDS * DEPTH + 1, dtype=np.uint64))
    columns = [np.minimum.reduceat((shingles ^ salt) * np.uint64(0xD6E8FEB86659FD93), starts) for salt in salts]
    return np.stack(columns, axis=1)


def _candidates(signatures: Any) -> Iterator[tuple[int, int]]:
    """Pairs of texts that agree on a whole band."""
    for band in range(BANDS):
        buckets: dict[bytes, list[int]] = defaultdict(list)
        for index, row in enumerate(signatures[:, band * DEPTH : (band + 1) * DEPTH]):
            buckets[row.tobytes()].append(index)
        for members in buckets.values():
            yield from combinations(members, 2)


class _Forest:
    """Union-find; the root of a set is its smallest member."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def root(self, item: int) -> int:
        while self._parent[item] != item:
            self._parent[item] = self._parent[self._parent[item]]
            item = self._parent[item]
        return item

    def join(self, left: int, right: int) -> None:
        low, high = sorted((self.root(left), self.root(right)))
        self._parent[high] = low
