"""What a backend has sampled so far, and how fast lately."""

from __future__ import annotations

import time
from collections import deque

from sia_tui.policy.rows import Completion, Row

THROUGHPUT_S = 60.0


class Tally:
    def __init__(self) -> None:
        self.rows = self.prompt_tokens = self.completion_tokens = 0
        self._recent: deque[tuple[float, int]] = deque()

    def count(self, row: Row, completion: Completion) -> None:
        prompt, sampled = completion.counted
        self.rows += 1
        self.prompt_tokens += len(row.prompt_ids) or prompt
        self.completion_tokens += len(completion.ids) or sampled
        self._recent.append((time.monotonic(), len(completion.ids) or sampled))

    def tokens_per_second(self) -> float:
        """Sampled tokens a second over the last minute, idle time included."""
        now = time.monotonic()
        while self._recent and self._recent[0][0] < now - THROUGHPUT_S:
            self._recent.popleft()
        return sum(tokens for _, tokens in self._recent) / THROUGHPUT_S

    def told(self) -> dict[str, float]:
        return {
            "rows": self.rows,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "tokens_per_second": round(self.tokens_per_second(), 3),
        }
