"""vLLM's HTTP interface as far as the gateway uses it, without a model; started as `python -m vllm… --uds SOCKET …` is.

Every request is written down in `asked.jsonl`. A completion of 66 tokens breaks the engine, one of 77 never ends, one of 55
takes a second, any other FAKE_DELAY_S; after a nap an adapter called `drifts` answers otherwise. While a file `odd` lies
beside its socket models whose names begin with what it holds answer otherwise, while `late` lies there no adapter is loaded.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

SLOW, BREAKS, HANGS = 55, 66, 77


class Fake:
    def __init__(self, flags: dict[str, str]) -> None:
        self.base, self.context = flags["--served-model-name"], int(flags["--max-model-len"])
        self.adapters: dict[str, str] = {}
        self.paused = self.asleep = False
        self.naps = self.tokens = 0

    def application(self) -> web.Application:
        app = web.Application(middlewares=[written])
        app.router.add_get("/health", lambda _: asyncio.sleep(0, web.Response()))
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/v1/models", self.models)
        app.router.add_get("/is_paused", self.is_paused)
        for path, handler in {
            "/pause": self.pause,
            "/resume": self.resume,
            "/sleep": self.sleep,
            "/wake_up": self.wake,
            "/v1/load_lora_adapter": self.load,
            "/v1/unload_lora_adapter": self.unload,
            "/v1/completions": self.complete,
        }.items():
            app.router.add_post(path, handler)
        return app

    async def metrics(self, http: web.Request) -> web.Response:
        """As of two engines behind one server."""
        return web.Response(
            text="# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.\n"
            "# TYPE vllm:kv_cache_usage_perc gauge\n"
            'vllm:kv_cache_usage_perc{engine="0",model_name="a b"} 0.25\n'
            'vllm:kv_cache_usage_perc{engine="1",model_name="a b"} 0.5\n'
            'vllm:num_requests_waiting{engine="0"} 2.0\nvllm:num_requests_waiting{engine="1"} 1.0\n'
            f'vllm:prefix_cache_queries_total{{engine="0"}} {2 * self.tokens}.0\n'
            f'vllm:prefix_cache_hits_total{{engine="0"}} {self.tokens}.0\n'
            f'vllm:generation_tokens_total{{engine="0"}} {self.tokens}.0\n'
        )

    async def models(self, http: web.Request) -> web.Response:
        base = {"id": self.base, "parent": None, "max_model_len": self.context}
        return web.json_response({"data": [base, *({"id": name, "parent": self.base} for name in self.adapters)]})

    async def is_paused(self, http: web.Request) -> web.Response:
        return web.json_response({"is_paused": self.paused})

    async def pause(self, http: web.Request) -> web.Response:
        assert http.query["mode"] == "keep"
        self.paused = True
        return web.json_response({"status": "paused"})

    async def resume(self, http: web.Request) -> web.Response:
        self.paused = False
        return web.json_response({"status": "resumed"})

    async def sleep(self, http: web.Request) -> web.Response:
        assert http.query["level"] == "1"
        self.asleep = True
        return web.Response()

    async def wake(self, http: web.Request) -> web.Response:
        self.asleep = False
        self.naps += 1
        return web.Response()

    async def load(self, http: web.Request) -> web.Response:
        asked = await http.json()
        if asked["lora_name"] in self.adapters:
            return wrong(400, f"The lora adapter '{asked['lora_name']}' has already been loaded.")
        while Path("late").exists():  # noqa: ASYNC110 - a test takes it away
            await asyncio.sleep(0.05)
        self.adapters[asked["lora_name"]] = asked["lora_path"]
        return web.Response(text="Success")

    async def unload(self, http: web.Request) -> web.Response:
        del self.adapters[(await http.json())["lora_name"]]
        return web.Response(text="Success")

    async def complete(self, http: web.Request) -> web.Response:
        asked = await http.json()
        model, count = asked["model"], asked["max_tokens"]
        if model != self.base and model not in self.adapters:
            return wrong(404, f"The model `{model}` does not exist.")
        if count == BREAKS:
            print("ERROR RuntimeError: CUDA error: an illegal memory access", file=sys.stderr, flush=True)
            return wrong(500, "EngineCore encountered an issue.")
        if count == HANGS:
            await asyncio.sleep(3600)
        await asyncio.sleep(1.0 if count == SLOW else float(os.environ.get("FAKE_DELAY_S", "0")))
        self.tokens += count
        odd = Path("odd").exists() and model.startswith(Path("odd").read_text())
        logprob = -0.5 - (self.naps if model.startswith("drifts") else 0) - (0.5 if odd else 0)
        choice = {
            "index": 0,
            "text": "said",
            "token_ids": [7] * count,
            "prompt_token_ids": asked["prompt"],
            "logprobs": {"token_logprobs": [logprob] * count},
            "finish_reason": "length",
        }
        return web.json_response({"choices": [choice]})


def wrong(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "code": status}}, status=status)


@web.middleware
async def written(http: web.Request, handler: Any) -> web.StreamResponse:
    if http.method == "POST":
        write({"path": http.path_qs, "body": json.loads(await http.read() or b"{}")})
    answer: web.StreamResponse = await handler(http)
    return answer


def write(line: dict[str, Any]) -> None:
    with Path("asked.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def main() -> None:
    arguments = sys.argv[sys.argv.index("vllm.entrypoints.openai.api_server") + 1 :]
    Path("command.json").write_text(json.dumps(arguments))
    Path("environment.json").write_text(json.dumps(dict(os.environ)))
    if "--broken" in arguments:
        sys.exit("ValueError: No available memory for the cache blocks")
    flags = dict(itertools.pairwise(arguments))
    app, quiet = Fake(flags).application(), {"print": lambda _: None}
    if "--uds" in flags:
        web.run_app(app, path=flags["--uds"], **quiet)
    else:
        web.run_app(app, host="127.0.0.1", port=int(flags["--port"]), **quiet)


if __name__ == "__main__":
    main()
