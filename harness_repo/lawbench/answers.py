"""Find the charge in what the policy wrote."""

from collections.abc import Sequence


def exact(text: str, allowed: Sequence[str]) -> str | None:
    """The reply is an allowed charge, letter for letter."""
    return text if text in allowed else None


READERS = (exact,)
"""Ways to read a reply, strictest first."""


def extract(text: str, allowed: Sequence[str]) -> str | None:
    """The charge the first reader finds, or None."""
    found = (read(text.strip(), allowed) for read in READERS)
    return next((charge for charge in found if charge is not None), None)
