"""How long a new adapter takes to answer: from the gateway being told of its folder to its first token, hf backend.

    python -m tests.benchmarks.bench_publish

A model of nano's size and LoRA of rank 32; each adapter is new to the gateway, under a name of its own, and the one before it
is unloaded, as a training does it each step.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from sia_tui.policy.client import Gateway
from tests.policy.tiny import make_adapter, make_model

GOAL_MS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--versions", type=int, default=20)
    versions = parser.parse_args().versions
    with tempfile.TemporaryDirectory(prefix="sia-publish-") as folder:
        took = asyncio.run(measure(Path(folder), versions))
    print(
        f"publish to first token, {versions} adapters: median {statistics.median(took):.0f} ms, worst {max(took):.0f} ms"
    )
    print(f"goal {GOAL_MS} ms: {'met' if statistics.median(took) <= GOAL_MS else 'missed'}")


async def measure(root: Path, versions: int) -> list[float]:
    """Milliseconds of each version."""
    model = make_model(root / "model", vocabulary=4000, hidden=160, layers=2, context=512)
    folders = [make_adapter(model, root / f"v{number}", seed=number, rank=32) for number in range(versions)]
    took = []
    async with await Gateway.start(model, root / "run", lanes=1) as gateway:
        for number, folder in enumerate(folders):
            began = time.perf_counter()
            await gateway.load_adapter(f"v{number}", folder)
            await gateway.open_lane(0, f"probe-{number}", adapter=f"v{number}")
            await gateway.chat(0, [{"role": "user", "content": "which one?"}], max_tokens=1)
            took.append(1000 * (time.perf_counter() - began))
            await gateway.close_lane(0)
            if number:
                await gateway.unload_adapter(f"v{number - 1}")
    return took


if __name__ == "__main__":
    main()
