"""From a role's config block to a model that can be asked. The key is read here and goes nowhere but to the provider."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sia_tui.agents.llm.roles import Role

if TYPE_CHECKING:
    from pydantic_ai.models import Model
    from pydantic_ai.settings import ModelSettings

CONNECT_S = 10.0
REDACTED = "[key]"


class NotConnected(Exception):
    """A role that cannot be asked, in one line that says what to do."""


def connect(role: Role, environ: Mapping[str, str] = os.environ) -> Model:
    """The role's model. Raises NotConnected where its key is missing, or money is limited and its price unknown."""
    key = key_of(role, environ)
    if role.money is not None and role.price is None and not _priced(role):
        raise NotConnected(f"{role.model}: its price is not known, so {role.money} $ cannot be held to; set price")
    return _CONNECT[role.provider](role, key)


def key_of(role: Role, environ: Mapping[str, str] = os.environ) -> str:
    """Raises NotConnected."""
    if role.key_name is None:
        return "none"
    key = environ.get(role.key_name, "").strip()
    if not key:
        raise NotConnected(f"{role.model}: no key in ${role.key_name}; export it, or name another variable in key_env")
    return key


def settings(role: Role) -> ModelSettings:
    """What every reply is asked for with. Tries are counted in one place (`calls.py`), so not in the provider's own."""
    said: dict[str, Any] = {"max_tokens": role.reply_tokens, "cache": True, "max_retries": 0, "timeout": role.stall_s}
    if role.temperature is not None:
        said["temperature"] = role.temperature
    return said  # type: ignore[return-value]


def redact(text: str, key: str) -> str:
    """Providers repeat keys in their complaints."""
    return text.replace(key, REDACTED) if len(key) > len(REDACTED) else text


def _priced(role: Role) -> bool:
    from genai_prices import Usage, calc_price

    try:
        calc_price(Usage(), role.name, provider_id=role.provider)
    except LookupError:
        return False
    return role.endpoint is None


def _client(role: Role) -> Any:
    """One that waits for bytes as long as the role says, and never for ever."""
    import httpx2

    return httpx2.AsyncClient(timeout=httpx2.Timeout(role.stall_s, connect=CONNECT_S), follow_redirects=False)


def _anthropic(role: Role, key: str) -> Model:
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    provider = AnthropicProvider(api_key=key, base_url=role.address, http_client=_client(role))
    return AnthropicModel(role.name, provider=provider)


def _openai(role: Role, key: str) -> Model:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    return OpenAIChatModel(role.name, provider=OpenAIProvider(role.address, key, http_client=_client(role)))


def _google(role: Role, key: str) -> Model:
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google import GoogleProvider

    provider = GoogleProvider(api_key=key, base_url=role.address, http_client=_client(role))
    return GoogleModel(role.name, provider=provider)


_CONNECT = {"anthropic": _anthropic, "openai": _openai, "google": _google}
