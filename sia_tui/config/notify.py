"""Whom a run calls when it needs a person, and how."""

from __future__ import annotations

import os
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from sia_tui.config.sections import Section

Kind = Literal["gate", "alarm", "end"]


def _address(url: str) -> str:
    """Not quoted in the error: a part of it may be a key."""
    parts = urlsplit(os.path.expandvars(url))
    if "$" not in url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("expected an address that begins with http:// or https://")
    return url


Address = Annotated[str, AfterValidator(_address)]


class NotifyConfig(Section):
    """Called on a gate that waits for a person, an alarm and the run's end; a call that fails is a line and nothing else."""

    command: tuple[str, ...] | None = Field(None, min_length=1)
    """A program and its arguments, which is given what happened as JSON on its standard input."""
    webhook: Address | None = None
    """Is sent the same JSON by POST. `$NAME` stands for the environment's, so that a key need not be written here."""
    ntfy: Address | None = None
    """A topic of an ntfy server, such as `https://ntfy.sh/mine`; likewise."""
    on: tuple[Kind, ...] = ("gate", "alarm", "end")
    deadline_s: float = Field(10.0, gt=0, le=120)
    """Of one call."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """That receive something."""
        urls = (os.path.expandvars(url) for url in (self.webhook, self.ntfy) if url)
        return tuple(urlsplit(url).hostname or "?" for url in urls)
