"""What the gateway takes of a core for each request that it hands on, before one server and before several.

    python -m tests.benchmarks.bench_replicas [--lanes 32] [--requests 40] [--delay 0.05]

Servers are the tests' fake, which answers after a while and computes nothing; so what is measured is the gateway and HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sia_tui.policy.client import Gateway
from tests.policy.tiny import make_model

FAKE = Path(__file__).parents[1] / "policy" / "fake_vllm.py"
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Of the process alone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def asked(socket: str, requests: int, tokens: int) -> None:
    import aiohttp

    body = {"prompt": list(range(1, 65)), "max_tokens": tokens, "return_token_ids": True}
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=socket)) as http:
        for _ in range(requests):
            async with http.post("http://lane/v1/completions", json=body) as answer:
                assert (await answer.json())["usage"]["completion_tokens"] == tokens


async def measure(model: Path, run: Path, replicas: int, options: argparse.Namespace) -> tuple[float, float]:
    """Requests a second, and milliseconds of the gateway's CPU for one."""
    run.mkdir()
    python = run / "python"
    python.write_text(f'#!/bin/sh\nFAKE_DELAY_S={options.delay} exec {sys.executable} {FAKE} "$@"\n')
    python.chmod(0o755)
    settings: dict[str, Any] = {"backend": "vllm", "vllm": {"python": str(python)}, "replicas": replicas}
    async with await Gateway.start(model, run, lanes=options.lanes, ready_s=300.0, **settings) as gateway:
        for lane in range(options.lanes):
            await gateway.open_lane(lane, f"e{lane}", max_calls=10**6, max_total_tokens=10**9)
        sockets = [str(run / "gateway" / f"lane-{lane}.sock") for lane in range(options.lanes)]
        began, spent = time.perf_counter(), cpu_s(gateway.pid)
        await asyncio.gather(*(asked(socket, options.requests, 8) for socket in sockets))
        made = options.lanes * options.requests
        return made / (time.perf_counter() - began), 1000 * (cpu_s(gateway.pid) - spent) / made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lanes", type=int, default=32)
    parser.add_argument("--requests", type=int, default=40, help="of each lane, one after the other")
    parser.add_argument("--delay", type=float, default=0.05, help="seconds that a server takes for each")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(Path(folder) / "model")
        for replicas in (1, 2, 4):
            rate, cost = asyncio.run(measure(model, Path(folder) / f"run-{replicas}", replicas, options))
            print(
                f"{replicas} servers: {rate:.0f} requests/s, {cost:.2f} ms of the gateway's CPU a request", flush=True
            )


if __name__ == "__main__":
    main()
