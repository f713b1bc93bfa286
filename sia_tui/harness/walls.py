"""What a config may say of the walls, besides their level."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

UIDS = (2_000_000_000, 2_000_000_999)
"""Numbers that neither distributions nor systemd nor container engines give away."""


class Container(BaseModel):
    """Who puts up containers, and out of what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    program: Literal["auto", "podman", "docker"] = "auto"
    runtime: str | None = Field(None, pattern=r"^[\w/][\w./-]*$")
    """What the program starts containers with, such as runc, crun or runsc; null: its own choice, else runc."""
    image: str | None = Field(None, pattern=r"^[\w][\w./:@-]*$")
    """One that is here already; null: an empty one, made here."""


class Walls(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    container: Container = Container()
    uids: tuple[Annotated[int, Field(ge=1, lt=2**32 - 1)], Annotated[int, Field(ge=1, lt=2**32 - 1)]] | None = UIDS
    """First and last user number that slots are given where root runs the engine; null: none of their own."""
