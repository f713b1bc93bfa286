"""What the gateway costs: 32 lanes over their sockets against one plain `model.generate` of the same batch.

    python -m tests.benchmarks.bench_gateway [--rows 32] [--rounds 7] [--adapters 1]

Same model, adapter, prompts and number of new tokens, sampled at temperature 1; the plain side gets its prompts as
padded tensors and computes no logprobs. Sides alternate within a run and the ratio is the median over rounds, since
the machine's speed drifts. `--adapters 2` mixes two adapters in the gateway's batches (the plain side keeps one).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sia_tui.policy.client import Gateway
from tests.policy.tiny import make_adapter, make_model

GOAL = 0.85
PROMPT_TOKENS = (180, 220)
WAVES = 2
"""Requests each lane makes in a round, one after the other."""


class Plain:
    """Batched generation in this process."""

    def __init__(self, model: Path, adapter: Path) -> None:
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        base = AutoModelForCausalLM.from_pretrained(model)
        self.parameters = sum(p.numel() for p in base.parameters())
        self._model: Any = PeftModel.from_pretrained(base, adapter).eval()

    def run(self, prompts: Sequence[Sequence[int]], new: int) -> float:
        import torch

        longest = max(map(len, prompts))
        ids = torch.tensor([[0] * (longest - len(p)) + list(p) for p in prompts])
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
        start = time.perf_counter()
        for _ in range(WAVES):
            with torch.inference_mode():
                out = self._model.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    max_new_tokens=new,
                    min_new_tokens=new,
                    do_sample=True,
                    top_k=0,
                    pad_token_id=0,
                )
        assert out.shape[1] == longest + new
        return time.perf_counter() - start


async def waves(session: Any, prompt: Sequence[int], new: int) -> None:
    body = {"prompt": list(prompt), "max_tokens": new, "ignore_eos": True, "return_token_ids": True, "logprobs": 1}
    for _ in range(WAVES):
        async with session.post("http://lane/v1/completions", json=body) as response:
            answer = await response.json()
        assert len(answer["choices"][0]["token_ids"]) == new, answer


async def through_sockets(sessions: Sequence[Any], prompts: Sequence[Sequence[int]], new: int) -> float:
    start = time.perf_counter()
    await asyncio.gather(*(waves(s, p, new) for s, p in zip(sessions, prompts, strict=True)))
    return time.perf_counter() - start


async def measure(options: argparse.Namespace, root: Path) -> list[tuple[int, float, float, float]]:
    """A row per length: new tokens, plain tokens/s, gateway tokens/s, median ratio."""
    import aiohttp
    import torch

    torch.set_num_threads(options.threads)
    model = make_model(root / "model", vocabulary=8000, hidden=options.hidden, layers=3, context=1024)
    adapters = [make_adapter(model, root / f"adapter{i}", seed=i, rank=8) for i in range(options.adapters)]
    plain = Plain(model, adapters[0])
    print(f"{plain.parameters / 1e6:.1f} M parameters, {options.rows} rows, {options.threads} threads", flush=True)
    chance = random.Random(0)
    lengths = [chance.randint(*PROMPT_TOKENS) for _ in range(options.rows)]
    prompts = [[chance.randrange(300, 7000) for _ in range(length)] for length in lengths]
    table = []
    async with await Gateway.start(
        model, root / "run", options.rows, threads=options.threads, max_batch=options.rows
    ) as gateway:
        sessions = []
        for i, path in enumerate(adapters):
            await gateway.load_adapter(f"adapter{i}", path)
        for i in range(options.rows):
            adapter = f"adapter{i % options.adapters}"
            await gateway.open_lane(i, f"bench-{i}", adapter, True, max_calls=10**6, max_total_tokens=10**9)
            socket = str(root / "run" / "gateway" / f"lane-{i}.sock")
            sessions.append(aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=socket)))
        for new in options.new:
            table.append(await compare(plain, sessions, prompts, new, options.rounds))
            health = await gateway.health()
            print(f"  {health['rows'] / health['batches']:.1f} rows a batch so far", flush=True)
        for session in sessions:
            await session.close()
    return table


async def compare(
    plain: Plain, sessions: Sequence[Any], prompts: Sequence[Sequence[int]], new: int, rounds: int
) -> tuple[int, float, float, float]:
    plain.run(prompts, new)
    await through_sockets(sessions, prompts, new)
    pairs = []
    for i in range(rounds):
        if i % 2:
            ours, theirs = await through_sockets(sessions, prompts, new), plain.run(prompts, new)
        else:
            theirs, ours = plain.run(prompts, new), await through_sockets(sessions, prompts, new)
        pairs.append((theirs, ours))
    tokens = WAVES * len(prompts) * new
    ratio = statistics.median(theirs / ours for theirs, ours in pairs)
    return (
        new,
        tokens / statistics.median(theirs for theirs, _ in pairs),
        tokens / statistics.median(ours for _, ours in pairs),
        ratio,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--adapters", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of torch, on either side")
    parser.add_argument("--hidden", type=int, default=208)
    parser.add_argument("--new", type=int, nargs="+", default=[16, 64])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        table = asyncio.run(measure(options, Path(root)))
    print(f"{'new tokens':>10} {'plain tok/s':>12} {'gateway tok/s':>14} {'ratio':>6}  goal {GOAL}")
    for new, theirs, ours, ratio in table:
        print(f"{new:>10} {theirs:>12.0f} {ours:>14.0f} {ratio:>6.2f}  {'met' if ratio >= GOAL else 'missed'}")


if __name__ == "__main__":
    main()
