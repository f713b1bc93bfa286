"""One tiny model, two adapters and one gateway process for all tests of the policy."""

from __future__ import annotations

import http.client
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sia_tui.policy.client import Gateway
from tests.policy.tiny import make_adapter, make_model

LANES = 8


@dataclass(frozen=True)
class Reference:
    """The model in the test's own process, for plain forward passes."""

    folder: Path
    adapters: dict[str, Path]
    tokenizer: Any
    model: Any

    def prompt(self, content: str) -> list[int]:
        return list(
            self.tokenizer.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True, return_dict=False
            )
        )

    def logits(self, ids: list[int], adapter: str | None = None) -> Any:
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        model = self.model
        if adapter is not None:
            fresh = AutoModelForCausalLM.from_pretrained(self.folder)
            model = PeftModel.from_pretrained(fresh, self.adapters[adapter]).eval()
        with torch.inference_mode():
            return model(input_ids=torch.tensor([ids])).logits[0]

    def logprobs(self, prompt: list[int], completion: list[int], adapter: str | None = None) -> list[float]:
        """Of each completion token, by one forward pass without a cache."""
        logits = self.logits([*prompt, *completion], adapter)[len(prompt) - 1 : -1]
        table = logits.log_softmax(-1)
        return [float(table[i, token]) for i, token in enumerate(completion)]


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("policy")
    folder = make_model(root / "tiny")
    adapters = {name: make_adapter(folder, root / name, seed=seed) for name, seed in (("red", 1), ("blue", 2))}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    return Reference(folder, adapters, tokenizer, model.eval())


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gateway(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    deep = tmp_path_factory.mktemp("run") / ("a" * 60) / ("b" * 60)
    async with await Gateway.start(reference.folder, deep, lanes=LANES, max_body_bytes=65536) as started:
        yield started


class Caller:
    """A blocking HTTP client on one lane's connection, as a harness worker is."""

    def __init__(self, gateway: Gateway, lane: int) -> None:
        self._http = http.client.HTTPConnection("lane")
        self._http.sock = gateway.connect(lane)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        self._http.request(method, path, raw, {"Content-Type": "application/json"})
        response = self._http.getresponse()
        return response.status, json.loads(response.read())

    def chat(self, content: str, **parameters: Any) -> dict[str, Any]:
        messages = [{"role": "user", "content": content}]
        body = {"messages": messages, "return_token_ids": True, "logprobs": True} | parameters
        status, answer = self.ask("POST", "/v1/chat/completions", body)
        assert status == 200, answer
        return answer

    def close(self) -> None:
        self._http.close()


@pytest.fixture
def caller(gateway: Gateway) -> Callable[[int], Caller]:
    return lambda lane: Caller(gateway, lane)
