"""Content ids: the same content gives the same id on every machine and after every crash."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def digest(content: Any) -> str:
    """sha256 (hex) of the canonical JSON of `content`."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def short_id(prefix: str, content: Any) -> str:
    """A readable id such as `p-3f9a2c81d0`: 40 bits of the digest, enough within one run."""
    return f"{prefix}-{digest(content)[:10]}"
