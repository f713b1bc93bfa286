"""The config block of one role: which model plays it, where it is asked, and what it may spend."""

from __future__ import annotations

import ipaddress
import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

Provider = Literal["anthropic", "openai", "google"]
HOSTS: dict[Provider, str] = {
    "anthropic": "https://api.anthropic.com",
    "openai": "https://api.openai.com/v1",
    "google": "https://generativelanguage.googleapis.com",
}
"""Where each provider's own models are asked."""
KEYS: dict[Provider, str] = {
    "anthropic": "ANTHROPIC_API_KEY",
    "openai": "OPENAI_API_KEY",
    "google": "GEMINI_API_KEY",
}


class Role(BaseModel):
    """A language model in the part of an agent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(pattern=r"^(anthropic|openai|google):\S+$")
    """`provider:name`; the provider is the wire format spoken: `openai:` serves every OpenAI-compatible endpoint, a
    local vLLM too."""
    endpoint: str | None = None
    """Another address than the provider's own, up to and with `/v1` for openai: `http://127.0.0.1:8000/v1`."""
    key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable that holds the key, which is stored nowhere. Null: the provider's usual one; for an
    endpoint of one's own none is needed."""
    temperature: float | None = Field(None, ge=0, le=2)
    """Null: the provider's own; some models take none."""
    reply_tokens: int = Field(16_384, ge=256)
    """Sampled tokens of one reply, thinking included."""
    tokens: int = Field(2_000_000, ge=1000)
    """Read and sampled tokens of one task of the agent's (one proposal, one first harness)."""
    money: float | None = Field(None, gt=0)
    """US dollars of one task of the agent's; needs a model whose price is known, or `price`."""
    price: tuple[float, float] | None = None
    """US dollars per million tokens read and per million sampled, for a model whose price is not known (0, 0 for one's
    own)."""
    requests: int = Field(40, ge=1)
    """Replies asked for in one task of the agent's."""
    deadline_s: float = Field(1800.0, gt=0)
    """Of one task of the agent's."""
    stall_s: float = Field(120.0, gt=0)
    """A reply of which nothing comes for so long is asked for again."""
    tries: int = Field(5, ge=1, le=20)
    """Times one reply is asked for, where the provider is overloaded (429, 5xx), silent, or cut off."""
    wait_s: float = Field(60.0, ge=0)
    """The longest wait between two tries; it doubles from one second, or is what the provider asks for."""
    rounds: int = Field(4, ge=1, le=20)
    """Answers that may be sent back with what is wrong with them."""
    otherwise: Literal["playbook", "stop"] = "playbook"
    """Who decides where this model has no valid answer: the offline rules, or nobody, and the run asks to stop."""

    @model_validator(mode="after")
    def _endpoint_is_one(self) -> Role:
        if self.endpoint is not None:
            parts = urlsplit(self.endpoint)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"endpoint {self.endpoint!r} is no http(s) address")
            if parts.username or parts.password or parts.query:
                raise ValueError("an endpoint holds no key: name the variable that does in key_env")
        if self.price is not None and min(self.price) < 0:
            raise ValueError("a price is not below 0")
        return self

    @property
    def provider(self) -> Provider:
        return self.model.partition(":")[0]  # type: ignore[return-value]

    @property
    def name(self) -> str:
        """What the provider calls the model."""
        return self.model.partition(":")[2]

    @property
    def address(self) -> str:
        return self.endpoint or HOSTS[self.provider]

    @property
    def key_name(self) -> str | None:
        """The environment variable of its key; None where none is needed."""
        return self.key_env or (None if self.endpoint else KEYS[self.provider])

    @property
    def host(self) -> str:
        return urlsplit(self.address).hostname or ""

    @property
    def local(self) -> bool:
        """Whether what it is sent stays on this machine."""
        return is_local(self.host)


def is_local(host: str) -> bool:
    """A loopback address, by name or number."""
    if re.fullmatch(r"localhost|.*\.localhost", host, re.IGNORECASE):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
