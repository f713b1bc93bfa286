"""Choices that are no longer the policy's: a word by field, as in the grammar."""

WORDS: dict[str, str] = {}
