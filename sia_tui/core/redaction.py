"""A run without its words: every text that a case, a model, an agent, a harness or a person wrote, by its length alone.

What is kept is named here; whatever else a version adds is taken out until somebody says that it is harmless.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sia_tui.core.contract import BY
from sia_tui.core.proposals import PERSON
from sia_tui.core.trainings import EARLY

# fmt: off
_NAMES = frozenset({
    "absent", "adapter", "agent", "at", "base_commit", "before", "broke", "case", "commit", "config_hash", "cost",
    "counts", "dev", "digest", "episode", "episodes", "evidence", "features", "field", "figures", "finish_reason",
    "fixed", "gate", "hash", "id", "into", "isolation", "key", "kind", "metrics", "model", "name", "outcome",
    "parent", "parent_adapter", "parts", "predicted_cost", "prompt", "proposal", "role", "row", "run", "seen",
    "serving_hash", "sha256", "split_hash", "start_adapter", "start_commit", "status", "stopped", "targets", "task",
    "test", "test_hash", "tree", "verifier_hash",
})
# fmt: on
"""Fields whose strings are ids, digests, times or words of the engine's own."""
_SIGNED = frozenset(["by"])
_NAMING = (BY, PERSON, EARLY)
"""After these words comes a person's name."""
_ENGINE = frozenset({"auto", "budget", "checks", "preview", "training", "engine", "agent", "machine", "the engine"})
_KINDS = frozenset(["failure", "failures"])
"""Named by a verifier; kept where it is plain words."""
_TOKENS = frozenset(["prompt_ids", "completion_ids", "logprobs"])
_PLAIN = re.compile(r"[a-z][a-z0-9_ ]{0,40}")


@dataclass(frozen=True)
class Redaction:
    """`salt` is drawn for one copy and kept nowhere: equal texts stay equal in it, and no guess at one can be tested."""

    salt: bytes

    def text(self, said: str) -> str:
        """Its length, and which text it was among those of this copy."""
        if not said:
            return said
        mark = hmac.new(self.salt, said.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:6]
        return f"[{len(said)} characters, {mark}]"

    def kind(self, said: str) -> str:
        """Of a failure, as the verifier calls it."""
        return said if _PLAIN.fullmatch(said) else self.text(said)

    def of(self, whole: Any) -> Any:
        """The same dataclass without its words."""
        hints = typing.get_type_hints(type(whole))
        return replace(whole, **{name: self._field(hints[name], name, getattr(whole, name)) for name in _init(whole)})

    def _field(self, hint: Any, name: str, value: Any) -> Any:
        """By its type: literals and numbers are no words."""
        if value is None or isinstance(value, bool | int | float):
            return 0 if name in _TOKENS else value
        if dataclasses.is_dataclass(value):
            return self.of(value)
        if isinstance(value, str):
            return value if _is_literal(hint) else self._string(name, value)
        if isinstance(value, Mapping):
            return self._mapping(hint, name, value)
        inner = _inner(hint)
        return tuple(self._field(inner, name, one) for one in value)

    def _mapping(self, hint: Any, name: str, value: Mapping[Any, Any]) -> dict[str, Any]:
        """What may hold anything is left out. Of a message the keys name fields; elsewhere keys are words like others."""
        arguments = typing.get_args(_some(hint))
        if len(arguments) == 2 and arguments[1] is Any:
            return {}
        if name in ("messages", "inputs"):
            return {
                key: self._field(str, key, one) if name == "messages" else self.text(one) for key, one in value.items()
            }
        inner = arguments[1] if len(arguments) == 2 else str
        return {self._string(name, str(key)): self._field(inner, name, one) for key, one in value.items()}

    def _string(self, name: str, said: str) -> str:
        if name in _SIGNED or (name in _NAMES and said.startswith(_NAMING)):
            return self._person(said)
        if name in _KINDS:
            return self.kind(said)
        return said if name in _NAMES and not said.startswith(("/", "~")) else self.text(said)

    def _person(self, by: str) -> str:
        if by in _ENGINE:
            return by
        before = next((words for words in _NAMING if by.startswith(words)), "")
        return f"{before}person {self.text(by.removeprefix(before))[-7:-1]}"


def _init(whole: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(whole) if field.init]


def _some(hint: Any) -> Any:
    """Without its None."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return next(arm for arm in typing.get_args(hint) if arm is not type(None))
    return hint


def _is_literal(hint: Any) -> bool:
    return typing.get_origin(_some(hint)) is typing.Literal


def _inner(hint: Any) -> Any:
    arguments = typing.get_args(_some(hint))
    return arguments[0] if arguments else str
