"""Brings an adapter to a server whose disk is another one, through its door, and names it as the server is to be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sia_tui.policy.outside import refused, said
from sia_tui.policy.rows import BackendError

FILES = ("adapter_config.json", "adapter_model.safetensors")
CARRY_S = 600.0


async def carried(http: Any, url: str, sha256: str, folder: Path) -> str:
    """Behind a door an adapter is known by its content. Raises BackendError when it cannot be brought there."""
    import aiohttp

    where, timeout = f"{url}/adapters/{sha256}", aiohttp.ClientTimeout(total=CARRY_S)
    try:
        async with http.get(where, timeout=timeout) as there:
            if there.status == 200:
                return sha256
        for name in FILES:
            with (folder / name).open("rb") as file:
                async with http.put(f"{where}/{name}", data=file, timeout=timeout) as answer:
                    if answer.status != 200:
                        raise refused(f"/adapters/…/{name}", answer.status, said(await answer.text()))
    except (aiohttp.ClientError, OSError) as error:
        raise BackendError(f"the adapter cannot be brought to {url}: {error or type(error).__name__}") from error
    return sha256
