"""Choices that are no longer the policy's: a word by field, as in the grammar."""

from dataclasses import dataclass, replace

from grammar import Plan

WORDS: dict[str, str] = {}


@dataclass(frozen=True)
class Decided:
    words: dict[str, str]

    def over(self, plan: Plan) -> Plan:
        return replace(plan, **self.words)


DECIDED = Decided(WORDS)
