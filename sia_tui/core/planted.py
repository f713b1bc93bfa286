"""Text in trajectories that reads like instructions to whoever reads them. Flagged for the person; it decides nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sia_tui.core.text import one_line

_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(ignore|disregard|forget)\s+(all|any|the|your)?\s*(previous|prior|above|earlier)\s+(instructions?|prompts?|rules?)",
        r"(please\s+)?(approve|accept|merge)\s+(this|the)\s+(proposal|patch|change|gate|plan|diff)",
        r"\b(you are|act as)\s+(now\s+)?(the|a|an)\s+(feedback|meta|critic|reviewer|system|admin|root)\b",
        r"\b(tell|inform|assure)\s+(the\s+)?(reviewer|critic|approver|supervisor)\b",
        r"</?(system|instructions?|data-[0-9a-f]{6,})>",
        r"\bsystem\s+prompt\b",
        r"\b(note|message|instructions?)\s+(to|for)\s+(the\s+)?((feedback|meta)[- ]agent|critic|reviewer)\b",
        r"(忽略|无视|不要理会).{0,6}(之前|以上|前面|先前).{0,6}(指令|指示|提示|规则)",
        r"(告诉|告知|转告).{0,4}(审查|评审|审核)(者|员|人)",
        r"(批准|通过|接受).{0,4}(此|这个|该|本).{0,4}(提案|补丁|修改)",
    )
)
LONGEST = 200_000
"""Characters of one text that are looked at."""


def planted(texts: Iterable[str]) -> str | None:
    """The first passage that reads like an instruction, on one line; None when there is none."""
    for text in texts:
        for pattern in _PATTERNS:
            if found := pattern.search(text, 0, LONGEST):
                start = max(0, found.start() - 20)
                return one_line(text[start : found.end() + 40], 120)
    return None
