"""The gateway over any OpenAI-compatible address: here another gateway's lane, brought to a port, with manners to choose."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import aiohttp
import pytest
from aiohttp import web

from sia_tui.policy import sockets
from sia_tui.policy.client import Closed, Gateway, GatewayDied, GatewayError
from sia_tui.policy.remote import retry_after
from tests.policy.conftest import Caller, Reference
from tests.tasks.processes import gone

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).parents[2]
LANE = 7
HANGS = 0
WAIT = "3600"
WORDS = "some words of a question"


@dataclass
class Port:
    """A lane of the shared gateway on a TCP port."""

    gateway: Gateway
    plain: bool = False
    """Knows neither logprobs nor token ids, and says so."""
    fails: list[int | str] = field(default_factory=list)
    """Statuses to answer first, 0 for never; or texts, with status 200; an empty one cuts the connection."""
    wait: str = ""
    """Retry-After of an answer that fails."""
    takes_s: float = 0.0
    key: str | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    address: str = ""

    async def chat(self, http: web.Request) -> web.Response:
        body = await http.json()
        self.asked.append(body)
        await asyncio.sleep(self.takes_s)
        if self.key and http.headers.get("Authorization") != f"Bearer {self.key}":
            return wrong(401, "Incorrect API key provided")
        if self.fails and isinstance(self.fails[0], str):
            said = str(self.fails.pop(0))
            if not said and http.transport:
                http.transport.abort()
            return web.Response(text=said, content_type="application/json")
        if self.fails == [HANGS]:
            await asyncio.sleep(60)
        if self.fails:
            return wrong(int(self.fails.pop(0)), "try again later", {"Retry-After": self.wait} if self.wait else {})
        if self.plain and {"logprobs", "return_token_ids"} & set(body):
            return wrong(400, "Unrecognized request argument supplied: return_token_ids")
        with sockets.opened(self.gateway._folder) as short:
            connector = aiohttp.UnixConnector(f"{short}/{sockets.lane_name(LANE)}")
            async with (
                aiohttp.ClientSession(connector=connector) as session,
                session.post("http://lane/v1/chat/completions", json=body) as answer,
            ):
                return web.json_response(await answer.json(), status=answer.status)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Port]:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self.chat)
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.address = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        await self.gateway.open_lane(LANE, "behind", max_total_tokens=10**6)
        try:
            yield self
        finally:
            await self.gateway.close_lane(LANE)
            await runner.cleanup()


def wrong(status: int, message: str, headers: Mapping[str, str] = {}) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status, headers=headers)


@asynccontextmanager
async def remote(port: Port, run: Path, **settings: Any) -> AsyncIterator[Gateway]:
    named = {"backend": "remote", "address": port.address, "model": "tiny", **settings}
    async with await Gateway.start(run, run, lanes=2, **named) as gateway:
        yield gateway


async def off(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return await asyncio.to_thread(function, *arguments, **named)


def say(gateway: Gateway, **terms: Any) -> Any:
    chat = {"messages": [{"role": "user", "content": WORDS}], "max_tokens": 6, **terms}
    return off(Caller(gateway, 0).ask, "POST", "/v1/chat/completions", chat)


async def test_what_the_server_tells_of_tokens_is_recorded(
    gateway: Gateway, reference: Reference, tmp_path: Path
) -> None:
    async with Port(gateway).open() as port, remote(port, tmp_path) as far:
        await far.open_lane(0, "e", seed=3)
        status, answer = await say(far, temperature=0.7, stop="zzz")
        (call,) = await far.close_lane(0)
    assert status == 200 and answer["choices"][0]["message"]["content"] == call.text
    assert list(call.prompt_ids) == reference.prompt(WORDS) and call.unseen == 0
    ids = list(call.completion_ids)
    assert ids and list(call.logprobs) == pytest.approx(reference.logprobs(reference.prompt(WORDS), ids), abs=1e-4)
    (sent,) = port.asked
    assert sent["temperature"] == 0.7 and sent["stop"] == ["zzz"] and 0 <= sent["seed"] < 2**31


async def test_a_server_that_knows_only_texts_is_asked_for_them_and_its_count_counts(
    gateway: Gateway, reference: Reference, tmp_path: Path
) -> None:
    prompt = len(reference.prompt(WORDS))
    async with Port(gateway, plain=True).open() as port, remote(port, tmp_path) as far:
        await far.open_lane(0, "e", max_total_tokens=2 * prompt)
        status, answer = await say(far, temperature=0)
        again, refusal = await say(far, temperature=0)
        third, _ = await say(far, temperature=0)
        calls = await far.close_lane(0)
    assert status == 200 and calls[0].text and calls[0].prompt_ids == calls[0].completion_ids == calls[0].logprobs == ()
    assert calls[0].tokens == calls[0].unseen == answer["usage"]["total_tokens"] > prompt
    assert [len(body.keys() & {"logprobs", "return_token_ids"}) for body in port.asked][:3] == [2, 0, 0]
    assert (again, third) == (200, 429), refusal
    assert "texts alone are recorded" in (tmp_path / "gateway" / "gateway.log").read_text()


@pytest.mark.parametrize("fails", [[429, 503], [408]])
async def test_an_overloaded_server_is_asked_again_and_the_episode_never_knows(
    gateway: Gateway, tmp_path: Path, fails: list[int | str]
) -> None:
    tries, last = len(fails) + 1, fails[-1]
    async with Port(gateway, fails=fails).open() as port, remote(port, tmp_path) as far:
        await far.open_lane(0, "e")
        status, _ = await say(far)
        assert status == 200 and len(port.asked) == tries
        assert await far.leave_lane(0) == Closed(ANY, delayed=f"{last} try again later")


@pytest.mark.parametrize(("fails", "why"), [([503] * 99, "503 try again later"), ([HANGS], "no answer")])
async def test_a_call_begun_late_in_its_episode_stays_unanswered_and_says_so(
    gateway: Gateway, tmp_path: Path, fails: list[int | str], why: str
) -> None:
    """The server had too little time for it to be taken for lost: the gateway lives."""
    async with Port(gateway).open() as port, remote(port, tmp_path) as far:
        await far.open_lane(0, "e", seconds=1.5)
        assert (await say(far))[0] == 200
        port.fails = fails
        asked = asyncio.ensure_future(say(far))
        await asyncio.sleep(1.5)
        closed = await far.leave_lane(0)
        assert (await asked)[0] == 409 and (len(closed.calls), closed.unanswered, closed.delayed) == (1, why, "")
        port.fails = []
        await far.open_lane(0, "f", seconds=1.5)
        assert (await say(far))[0] == 200


async def test_of_a_server_that_never_answered_nobody_knows_how_slow_it_is_but_not_for_ever(
    gateway: Gateway, tmp_path: Path
) -> None:
    """Who asks late first is late; one that is dead from the start is named all the same."""
    said: list[str] = []
    async with Port(gateway, fails=[HANGS]).open() as port, remote(port, tmp_path, retry_s=2.4) as far:
        while not said or (not said[-1] and len(said) < 9):
            await far.open_lane(0, f"e{len(said)}", seconds=0.4)
            asked = asyncio.ensure_future(say(far))
            await asyncio.sleep(0.4)
            said.append((await far.leave_lane(0)).unanswered)
            await asked
    assert said[0] == "" and said[-1] == "no answer"


async def test_patience_counts_from_the_turn_of_a_call_and_not_from_when_its_harness_asked(
    gateway: Gateway, tmp_path: Path
) -> None:
    """It waits for the others of its own harness for longer than a server is given."""
    async with Port(gateway, takes_s=0.9).open() as port, remote(port, tmp_path, retry_s=1.5, max_batch=1) as far:
        await far.open_lane(0, "e")
        assert [status for status, _ in await asyncio.gather(say(far), say(far), say(far))] == [200] * 3
        assert await far.leave_lane(0) == Closed(ANY)


async def test_how_long_a_server_asks_to_wait() -> None:
    assert [retry_after(told) for told in ("", "soon", "-1", "2.5")] == [0, 0, 0, 2.5]
    assert 0 < retry_after(format_datetime(datetime.now(UTC) + timedelta(hours=1))) <= 3600


async def test_what_is_no_answer_is_asked_for_again_and_never_scored(gateway: Gateway, tmp_path: Path) -> None:
    """A connection that is cut, and a proxy that says something else with status 200."""
    async with Port(gateway, fails=["", '{"choices": []}']).open() as port, remote(port, tmp_path) as far:
        await far.open_lane(0, "e")
        status, _ = await say(far)
        assert status == 200 and len(port.asked) == 3 and len(await far.close_lane(0)) == 1


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        ([500] * 99, r"fails for 1 s: 500 try again later"),
        (["<html>"] * 99, r"fails for 1 s: "),
        ([404], r"404.*check policy\.address"),
        ([402], r"402.*check policy\.address"),
        ([HANGS], r"fails for 1 s: no answer"),
        ([429, WAIT], r"asks to wait 3600 s.*: 429 try again later"),
    ],
)
async def test_one_that_stays_down_ends_the_gateway_and_not_the_episode(
    gateway: Gateway, tmp_path: Path, fails: list[int | str], said: str
) -> None:
    """An error would be scored as the policy's wrong answer."""
    wait = WAIT if WAIT in fails else ""
    async with Port(gateway, fails=fails, wait=wait).open() as port, remote(port, tmp_path, retry_s=1.0) as far:
        await far.open_lane(0, "e")
        asked = asyncio.ensure_future(say(far))
        death = await far.wait_died()
        with pytest.raises(Exception, match=r"closed|reset"):
            await asked
        with pytest.raises(GatewayDied, match=said):
            raise death


async def test_the_key_comes_from_the_environment_and_is_written_nowhere(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Port(gateway, key="sk-very-secret").open() as port:
        with pytest.raises(GatewayDied, match=r"no key in \$FAR_KEY: set it before starting"):
            async with remote(port, tmp_path, key_env="FAR_KEY"):
                pass
        monkeypatch.setenv("FAR_KEY", "sk-very-secret")
        async with remote(port, tmp_path, key_env="FAR_KEY") as far:
            await far.open_lane(0, "e")
            assert (await say(far))[0] == 200
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert written and not any(b"sk-very-secret" in content for content in written)


async def test_what_only_weights_of_ours_could_do_is_refused(
    gateway: Gateway, reference: Reference, tmp_path: Path
) -> None:
    async with Port(gateway).open() as port, remote(port, tmp_path) as far:
        with pytest.raises(GatewayError, match=r"400.*weights are not ours"):
            await far.load_adapter("red", reference.adapters["red"])
        await far.sleep()
        await far.wake()
        await far.open_lane(0, "e")
        status, answer = await off(Caller(far, 0).ask, "POST", "/v1/completions", {"prompt": "x"})
        assert status == 400 and "chat/completions only" in answer["error"]["message"]


ENGINE = """
import asyncio, os, signal, sys
from pathlib import Path
from sia_tui.policy.client import Gateway
async def main(run):
    far = {"backend": "remote", "address": "http://127.0.0.1:9", "model": "m"}
    async with await Gateway.start(run, run, lanes=1, **far) as gateway:
        os.kill(gateway.pid, signal.SIGSTOP)
        print(gateway.pid, flush=True)
        await asyncio.sleep(600)
asyncio.run(main(Path(sys.argv[1])))
"""


async def test_a_gateway_that_stands_still_dies_with_its_engine(tmp_path: Path) -> None:
    """It does not notice that its standard input has ended."""
    argv = (sys.executable, "-c", ENGINE, str(tmp_path))
    engine = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    assert engine.stdout is not None
    async with asyncio.timeout(60):
        pid = (await engine.stdout.readline()).decode().strip()
        assert pid
        engine.kill()
        await gone(pid)
        await engine.wait()
